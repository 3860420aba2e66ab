package lab

// oldLease makes dnsmasq believe that a guest that is gone still has web-1's
// address: $1 is the network, $2 the address, $3 the old MAC. It is what is left
// when the agent could not release the lease of a deleted port.
const oldLease = killDnsmasq + `
sed -i "s/^\([0-9]*\) [^ ]* $2 \([^ ]*\) .*/\1 $3 $2 \2 01:$3/" "/var/lib/neutron/dhcp/$1/leases"
/usr/lib/whylab/dhcp-agent spawn "$1"`

// goneMAC is the MAC of a port that was deleted.
const goneMAC = "fa:16:3e:d0:0e:07"

// dhcp39 is an address that dnsmasq thinks another client has.
func dhcp39() []Fault {
	two := Options{SecondController: true}
	either := noAnswer("DHCP-39")
	either.FromNode, either.FromDevice, either.ToNode = "", "", ""
	return []Fault{
		{
			ID: "DHCP-39", Variant: "lease-of-deleted-port", Want: noAnswer("DHCP-39"),
			Doc:    "dnsmasq knows web-1's address, and that a deleted port's MAC has leased it",
			Inject: broken(on(Controller01, oldLease, paymentsNet.ID, webAddress, goneMAC)),
			Heal:   healed(on(Controller01, syncDHCP, paymentsNet.ID)),
		},
		{
			ID: "DHCP-39", Variant: "two-controllers", Want: either, Options: two,
			Doc: "the same on both nodes that serve DHCP",
			Inject: broken(on(Controller01, oldLease, paymentsNet.ID, webAddress, goneMAC),
				on(Controller02, oldLease, paymentsNet.ID, webAddress, goneMAC)),
			Heal: healed(on(Controller01, syncDHCP, paymentsNet.ID), on(Controller02, syncDHCP, paymentsNet.ID)),
		},
	}
}
