package netfilter

import (
	"strings"
	"testing"
)

// What neutron wrote on somebody else's node, as it was published
// (`iptables -S`), below the FORWARD chain that neutron makes; of the i and
// s chains the end alone.
var published = []string{
	"-A FORWARD -j neutron-filter-top", "-A FORWARD -j neutron-linuxbri-FORWARD",
	"-A neutron-linuxbri-FORWARD -m physdev --physdev-in tapb83935a5-30 --physdev-is-bridged -j neutron-linuxbri-sg-chain",
	`-A neutron-linuxbri-sg-chain -m physdev --physdev-out tapb83935a5-30 --physdev-is-bridged -m comment --comment "Jump to the VM specific chain." -j neutron-linuxbri-ib83935a5-3`,
	`-A neutron-linuxbri-sg-chain -m physdev --physdev-in tapb83935a5-30 --physdev-is-bridged -m comment --comment "Jump to the VM specific chain." -j neutron-linuxbri-ob83935a5-3`,
	"-A neutron-linuxbri-sg-chain -j ACCEPT",
	`-A neutron-linuxbri-ob83935a5-3 -p udp -m udp --sport 68 -m udp --dport 67 -m comment --comment "Allow DHCP client traffic." -j RETURN`,
	"-A neutron-linuxbri-ob83935a5-3 -j neutron-linuxbri-sb83935a5-3",
	"-A neutron-linuxbri-sb83935a5-3 -j DROP",
	"-A neutron-linuxbri-ib83935a5-3 -j DROP",
	"-A neutron-filter-top -j RETURN",
}

func TestPublishedNeutronChains(t *testing.T) {
	t.Parallel()
	const guest = "tapb83935a5-30"
	rules := filter(t, "DROP", published...)
	d := LayerIP.Traverse(rules, DHCPRequest(clientMAC, guest, uplink, brq), Forward)
	if d.Verdict != Accept || !strings.Contains(explain(d), `neutron-linuxbri-sg-chain rule 3: -j ACCEPT: decides`) {
		t.Errorf("a DHCP request: %s\n%s", d.Verdict, explain(d))
	}
	ping := EchoRequest(client, server, clientMAC, serverMAC, Way{In: guest, Out: uplink, Bridge: brq})
	if d = LayerIP.Traverse(rules, ping, Forward); d.Verdict != Drop || !strings.Contains(explain(d), "neutron-linuxbri-sb83935a5-3 rule 1: -j DROP: decides") {
		t.Errorf("a ping: %s\n%s", d.Verdict, explain(d))
	}
}

// Neutron's chains come first, and what they do not accept meets the REJECT that
// distributions end FORWARD with.
func TestPublishedOrder(t *testing.T) {
	t.Parallel()
	rules := filter(t, "ACCEPT", append(published[:2:2], append([]string{"-A FORWARD -j REJECT --reject-with icmp-host-prohibited"}, published[2:]...)...)...)
	d := LayerIP.Traverse(rules, DHCPReply(server, client, serverMAC, clientMAC, "tap004b787f-9b", uplink, brq), Forward)
	if d.Verdict != Reject || !strings.Contains(explain(d), "FORWARD rule 3: -j REJECT --reject-with icmp-host-prohibited: decides") {
		t.Errorf("a DHCP reply: %s\n%s", d.Verdict, explain(d))
	}
}
