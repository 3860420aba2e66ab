package lab

import (
	"fmt"
	"strings"
)

// neutronChains6 returns what neutron-linuxbridge-agent leaves in ip6tables, as
// input of ip6tables-restore --noflush.
func neutronChains6(style Style, trusted, guests []Port) string {
	return rawTable(guests) + filterTable(style, trusted, guests, writeSecurityGroup6)
}

// ndComment is on what a guest may send before it has an address.
const ndComment = `-m comment --comment "Allow IPv6 ND traffic."`

// writeSecurityGroup6 writes a guest's chains of ip6tables. A guest without an
// IPv6 subnet has them too, with fewer rules.
func writeSecurityGroup6(b *strings.Builder, p Port) {
	write := func(kind string, specs ...string) {
		for _, s := range specs {
			fmt.Fprintf(b, "-A %s %s\n", chainName(kind, p.ID), s)
		}
	}
	write("i", knownSession)
	if p.Address6 != "" {
		write("i",
			"-p ipv6-icmp -m icmp6 --icmpv6-type 134 -j RETURN",
			"-d "+p.Address6+"/128 -p udp -m udp --sport 547 --dport 546 -j RETURN",
			"-d fe80::/64 -p udp -m udp --sport 547 --dport 546 -j RETURN")
	}
	for _, kind := range []int{130, 135, 136} {
		write("i", fmt.Sprintf("-p ipv6-icmp -m icmp6 --icmpv6-type %d -j RETURN", kind))
	}
	write("i", invalidDrop, toFallback)
	for _, kind := range []int{131, 135, 143} {
		write("o", fmt.Sprintf("-s ::/128 -d ff02::/16 -p ipv6-icmp -m icmp6 --icmpv6-type %d %s -j RETURN", kind, ndComment))
	}
	write("o",
		"-j "+chainName("s", p.ID),
		`-p ipv6-icmp -m icmp6 --icmpv6-type 134 -m comment --comment "Drop IPv6 Router Advts from VM Instance." -j DROP`,
		`-p ipv6-icmp -m comment --comment "Allow IPv6 ICMP traffic." -j RETURN`,
		`-p udp -m udp --sport 546 --dport 547 -m comment --comment "Allow DHCP client traffic." -j RETURN`,
		`-p udp -m udp --sport 547 --dport 546 -m comment --comment "Prevent DHCP Spoofing by VM." -j DROP`,
		knownSession,
		"-j RETURN",
		invalidDrop, toFallback)
	allowed := []string{linkLocal(p.MAC)}
	if p.Address6 != "" {
		allowed = append([]string{p.Address6}, allowed...)
	}
	for _, address := range allowed {
		write("s", "-s "+address+"/128 -m mac --mac-source "+p.MAC+` -m comment --comment "Allow traffic from defined IP/MAC pairs." -j RETURN`)
	}
	write("s", `-m comment --comment "Drop traffic without an IP/MAC allow rule." -j DROP`)
}
