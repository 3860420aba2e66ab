package lab

import (
	"fmt"
	"strings"
)

// The texts below are what neutron-linuxbridge-agent (release Zed) leaves in
// iptables, chain by chain and comment by comment.

const trustedComment = `-m comment --comment "Accept all packets when port is trusted."`

// neutronChains returns the input of iptables-restore --noflush that gives a
// machine Neutron's chains.
func neutronChains(style Style, trusted, guests []Port) string {
	return rawTable(guests) + filterTable(style, trusted, guests, writeSecurityGroup)
}

// rawTable keeps the connection tracking of networks apart, as the agent does
// for ports with security groups.
func rawTable(guests []Port) string {
	if len(guests) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("*raw\n:neutron-linuxbri-OUTPUT - [0:0]\n:neutron-linuxbri-PREROUTING - [0:0]\n")
	b.WriteString("-I PREROUTING 1 -j neutron-linuxbri-PREROUTING\n-I OUTPUT 1 -j neutron-linuxbri-OUTPUT\n")
	for _, p := range guests {
		zone := 1 + (p.Network.VLAN+p.Network.VNI)%4096
		for _, from := range []string{
			"-m physdev --physdev-in " + p.Network.Bridge(), "-i " + p.Network.Bridge(), "-m physdev --physdev-in " + p.Tap(),
		} {
			fmt.Fprintf(&b, "-A neutron-linuxbri-PREROUTING %s -m comment --comment \"Set zone for %s\" -j CT --zone %d\n",
				from, p.ID[1:idInName], zone)
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

func filterTable(style Style, trusted, guests []Port, group func(*strings.Builder, Port)) string {
	var b strings.Builder
	b.WriteString("*filter\n")
	for _, c := range []string{
		"neutron-filter-top", "neutron-linuxbri-FORWARD", "neutron-linuxbri-INPUT", "neutron-linuxbri-OUTPUT",
		"neutron-linuxbri-local", "neutron-linuxbri-sg-chain", "neutron-linuxbri-sg-fallback",
	} {
		fmt.Fprintf(&b, ":%s - [0:0]\n", c)
	}
	for _, p := range guests {
		for _, kind := range []string{"i", "o", "s"} {
			fmt.Fprintf(&b, ":%s - [0:0]\n", chainName(kind, p.ID))
		}
	}
	b.WriteString("-I INPUT 1 -j neutron-linuxbri-INPUT\n" +
		"-I FORWARD 1 -j neutron-filter-top\n-I FORWARD 2 -j neutron-linuxbri-FORWARD\n" +
		"-I OUTPUT 1 -j neutron-filter-top\n-I OUTPUT 2 -j neutron-linuxbri-OUTPUT\n" +
		"-A neutron-filter-top -j neutron-linuxbri-local\n")
	for _, p := range trusted {
		writeTrusted(&b, style, p)
	}
	for _, p := range guests {
		writeGuestJumps(&b, p)
	}
	for _, p := range guests {
		group(&b, p)
	}
	b.WriteString("-A neutron-linuxbri-sg-chain -j ACCEPT\n" +
		"-A neutron-linuxbri-sg-fallback -m comment --comment \"Default drop rule for unmatched traffic.\" -j DROP\nCOMMIT\n")
	return b.String()
}

func writeTrusted(b *strings.Builder, style Style, p Port) {
	directions := []string{"out", "in"}
	if style == OldStyle {
		directions = directions[:1]
	}
	for _, d := range directions {
		fmt.Fprintf(b, "-A neutron-linuxbri-FORWARD -m physdev --physdev-%s %s --physdev-is-bridged %s -j ACCEPT\n", d, p.Tap(), trustedComment)
	}
}

func writeGuestJumps(b *strings.Builder, p Port) {
	for _, d := range []string{"out", "in"} {
		fmt.Fprintf(b, "-A neutron-linuxbri-FORWARD -m physdev --physdev-%s %s --physdev-is-bridged "+
			"-m comment --comment \"Direct traffic from the VM interface to the security group chain.\" -j neutron-linuxbri-sg-chain\n", d, p.Tap())
	}
	fmt.Fprintf(b, "-A neutron-linuxbri-INPUT -m physdev --physdev-in %s --physdev-is-bridged "+
		"-m comment --comment \"Direct incoming traffic from VM to the security group chain.\" -j %s\n", p.Tap(), chainName("o", p.ID))
	for _, way := range [][2]string{{"out", "i"}, {"in", "o"}} {
		fmt.Fprintf(b, "-A neutron-linuxbri-sg-chain -m physdev --physdev-%s %s --physdev-is-bridged "+
			"-m comment --comment \"Jump to the VM specific chain.\" -j %s\n", way[0], p.Tap(), chainName(way[1], p.ID))
	}
}

const (
	knownSession = `-m state --state RELATED,ESTABLISHED -m comment --comment "Direct packets associated with a known session to the RETURN chain." -j RETURN`
	invalidDrop  = `-m state --state INVALID -m comment --comment "Drop packets that appear related to an existing connection (e.g. TCP ACK/FIN) but do not have an entry in conntrack." -j DROP`
	toFallback   = `-m comment --comment "Send unmatched traffic to the fallback chain." -j neutron-linuxbri-sg-fallback`
)

func writeSecurityGroup(b *strings.Builder, p Port) {
	write := func(kind string, specs ...string) {
		for _, s := range specs {
			fmt.Fprintf(b, "-A %s %s\n", chainName(kind, p.ID), s)
		}
	}
	write("i",
		knownSession,
		"-d "+p.Address+"/32 -p udp -m udp --sport 67 --dport 68 -j RETURN",
		"-d 255.255.255.255/32 -p udp -m udp --sport 67 --dport 68 -j RETURN",
		"-p tcp -m tcp --dport 443 -j RETURN",
		"-p icmp -j RETURN",
		"-p tcp -m tcp --dport 22 -j RETURN",
		invalidDrop, toFallback)
	write("o",
		`-s 0.0.0.0/32 -d 255.255.255.255/32 -p udp -m udp --sport 68 --dport 67 -m comment --comment "Allow DHCP client traffic." -j RETURN`,
		"-j "+chainName("s", p.ID),
		`-p udp -m udp --sport 68 --dport 67 -m comment --comment "Allow DHCP client traffic." -j RETURN`,
		`-p udp -m udp --sport 67 --dport 68 -m comment --comment "Prevent DHCP Spoofing by VM." -j DROP`,
		knownSession,
		"-j RETURN",
		invalidDrop, toFallback)
	write("s",
		"-s "+p.Address+"/32 -m mac --mac-source "+p.MAC+` -m comment --comment "Allow traffic from defined IP/MAC pairs." -j RETURN`,
		`-m comment --comment "Drop traffic without an IP/MAC allow rule." -j DROP`)
}

// savedRules is the distribution's own rule file on a machine: the ports its
// services need, a REJECT for the rest, and nothing about FORWARD.
func (o Options) savedRules(machine string) string {
	ports := []string{"22", "80", "3306", "5000", "5672", "6080", "8774", "8776", "9292", "9696", "11211"}
	if machine == Compute01 || machine == Compute02 {
		ports = []string{"22", "5900:5999"}
	}
	var b strings.Builder
	b.WriteString("# sample configuration for iptables service\n# you can edit this manually or use system-config-firewall\n" +
		"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n" +
		"-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -p icmp -j ACCEPT\n-A INPUT -i lo -j ACCEPT\n")
	for _, p := range ports {
		fmt.Fprintf(&b, "-A INPUT -p tcp -m state --state NEW -m tcp --dport %s -j ACCEPT\n", p)
	}
	if o.VXLAN != NoVXLAN {
		b.WriteString("-A " + tunnelAccept + "\n")
	}
	b.WriteString("-A INPUT -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n")
	return b.String()
}
