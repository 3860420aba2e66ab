package commandstest

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A captureSection is what a capture at a hop shows.
type captureSection struct {
	node, device string // either may be a pattern
	fails        string // name of the failure; empty when it does not
	frames       []frameLine
}

// A frameLine is one frame, as a fixture says it.
type frameLine struct {
	at    time.Duration // since all captures listen
	word  string        // "discover", "offer", ...
	from  string        // the server, as ADDRESS or ADDRESS@MAC; empty for the only one
	gives netip.Addr    // the address offered, when it is not the guest's
	sum   string        // "good" or "bad" for a UDP checksum; empty for none
	tag   uint16        // the VLAN it has on a NIC; 0 for the network's
	to    string        // end of the tunnel; empty for that of the other node
}

// A message is what a word means in DHCP.
type message struct {
	kind      byte // value of option 53
	reply     bool
	broadcast bool
}

var messages = map[string]message{
	"discover": {kind: 1, broadcast: true}, "request": {kind: 3, broadcast: true}, "renew": {kind: 3},
	"offer": {kind: 2, reply: true}, "ack": {kind: 5, reply: true}, "nak": {kind: 6, reply: true, broadcast: true},
}

func parseCapture(nodeName, device, text string) (captureSection, error) {
	s := captureSection{node: nodeName, device: device}
	for _, line := range lines(text) {
		if kind, ok := strings.CutPrefix(line, "error: "); ok {
			_, err := parseKind(kind)
			s.fails = kind
			return s, err
		}
		f, err := parseFrame(line)
		if err != nil {
			return s, err
		}
		s.frames = append(s.frames, f)
	}
	return s, nil
}

// parseFrame reads "+1.001 offer from 192.168.92.2 sum bad".
func parseFrame(line string) (frameLine, error) {
	words := strings.Fields(line)
	if len(words) < 2 || len(words)%2 != 0 {
		return frameLine{}, fmt.Errorf("%q is not a frame", line)
	}
	seconds, err := strconv.ParseFloat(words[0], 64)
	if err != nil || seconds < 0 || !strings.HasPrefix(words[0], "+") {
		return frameLine{}, fmt.Errorf("%q does not begin with a time such as +1.000", line)
	}
	_, ok := messages[words[1]]
	_, ping := pingWords[words[1]]
	if _, ok6 := messages6[words[1]]; !ok && !ok6 && !ping {
		return frameLine{}, fmt.Errorf("%q is no message a fixture knows", words[1])
	}
	f := frameLine{at: time.Duration(seconds * float64(time.Second)), word: words[1]}
	for i := 2; i < len(words); i += 2 {
		if err := f.set(words[i], words[i+1]); err != nil {
			return frameLine{}, fmt.Errorf("%q: %w", line, err)
		}
	}
	return f, nil
}

// set takes one of the pairs of words that may stand behind a message.
func (f *frameLine) set(key, value string) error {
	var err error
	switch {
	case key == "from":
		f.from = value
	case key == "to":
		f.to = value
	case key == "gives":
		f.gives, err = netip.ParseAddr(value)
	case key == "tag":
		var id uint64
		id, err = strconv.ParseUint(value, 10, 12)
		f.tag = uint16(id)
	case key == "sum" && (value == "good" || value == "bad"):
		f.sum = value
	default:
		err = fmt.Errorf("a frame has no %s %s", key, value)
	}
	return err
}

// An end is one end of a conversation.
type end struct {
	mac net.HardwareAddr
	ip  netip.Addr
}

var (
	everyone = end{net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, netip.AddrFrom4([4]byte{255, 255, 255, 255})}
	nobody   = netip.IPv4Unspecified()
)

// bytes is the frame on the wire, tagged when vlan is not 0.
func (f frameLine) bytes(guest, server end, vlan uint16) []byte {
	m := messages[f.word]
	src, dst, sport, dport := end{guest.mac, nobody}, server, uint16(68), uint16(67)
	if m.reply {
		src, dst, sport, dport = server, guest, 67, 68
	} else if !m.broadcast {
		src = guest
	}
	if m.broadcast {
		dst = everyone
	}
	b := append(append([]byte{}, dst.mac...), src.mac...)
	if vlan != 0 && f.tag != 0 {
		vlan = f.tag
	}
	if vlan != 0 {
		b = binary.BigEndian.AppendUint16(append(b, 0x81, 0x00), vlan)
	}
	b = append(b, 0x08, 0x00)
	b = append(b, ipv4(src.ip, dst.ip, udpSize)...)
	b = binary.BigEndian.AppendUint16(b, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	b = binary.BigEndian.AppendUint16(b, udpSize)
	b = append(b, 0, 0) // no checksum: allowed for UDP over IPv4
	given := guest
	if f.gives.IsValid() {
		given.ip = f.gives
	}
	b = append(b, m.bootp(given)...)
	if f.sum != "" {
		f.sumUp(b[len(b)-udpSize:], src.ip, dst.ip)
	}
	return b
}

// sumUp puts the checksum into a UDP datagram, or a wrong one.
func (f frameLine) sumUp(datagram []byte, src, dst netip.Addr) {
	sum := uint32(17 + udpSize)
	for _, part := range [][]byte{src.AsSlice(), dst.AsSlice(), datagram} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	right := ^uint16(sum)
	if f.sum == "bad" {
		right ^= 0x0101
	}
	binary.BigEndian.PutUint16(datagram[6:], right)
}

// Sizes in bytes: of a message as clients send it, and with its headers.
const (
	bootpSize = 300
	udpSize   = 8 + bootpSize
)

// ipv4 is the header of a packet between src and dst with so many bytes of UDP.
func ipv4(src, dst netip.Addr, size int) []byte {
	h := binary.BigEndian.AppendUint16([]byte{0x45, 0}, uint16(20+size)) //nolint:gosec // a few hundred bytes
	h = append(h, 0, 0, 0, 0, 64, 17, 0, 0)
	h = append(append(h, src.AsSlice()...), dst.AsSlice()...)
	var sum uint32
	for i := 0; i < len(h); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum+sum>>16))
	return h
}

// bootp is the message itself (RFC 2131).
func (m message) bootp(guest end) []byte {
	b := make([]byte, bootpSize)
	b[0], b[1], b[2] = 1, 1, 6 // a request, over Ethernet
	copy(b[4:], []byte{0x11, 0x5a, 0xa0, 0x7e})
	if m.reply {
		b[0] = 2
		copy(b[16:], guest.ip.AsSlice())
	}
	copy(b[28:], guest.mac)
	copy(b[236:], []byte{99, 130, 83, 99, 53, 1, m.kind, 255})
	return b
}

// pcapHeader begins a capture of Ethernet frames with times in microseconds.
var pcapHeader = []byte{
	0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0,
}

// pcapRecord is one frame in a capture.
func pcapRecord(at time.Time, frame []byte) []byte {
	var b []byte
	for _, n := range []int64{at.Unix(), int64(at.Nanosecond() / 1000), int64(len(frame)), int64(len(frame))} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n)) //nolint:gosec // lengths are small and the seconds fit until 2106
	}
	return append(b, frame...)
}
