package lab

// dbServer is the tap of payments-db-net's DHCP port on controller01.
var dbServer = TapName(dhcpPortIDs[1][Controller01])

// secondPort is a server with two ports of which one gets no address: the
// question names the server only.
func secondPort() []Fault {
	second := newPlan(Options{TwoPorts: true}).guestNamed(Web1b).Port
	fs := []Fault{
		{
			ID: "DHCP-10", Variant: "second-port", Doc: "web-1 has two ports, and dnsmasq does not know the second one",
			Want: Want{
				State: proven, Cause: "DHCP-10", FromNode: Controller01, FromDevice: dbServer,
				ToNode: Controller01, ToDevice: "dnsmasq", Direction: request,
			},
			Inject: brokenFor(Web1b, on(Controller01, forgetHost, paymentsDBNet.ID, second.MAC)),
			Heal:   healed(on(Controller01, syncDHCP, paymentsDBNet.ID)),
		},
		{
			ID: "DHCP-16", Variant: "second-port-tap-out", Doc: "web-1 has two ports, and the second one's tap is in no bridge",
			Want: Want{
				State: proven, Cause: "DHCP-16", FromNode: Compute01, FromDevice: second.Tap(),
				ToNode: Compute01, ToDevice: dbBridge, Direction: request,
			},
			Inject: brokenFor(Web1b, on(Compute01, unplug, second.Tap())), Heal: healed(on(Compute01, plug, second.Tap(), dbBridge)),
		},
	}
	for i := range fs {
		fs[i].Guest, fs[i].Options.TwoPorts = Web1b, true
	}
	return fs
}
