package lab

import "context"

// Neutron's own chains of web-1's port.
var (
	webIngress = chainName("i", webPortID)
	webEgress  = chainName("o", webPortID)
)

const (
	// forgetReturn deletes the rules of a chain that match a pattern: $1 is the
	// chain, $2 the pattern.
	forgetReturn = `iptables-save | sed "/^-A $1 .*$2/d" | iptables-restore; `
	// renewChains makes the agent write all of them anew.
	renewChains = restartAgent
)

// dhcp43 is Neutron's own filter that drops the guest's DHCP.
func dhcp43() []Fault {
	requestLost, replyLost := requestLostAt("DHCP-43", Compute01), requestLostAt("DHCP-43", Compute01)
	replyLost.ToDevice, replyLost.Direction = webTap, reply
	legacy := Options{Distro: Debian, Backend: Legacy}
	fault := func(variant, doc, chain, pattern string, want Want, o Options) Fault {
		return Fault{
			ID: "DHCP-43", Variant: variant, Doc: doc, Want: want, Options: o,
			Inject: broken(on(Compute01, forgetReturn, chain, pattern)), Heal: healed(on(Compute01, renewChains)),
		}
	}
	return []Fault{
		fault("ingress-without-dhcp", "the ingress chain of web-1's port does not return DHCP replies",
			webIngress, "sport 67.*dport 68.*RETURN", replyLost, Options{}),
		fault("ingress-without-dhcp-legacy", "the same with iptables-legacy",
			webIngress, "sport 67.*dport 68.*RETURN", replyLost, legacy),
		fault("egress-without-dhcp", "the egress chain does not return DHCP requests: the anti-spoofing chain drops them",
			webEgress, "sport 68.*dport 67.*RETURN", requestLost, Options{}),
		fault("egress-without-dhcp-legacy", "the same with iptables-legacy",
			webEgress, "sport 68.*dport 67.*RETURN", requestLost, legacy),
		otherMAC("other-mac", "web-1 uses another MAC than its port's: the bridge's filter drops what it sends", "fa:16:3e:4b:10:99", Options{}),
		otherMAC("other-mac-debian", "the same with the MAC of a card of its own, on Debian", "02:42:ac:11:00:02", legacy),
	}
}

// otherMAC is a guest that sends from a MAC which its port does not allow.
func otherMAC(variant, doc, mac string, o Options) Fault {
	return Fault{
		ID: "DHCP-43", Variant: variant, Doc: doc, Options: o,
		Want: Want{
			State: probable, Cause: "DHCP-43", FromNode: Compute01, FromDevice: webTap,
			ToNode: Compute01, ToDevice: webBridge, Direction: request,
		},
		Inject: inOrder(useMAC(Web1, mac), askAnew), Heal: inOrder(useMAC(Web1, webMAC), askAnew),
	}
}

func useMAC(guest, mac string) step {
	return func(ctx context.Context, l *Lab) error {
		_, err := l.VM(guest).Run(ctx, "ip", "link", "set", "eth0", "address", mac)
		return err
	}
}
