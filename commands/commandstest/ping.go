package commandstest

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"whybot/commands"
	"whybot/runners"
)

// pingKeys are the lines of the cloud that are about a ping, by key. A peer-port
// may be on another network than the guest's; its routers are then peer-router
// lines. A group line is a rule of the group.
var pingKeys = map[string]string{
	"peer": " id status task host fault", "peer-port": "id mac ip host vif admin to groups network secure",
	"peer-router": "id router", "group": " id direction ethertype protocol type prefix remote addresses",
}

// elsewhere puts a peer's port on a network of its own.
func (c cloudFacts) elsewhere(a *runners.Attachment, network string) {
	a.Network.ID, a.Network.Name = network, "other-net"
	a.Port.NetworkID, a.RouterPorts = network, nil
	for _, w := range c["peer-router"] {
		a.RouterPorts = append(a.RouterPorts, runners.Port{ID: w["id"], NetworkID: network, DeviceID: w["router"]})
	}
}

// SecurityRules are the group lines. A group without any has no rule; one that is
// hidden has a line `group: ID id=hidden`.
func (c cloudFacts) SecurityRules(_ context.Context, groups []string) (map[string]runners.Maybe[[]runners.SecurityRule], error) {
	all := map[string]runners.Maybe[[]runners.SecurityRule]{}
	for _, id := range groups {
		rules := []runners.SecurityRule{}
		shown := true
		for _, w := range c["group"] {
			if w[""] != id {
				continue
			}
			shown = shown && w["id"] != hidden
			r := runners.SecurityRule{
				ID: w["id"], GroupID: id, Direction: w["direction"], EtherType: "IPv4", Protocol: w["protocol"],
				RemotePrefix: w["prefix"], RemoteGroup: w["remote"], RemoteAddresses: w["addresses"],
			}
			if w["ethertype"] != "" {
				r.EtherType = w["ethertype"]
			}
			if n, err := strconv.Atoi(w["type"]); err == nil {
				r.PortMin = &n
			}
			rules = append(rules, r)
		}
		all[id] = runners.Known(rules)
		if !shown {
			all[id] = runners.NotKnown[[]runners.SecurityRule]("security group " + id + " " + hiddenWhy)
		}
	}
	return all, nil
}

// askedPing is the question about the guest and its peer.
func (f *Fixture) askedPing() commands.Question {
	return commands.Question{Kind: commands.KindPing, Text: f.question, Subjects: map[string]string{
		"src": f.cloud.first("server")[""], "dst": f.cloud.first("peer")[""],
	}}
}

// pingWords are the frames of a ping. Those of the other direction, the peer's own,
// have a word of their own.
var pingWords = map[string]struct{ arp, reply, back bool }{
	"who-has": {arp: true}, "is-at": {arp: true, reply: true}, "echo": {}, "echo-reply": {reply: true},
	"who-has-back": {arp: true, back: true}, "is-at-back": {arp: true, reply: true, back: true},
	"echo-back": {back: true}, "echo-reply-back": {reply: true, back: true},
}

// pingFrame is the line's frame on the wire, tagged when vlan is not 0. `from`
// is another sender than the one that the word means.
func (w *world) pingFrame(line frameLine, guest end, vlan uint16) ([]byte, error) {
	m := pingWords[line.word]
	peer, err := parseEnd(w.f.cloud.first("peer-port"))
	if err != nil {
		return nil, err
	}
	src, dst := guest, peer
	if m.reply != m.back {
		src, dst = peer, guest
	}
	if line.from != "" {
		if src, err = sender(line.from, src); err != nil {
			return nil, err
		}
	}
	to := dst.mac
	if m.arp && !m.reply {
		to = everyone.mac
	}
	b := append(append([]byte{}, to...), src.mac...)
	if vlan != 0 && line.tag != 0 {
		vlan = line.tag
	}
	if vlan != 0 {
		b = binary.BigEndian.AppendUint16(append(b, 0x81, 0x00), vlan)
	}
	if m.arp {
		return append(b, arpBody(src, dst, m.reply)...), nil
	}
	const size = 16 // an echo with eight bytes of data
	b = append(append(b, 0x08, 0x00), ipv4(src.ip, dst.ip, size)...)
	b[len(b)-20+9] = 1 // ICMP
	kind := byte(8)
	if m.reply {
		kind = 0
	}
	return append(b, kind, 0, 0, 0, 0, 7, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0), nil
}

// sender is ADDRESS, from the same MAC, or ADDRESS@MAC.
func sender(text string, usual end) (end, error) {
	if e, err := netip.ParseAddr(text); err == nil {
		return end{usual.mac, e}, nil
	}
	ip, mac, _ := strings.Cut(text, "@")
	e, err := parseEnd(words{"ip": ip, "mac": mac})
	if err != nil {
		return end{}, fmt.Errorf("%q is no sender: %w", text, err)
	}
	return e, nil
}

// arpBody is ARP for IPv4 over Ethernet, with its EtherType.
func arpBody(src, dst end, reply bool) []byte {
	operation, target := byte(1), make([]byte, 6)
	if reply {
		operation, target = 2, dst.mac
	}
	b := []byte{0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, operation}
	b = append(append(b, src.mac...), src.ip.AsSlice()...)
	return append(append(b, target...), dst.ip.AsSlice()...)
}
