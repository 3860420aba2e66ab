package lab

// Devices of flat-1's network: its bridge holds the NIC itself.
var (
	flatTap    = newPlan(Options{Flat: true}).guestNamed(Flat1).Port.Tap()
	flatBridge = paymentsFlat.Bridge()
	flatNIC    = paymentsFlat.Uplink()
)

// flatFaults are the ordinary faults on the flat network.
func flatFaults() []Fault {
	atCompute := func(cause, from, to string) Want {
		return Want{
			State: proven, Cause: cause, FromNode: Compute01, FromDevice: from,
			ToNode: Compute01, ToDevice: to, Direction: request,
		}
	}
	fs := []Fault{
		{
			ID: "DHCP-02", Variant: "flat-policy-drop-compute", Doc: "FORWARD of the compute node drops, on a flat network",
			Want:   atCompute("DHCP-02", flatBridge, flatNIC),
			Inject: brokenFor(Flat1, on(Compute01, loseNeutron+policyDrop)),
			Heal:   healed(on(Compute01, loseNeutron+policyAccept+restartAgent)),
		},
		{
			ID: "DHCP-16", Variant: "flat-guest-tap-out", Doc: "flat-1's tap is in no bridge",
			Want:   atCompute("DHCP-16", flatTap, flatBridge),
			Inject: brokenFor(Flat1, on(Compute01, unplug, flatTap)), Heal: healed(on(Compute01, plug, flatTap, flatBridge)),
		},
		{
			ID: "DHCP-17", Variant: "flat-nic-out-of-bridge", Doc: "eth4 of the compute node is not in the flat network's bridge",
			Want:   atCompute("DHCP-17", flatBridge, flatNIC),
			Inject: brokenFor(Flat1, on(Compute01, unplug, flatNIC)), Heal: healed(on(Compute01, plug, flatNIC, flatBridge)),
		},
		{
			ID: "DHCP-18", Variant: "flat-nic-down", Doc: "eth4 of the compute node is down",
			Want:   atCompute("DHCP-18", flatBridge, flatNIC),
			Inject: brokenFor(Flat1, on(Compute01, setDown, flatNIC)), Heal: healed(on(Compute01, setUp, flatNIC)),
		},
	}
	for i := range fs {
		fs[i].Guest, fs[i].Options.Flat = Flat1, true
	}
	return fs
}

// flatDecoys look like a fault of the flat network and are none.
func flatDecoys() []Fault {
	return []Fault{{
		ID: "DHCP-18", Variant: "decoy-flat-other-nic", Options: Options{Flat: true}, Guest: Flat1, Want: Want{State: healthy},
		Doc:    "the NIC of the other physical network is down",
		Inject: harmlessFor(Flat1, on(Compute01, setDown, "eth3")), Heal: healed(on(Compute01, setUp, "eth3")),
	}}
}
