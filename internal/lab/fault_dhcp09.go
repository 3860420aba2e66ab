package lab

// killDnsmasq kills the network's dnsmasq; $1 is the network.
const (
	// It is gone only when its sockets are: another could not be started before.
	killDnsmasq = `pid=$(cat "/var/lib/neutron/dhcp/$1/pid")
kill -KILL "$pid"
for i in $(seq 250); do [ -e "/proc/$pid" ] || break; sleep 0.02; done`
	syncDHCP = `/usr/lib/whylab/dhcp-agent enable "$1"`

	stopDHCPAgent  = "systemctl stop neutron-dhcp-agent; "
	startDHCPAgent = "systemctl start neutron-dhcp-agent; "
)

// dhcp09 is dnsmasq dead on every node that serves the network.
func dhcp09() []Fault {
	want := Want{State: proven, Cause: "DHCP-09"}
	alone := want
	alone.FromNode = Controller01
	return []Fault{
		{
			ID: "DHCP-09", Variant: "one-controller", Want: alone, Doc: "the only dnsmasq of the network was killed",
			Inject: broken(on(Controller01, killDnsmasq, paymentsNet.ID)), Heal: healed(on(Controller01, syncDHCP, paymentsNet.ID)),
		},
		{
			ID: "DHCP-09", Variant: "two-controllers", Want: want, Doc: "both dnsmasq of the network were killed",
			Options: Options{SecondController: true},
			Inject:  broken(on(Controller01, killDnsmasq, paymentsNet.ID), on(Controller02, killDnsmasq, paymentsNet.ID)),
			Heal:    healed(on(Controller01, syncDHCP, paymentsNet.ID), on(Controller02, syncDHCP, paymentsNet.ID)),
		},
	}
}
