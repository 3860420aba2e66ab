package node

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"whybot/runners"
)

// LinksProbe lists every link with its details and counters. The text form is
// read because iproute2 before 4.13 (RHEL 7) has no JSON.
func LinksProbe() runners.Probe {
	return runners.Probe{Name: "ip-link", Argv: []string{"ip", "-d", "-s", "link", "show"}}
}

// A Link is one network interface of a node.
type Link struct {
	Name string
	// Parent is what stands behind the @: the NIC below a VLAN, or a peer's
	// index such as "if6". It is unreliable for veths.
	Parent string
	MAC    string
	MTU    int
	// Master is the bridge (or bond) the link is enslaved to; empty for none.
	Master string
	// Kind is the driver kind of the details line: "bridge", "vlan", "vxlan",
	// "veth", "tun", "macvlan"; empty for hardware and for kinds not listed.
	Kind string
	// Up is the administrative state, Carrier the lower layer's.
	Up, Carrier bool
	// VLAN is the id of a VLAN link, VNI that of a VXLAN link.
	VLAN, VNI int
	// VXLAN is the tunnel of a VXLAN link; nil for other kinds.
	VXLAN *VXLAN
	// PortState is the spanning-tree state as a bridge port: "forwarding", ...
	PortState string
	// PortTimer is what is left of the state that the port is passing through.
	PortTimer time.Duration
	// STP is a bridge's spanning tree: "0" off, "1" the kernel's, "2" that of a
	// program; empty when the listing does not print it.
	STP string
	// ForwardDelay is how long a port of a bridge stays in each state before it
	// forwards.
	ForwardDelay time.Duration
	// NFCallIPTables is the bridge's own nf_call_iptables attribute; nil when
	// the listing does not print it (iproute2 before 4.8).
	NFCallIPTables *bool
	// NFCallIP6Tables is the same of IPv6.
	NFCallIP6Tables *bool
	// RXPackets and TXPackets count since the link was made. On a tap, RX is
	// what the guest sent.
	RXPackets, TXPackets uint64
}

// Links are all links of one node or namespace, by name.
type Links map[string]Link

// Members returns the names of the links enslaved to bridge.
func (ls Links) Members(bridge string) []string {
	var names []string
	for name, l := range ls {
		if l.Master == bridge {
			names = append(names, name)
		}
	}
	return names
}

// ParseLinks reads `ip -d -s link show` (or `ip -d -s addr show`). Text in
// which no link is found is an error: every node has at least a loopback.
func ParseLinks(text string) (Links, error) {
	links := Links{}
	var cur *Link
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if line[0] != ' ' {
			l, err := parseLinkHead(line)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			if cur != nil {
				links[cur.Name] = *cur
			}
			cur = &l
			continue
		}
		if cur == nil {
			return nil, fmt.Errorf("line %d: details before any link: %.60q", i+1, line)
		}
		next := ""
		if i+1 < len(lines) {
			next = lines[i+1]
		}
		parseLinkDetail(cur, strings.Fields(line), strings.Fields(next))
	}
	if cur == nil {
		return nil, fmt.Errorf("no link in %d bytes of text", len(text))
	}
	links[cur.Name] = *cur
	return links, nil
}

// parseLinkHead reads `6: eth3.3092@eth3: <BROADCAST,UP> mtu 1500 … master brq… state UP …`.
func parseLinkHead(line string) (Link, error) {
	words := strings.Fields(line)
	if len(words) < 3 || !strings.HasSuffix(words[0], ":") || !strings.HasPrefix(words[2], "<") {
		return Link{}, fmt.Errorf("not a link: %.60q", line)
	}
	var l Link
	l.Name, l.Parent, _ = strings.Cut(strings.TrimSuffix(words[1], ":"), "@")
	for _, flag := range strings.Split(strings.Trim(words[2], "<>"), ",") {
		switch flag {
		case "UP":
			l.Up = true
		case "LOWER_UP":
			l.Carrier = true
		}
	}
	for i := 3; i+1 < len(words); i++ {
		switch words[i] {
		case "mtu":
			l.MTU, _ = strconv.Atoi(words[i+1])
		case "master":
			l.Master = words[i+1]
		}
	}
	return l, nil
}

func parseLinkDetail(l *Link, words, next []string) {
	switch words[0] {
	case "link/ether":
		if len(words) > 1 {
			l.MAC = strings.ToLower(words[1])
		}
	case "RX:":
		l.RXPackets = counter(next)
	case "TX:":
		l.TXPackets = counter(next)
	case "bridge_slave":
		l.PortState = after(words, "state")
		if left, err := strconv.ParseFloat(after(words, "forward_delay_timer"), 64); err == nil {
			l.PortTimer = time.Duration(left * float64(time.Second)).Round(10 * time.Millisecond)
		}
	case "bridge":
		l.Kind = "bridge"
		l.STP = after(words, "stp_state")
		if hundredths, err := strconv.ParseInt(after(words, "forward_delay"), 10, 32); err == nil {
			l.ForwardDelay = time.Duration(hundredths) * 10 * time.Millisecond
		}
		if v := after(words, "nf_call_iptables"); v != "" {
			on := v == "1"
			l.NFCallIPTables = &on
		}
		if v := after(words, "nf_call_ip6tables"); v != "" {
			on := v == "1"
			l.NFCallIP6Tables = &on
		}
	case "vlan":
		l.Kind = "vlan"
		l.VLAN, _ = strconv.Atoi(after(words, "id"))
	case "vxlan":
		l.Kind = "vxlan"
		l.VNI, _ = strconv.Atoi(after(words, "id"))
		l.VXLAN = parseVXLAN(words)
	case "veth", "tun", "macvlan", "bond", "team", "dummy":
		l.Kind = words[0]
	}
}

// counter reads the packets column of the line below an RX: or TX: header.
func counter(words []string) uint64 {
	if len(words) < 2 {
		return 0
	}
	n, _ := strconv.ParseUint(words[1], 10, 64)
	return n
}

// after returns the word behind key, or "".
func after(words []string, key string) string {
	for i := 0; i+1 < len(words); i++ {
		if words[i] == key {
			return words[i+1]
		}
	}
	return ""
}

// Excerpt returns the lines of `ip -d -s link show` about one device, or a
// line that says it is not there.
func Excerpt(text, device string) string {
	var b strings.Builder
	in := false
	for line := range strings.Lines(text) {
		if line[0] != ' ' {
			words := strings.Fields(line)
			in = len(words) > 1 && (words[1] == device+":" || strings.HasPrefix(words[1], device+"@"))
		}
		if in {
			b.WriteString(line)
		}
	}
	if b.Len() == 0 {
		return "(no device " + device + ")\n"
	}
	return b.String()
}
