package lab

const (
	rejectRule = "FORWARD -j REJECT --reject-with icmp-host-prohibited"
	// saveReject puts the rule into the distribution's file, where it comes
	// from in real life; $1 is the file.
	saveReject   = `sed -i 's/^COMMIT$/-A ` + rejectRule + `\nCOMMIT/' "$1"; `
	unsaveReject = `sed -i '/^-A ` + rejectRule + `$/d' "$1"; `
	addReject    = saveReject + "iptables -A " + rejectRule
	dropReject   = unsaveReject + "iptables -D " + rejectRule
)

// dhcp01 is the REJECT behind chains of a Neutron that accepts trusted ports in
// one direction: the DISCOVER reaches dnsmasq, the OFFER dies in the bridge.
func dhcp01() []Fault {
	fault := func(variant, doc string, o Options) Fault {
		o.Style = OldStyle
		controllers := []string{Controller01}
		want := Want{
			State: proven, Cause: "DHCP-01", FromNode: Controller01, FromDevice: webBridge,
			ToNode: Controller01, ToDevice: webSub, Direction: reply,
		}
		if o.SecondController {
			controllers = append(controllers, Controller02)
			want.FromNode, want.ToNode = "", "" // both lose it
		}
		var inject, heal []change
		for _, c := range controllers {
			inject = append(inject, on(c, addReject, o.rulesFile()))
			heal = append(heal, on(c, dropReject, o.rulesFile()))
		}
		return Fault{ID: "DHCP-01", Variant: variant, Doc: doc, Options: o, Inject: broken(inject...), Heal: healed(heal...), Want: want}
	}
	return []Fault{
		fault("rhel-nft", "REJECT in FORWARD of the network node, in /etc/sysconfig/iptables too", Options{Distro: RHEL, Backend: NFT}),
		fault("debian-legacy", "the same with iptables-legacy and /etc/iptables/rules.v4", Options{Distro: Debian, Backend: Legacy}),
		fault("both-controllers", "the same on both nodes that serve DHCP", Options{SecondController: true}),
	}
}
