package demo

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A linkKind is the driver of a link.
type linkKind string

const (
	nicLink    linkKind = "nic"
	bridgeLink linkKind = "bridge"
	vlanLink   linkKind = "vlan"
	tunLink    linkKind = "tun"  // a guest's tap
	vethLink   linkKind = "veth" // the tap of a DHCP server, or its other end
)

// A link is one network interface.
type link struct {
	index  int
	name   string
	kind   linkKind
	mac    mac
	up     bool
	master string // bridge
	parent string // NIC below a VLAN
	vlan   int
	peer   string // what stands behind the @ of a veth
	// plugged says that something holds the other side: a cable, a guest.
	plugged bool
	rx, tx  counter
}

// A linkSet is the links of a node or of a namespace.
type linkSet struct {
	all  []*link
	last int // index given out last
}

func (s *linkSet) add(l link) *link {
	s.last++
	l.index = s.last
	s.all = append(s.all, &l)
	return &l
}

func (s *linkSet) find(name string) *link {
	for _, l := range s.all {
		if l.name == name {
			return l
		}
	}
	return nil
}

// members are the ports of a bridge.
func (s *linkSet) members(bridge string) []*link {
	var ports []*link
	for _, l := range s.all {
		if l.master == bridge {
			ports = append(ports, l)
		}
	}
	return ports
}

// carrier is the state of the layer below.
func (s *linkSet) carrier(l *link) bool {
	switch l.kind {
	case bridgeLink:
		return slices.ContainsFunc(s.members(l.name), s.runs)
	case vlanLink:
		parent := s.find(l.parent)
		return parent != nil && s.runs(parent)
	default:
		return l.plugged
	}
}

// runs reports whether frames go in and out of l.
func (s *linkSet) runs(l *link) bool { return l.up && s.carrier(l) }

// show is what `ip -d -s link show` prints.
func (s *linkSet) show() string {
	var b strings.Builder
	b.WriteString("1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT group default qlen 1000\n" +
		"    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0 addrgenmode eui64 \n")
	for _, l := range s.all {
		name := l.name
		if at := l.parent + l.peer; at != "" {
			name += "@" + at
		}
		master := ""
		if l.master != "" {
			master = " master " + l.master
		}
		fmt.Fprintf(&b, "%d: %s: <%s> mtu 1500 qdisc noqueue%s state %s mode DEFAULT group default qlen 1000\n",
			l.index, name, s.flags(l), master, s.state(l))
		fmt.Fprintf(&b, "    link/ether %s brd ff:ff:ff:ff:ff:ff promiscuity 1 \n", l.mac)
		b.WriteString(s.details(l))
		fmt.Fprintf(&b, "    RX: bytes  packets  errors  dropped overrun mcast   \n    %-10d %-8d 0       0       0       0       \n", l.rx.bytes, l.rx.packets)
		fmt.Fprintf(&b, "    TX: bytes  packets  errors  dropped carrier collsns \n    %-10d %-8d 0       0       0       0       \n", l.tx.bytes, l.tx.packets)
	}
	return b.String()
}

func (s *linkSet) flags(l *link) string {
	flags := "BROADCAST,MULTICAST"
	switch {
	case s.runs(l):
		flags += ",UP,LOWER_UP"
	case l.up:
		flags = "NO-CARRIER," + flags + ",UP"
	}
	return flags
}

func (s *linkSet) state(l *link) string {
	switch {
	case s.runs(l):
		return "UP"
	case l.up && l.kind == vlanLink:
		return "LOWERLAYERDOWN"
	}
	return "DOWN"
}

func (s *linkSet) details(l *link) string {
	text := ""
	switch l.kind {
	case bridgeLink:
		text = "    bridge forward_delay 0 hello_time 200 max_age 2000 ageing_time 30000 stp_state 0 priority 32768 vlan_filtering 0" +
			" nf_call_iptables 0 nf_call_ip6tables 0 nf_call_arptables 0 addrgenmode eui64 \n"
	case vlanLink:
		text = fmt.Sprintf("    vlan protocol 802.1Q id %d <REORDER_HDR> addrgenmode eui64 \n", l.vlan)
	case tunLink:
		text = "    tun addrgenmode eui64 \n"
	case vethLink:
		text = "    veth addrgenmode eui64 \n"
	case nicLink:
	}
	if l.master == "" {
		return text
	}
	port := "disabled"
	if s.runs(l) {
		port = "forwarding"
	}
	return text + fmt.Sprintf("    bridge_slave state %s priority 32 cost 2 hairpin off guard off learning on flood on \n", port)
}

// change does what `ip link WORDS` does and returns what it says and its exit
// code. Only the forms that fixes use are there.
func (s *linkSet) change(words []string) (stderr string, code int, known bool) {
	switch {
	case len(words) >= 4 && form(words[:3], "set", "dev", "*"):
		return s.set(words[2], words[3:])
	case form(words, "add", "link", "*", "name", "*", "type", "vlan", "id", "*"):
		stderr, code = s.addVLAN(words[2], words[4], words[8])
		return stderr, code, true
	case form(words, "del", "dev", "*"):
		at := slices.IndexFunc(s.all, func(l *link) bool { return l.name == words[2] })
		if at < 0 {
			return cannotFind(words[2]), 1, true
		}
		s.all = slices.Delete(s.all, at, at+1)
		return "", 0, true
	}
	return "", 0, false
}

func cannotFind(name string) string { return fmt.Sprintf("Cannot find device %q\n", name) }

func (s *linkSet) set(name string, words []string) (stderr string, code int, known bool) {
	l := s.find(name)
	if l == nil {
		return cannotFind(name), 1, true
	}
	switch {
	case form(words, "up"):
		if parent := s.find(l.parent); l.kind == vlanLink && (parent == nil || !parent.up) {
			return "RTNETLINK answers: Network is down\n", 2, true
		}
		s.setUp(l, true)
	case form(words, "down"):
		s.setUp(l, false)
	case form(words, "nomaster"):
		l.master = ""
	case form(words, "master", "*"):
		if bridge := s.find(words[1]); bridge == nil || bridge.kind != bridgeLink {
			return "Error: argument \"" + words[1] + "\" is wrong: Device does not exist\n", 255, true
		}
		l.master = words[1]
	default:
		return "", 0, false
	}
	return "", 0, true
}

// setUp takes the VLANs of a NIC along, as the kernel does.
func (s *linkSet) setUp(l *link, up bool) {
	l.up = up
	for _, child := range s.all {
		if child.kind == vlanLink && child.parent == l.name {
			child.up = up
		}
	}
}

func (s *linkSet) addVLAN(parent, name, id string) (stderr string, code int) {
	nic := s.find(parent)
	vlan, err := strconv.Atoi(id)
	switch {
	case nic == nil:
		return cannotFind(parent), 1
	case s.find(name) != nil:
		return "RTNETLINK answers: File exists\n", 2
	case err != nil || vlan < 1 || vlan > 4094:
		return fmt.Sprintf("Error: argument %q is wrong: id is invalid\n", id), 255
	}
	s.add(link{name: name, kind: vlanLink, mac: nic.mac, parent: parent, vlan: vlan})
	return "", 0
}
