package lab

import (
	"context"
	"slices"

	"whybot/internal/cloudfake"
)

// What the faults of pings are about: web-1 on compute01 and web-2 on compute02,
// both on payments-net.
const (
	askPing    = "why can't web-1 ping web-2"
	web2PortID = "b9e40d16-a25c-4f3b-8d7e-6c5b4a392817"
	web2IP     = "10.30.92.23"
)

var (
	web2Tap   = TapName(web2PortID)
	web2In    = chainName("i", web2PortID)
	web1Out   = chainName("o", webPortID)
	inWeb2    = Want{State: proven, FromNode: Compute02, FromDevice: webBridge, ToNode: Compute02, ToDevice: web2Tap, Direction: request}
	outOfWeb1 = Want{State: proven, FromNode: Compute01, FromDevice: webBridge, ToNode: Compute01, ToDevice: webSub, Direction: request}
)

// Commands that change what neutron wrote; $1 is the chain.
const (
	dropICMP   = `iptables -D "$1" -p icmp -j RETURN`
	addICMP    = `iptables -I "$1" 4 -p icmp -j RETURN`
	dropEgress = `iptables -D "$1" -j RETURN`
	addEgress  = `iptables -I "$1" 6 -j RETURN`
)

// withoutRule takes a rule out of the guests' group.
func withoutRule(out func(cloudfake.SecurityRule) bool) step {
	return cloudAs(func(m *cloudfake.Model) {
		m.SecurityGroups[0].Rules = slices.DeleteFunc(slices.Clone(webGroup().Rules), out)
	})
}

// wholeGroup puts the guests' group back.
func wholeGroup() step {
	return cloudAs(func(m *cloudfake.Model) { m.SecurityGroups[0] = webGroup() })
}

func cloudAs(change func(*cloudfake.Model)) step { return volumesAs(change) }

func isICMP(r cloudfake.SecurityRule) bool   { return r.ID == icmpRule }
func isEgress(r cloudfake.SecurityRule) bool { return r.Direction == "egress" }

// pinging leaves web-1 pinging web-2, as somebody who has just found out.
func pinging(_ context.Context, l *Lab) step {
	return func(ctx context.Context, _ *Lab) error { return l.VM(Web1).Ping(ctx, web2IP) }
}

// pingCase is a fault of the way between the two.
func pingCase(want Want, id, variant, doc string, breakIt, heal step) Fault {
	want.Cause = id
	return Fault{
		ID: id, Variant: variant, Doc: doc, Question: askPing, Want: want,
		Inject: func(ctx context.Context, l *Lab) error {
			for _, name := range []string{Web1, Web2} {
				if _, err := l.VM(name).WaitLease(ctx); err != nil {
					return err
				}
			}
			return inOrder(breakIt, pinging(ctx, l))(ctx, l)
		},
		Heal: inOrder(heal, func(ctx context.Context, l *Lab) error { return l.VM(Web1).StopPing(ctx) }),
	}
}

// PingFaults returns every fault and decoy of pings. They may follow one another
// in one lab.
func PingFaults() []Fault {
	ignore := func(value string) step {
		return func(ctx context.Context, l *Lab) error {
			_, err := l.VM(Web2).Run(ctx, "sh", "-c", "echo "+value+" >/proc/sys/net/ipv4/icmp_echo_ignore_all")
			return err
		}
	}
	addressed := func(address string) step {
		return func(ctx context.Context, l *Lab) error {
			if err := l.VM(Web1).orders(ctx, "stop"); err != nil {
				return err
			}
			_, err := l.VM(Web1).Run(ctx, "sh", "-c", "ip -4 addr flush dev eth0; ip addr add "+address+"/24 dev eth0")
			return err
		}
	}
	at := func(e Want, direction string) Want { e.Direction = direction; return e }
	none := func(context.Context, *Lab) error { return nil }
	return []Fault{
		pingCase(inWeb2, "PING-01", "no-icmp", "web-2's group does not admit ICMP",
			inOrder(withoutRule(isICMP), healed(on(Compute02, dropICMP, web2In))), inOrder(wholeGroup(), healed(on(Compute02, addICMP, web2In)))),
		pingCase(outOfWeb1, "PING-02", "no-egress", "web-1's group lets nothing out",
			inOrder(withoutRule(isEgress), healed(on(Compute01, dropEgress, web1Out))), inOrder(wholeGroup(), healed(on(Compute01, addEgress, web1Out)))),
		pingCase(inWeb2, "PING-03", "chain-behind", "the group admits ICMP, and compute02's chain does not have it",
			healed(on(Compute02, dropICMP, web2In)), healed(on(Compute02, addICMP, web2In))),
		pingCase(Want{State: proven, FromNode: Compute01, FromDevice: webTap, ToNode: Compute01, ToDevice: webBridge, Direction: request}, "PING-04", "other-address",
			"web-1 was given another address by hand", addressed("10.30.92.199"), addressed(webAddress)),
		pingCase(Want{State: proven, FromNode: Compute02, FromDevice: web2Tap, ToNode: Compute02, ToDevice: Web2, Direction: request}, "PING-11", "ignores",
			"web-2 ignores echo requests", ignore("1"), ignore("0")),
		pingCase(inWeb2, "DHCP-01", "ping-rejected", "a REJECT in front of neutron's rules on compute02",
			healed(on(Compute02, "iptables -I "+rejectRule)), healed(on(Compute02, "iptables -D "+rejectRule))),
		pingCase(inWeb2, "DHCP-16", "ping-tap-out", "web-2's tap is in no bridge",
			healed(on(Compute02, unplug, web2Tap)), healed(on(Compute02, plug, web2Tap, webBridge))),
		pingCase(at(Want{State: proven, FromNode: Compute02, ToNode: Compute02}, request), "DHCP-17", "ping-segment-out", "the sub-interface is in no bridge on compute02",
			healed(on(Compute02, unplug, webSub)), healed(on(Compute02, plug, webSub, webBridge))),
		pingCase(Want{State: healthy}, "PING-01", "decoy-all-well", "web-2 answers", none, none),
		pingCase(Want{State: healthy}, "PING-01", "decoy-not-enforced", "the group does not admit ICMP, and compute02 shows no bridged frame to iptables",
			inOrder(withoutRule(isICMP), healed(on(Compute02, dropICMP, web2In), on(Compute02, "sysctl -qw net.bridge.bridge-nf-call-iptables=0"))),
			inOrder(wholeGroup(), healed(on(Compute02, addICMP, web2In), on(Compute02, "sysctl -qw net.bridge.bridge-nf-call-iptables=1")))),
		pingCase(Want{State: healthy}, "DHCP-01", "decoy-ping-behind-accept", "a REJECT behind neutron's rules, which accept",
			healed(on(Compute02, "iptables -A "+rejectRule)), healed(on(Compute02, "iptables -D "+rejectRule))),
	}
}
