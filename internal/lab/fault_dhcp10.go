package lab

// Edits of dnsmasq's host file: $1 is the network, $2 the MAC, $3 an address.
// dnsmasq reads the file again when it is told to.
const (
	reloadDnsmasq = `; kill -HUP "$(cat "/var/lib/neutron/dhcp/$1/pid")"`
	forgetHost    = `sed -i "/^$2,/d" "/var/lib/neutron/dhcp/$1/host"` + reloadDnsmasq
	moveHost      = `sed -i "s/^\($2,.*,\).*/\1$3/" "/var/lib/neutron/dhcp/$1/host"` + reloadDnsmasq
)

// staleAddress is an address of payments-net that belongs to nobody.
const staleAddress = "10.30.92.199"

// dhcp10 is a dnsmasq that does not know web-1 as Neutron does.
func dhcp10() []Fault {
	want := Want{State: proven, Cause: "DHCP-10"}
	heal := healed(on(Controller01, syncDHCP, paymentsNet.ID))
	return []Fault{
		{
			ID: "DHCP-10", Variant: "entry-missing", Want: want, Heal: heal,
			Doc:    "web-1's line is missing from dnsmasq's host file",
			Inject: broken(on(Controller01, forgetHost, paymentsNet.ID, webMAC)),
		},
		{
			ID: "DHCP-10", Variant: "entry-stale", Want: want, Heal: heal,
			Doc:    "web-1's line has another address; the security group drops the offer of it",
			Inject: broken(on(Controller01, moveHost, paymentsNet.ID, webMAC, staleAddress)),
		},
	}
}
