package differential

import (
	"encoding/binary"
	"net/netip"

	"whybot/commands/netfilter"
)

const etherHeader = 14

// frame is the Ethernet frame of a shot, with a tag in what it carries.
func (s shot) frame(tag []byte) []byte {
	src, dst := s.macs()
	f := append(append([]byte{}, dst...), src...)
	switch {
	case s.arp():
		return append(binary.BigEndian.AppendUint16(f, 0x0806), s.arpPayload(tag)...)
	case s.v6():
		return append(binary.BigEndian.AppendUint16(f, 0x86dd), s.ipv6(tag)...)
	default:
		return append(binary.BigEndian.AppendUint16(f, 0x0800), s.ipv4(tag)...)
	}
}

// arpPayload asks for, or gives, an address; the tag is in the padding.
func (s shot) arpPayload(tag []byte) []byte {
	op, target := byte(1), []byte{0, 0, 0, 0, 0, 0}
	if s.Kind == arpReply {
		op, target = 2, farMAC(s.To)
	}
	src, dst := s.src().As4(), s.dst().As4()
	b := append([]byte{0, 1, 8, 0, 6, 4, 0, op}, farMAC(s.From)...)
	b = append(append(b, src[:]...), target...)
	return append(append(append(b, dst[:]...), tag...), make([]byte, 18)...)
}

func (s shot) tos() byte {
	if s.From == host {
		return ownTOS
	}
	return 0
}

func (s shot) ipv4(tag []byte) []byte {
	l4 := s.segment(tag)
	proto, _ := s.packet().Proto.Get()
	ip := []byte{0x45, s.tos(), 0, 0, 0, 0, 0, 0, 64, proto, 0, 0}
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(l4)))
	ip = append(ip, s.src().AsSlice()...)
	ip = append(ip, s.dst().AsSlice()...)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	return append(ip, l4...)
}

func (s shot) ipv6(tag []byte) []byte {
	l4 := s.segment(tag)
	proto, _ := s.packet().Proto.Get()
	ip := []byte{0x60, s.tos() << 4, 0, 0, 0, 0, proto, 255}
	ip[0] |= s.tos() >> 4
	binary.BigEndian.PutUint16(ip[4:], uint16(len(l4)))
	ip = append(ip, s.src().AsSlice()...)
	ip = append(ip, s.dst().AsSlice()...)
	return append(ip, l4...)
}

// segment is the transport header and what follows it, with its checksum.
func (s shot) segment(tag []byte) []byte {
	p := s.packet()
	proto, _ := p.Proto.Get()
	head := binary.BigEndian.AppendUint16(nil, s.Sport)
	head = binary.BigEndian.AppendUint16(head, s.Dport)
	at := 6 // where the checksum is
	switch proto {
	case netfilter.ProtoUDP:
		head = append(head, 0, byte(8+len(tag)), 0, 0)
	case netfilter.ProtoTCP:
		head, at = append(head, 0, 0, 0, 1, 0, 0, 0, 0, 5<<4, 2, 0xff, 0xff, 0, 0, 0, 0), 16
	default:
		kind, _ := p.ICMPType.Get()
		head, at = []byte{kind, 0, 0, 0, byte(s.Sport >> 8), byte(s.Sport), 0, 1}, 2
		if s.Kind == routerAdvert {
			// Lifetimes of nothing, and an option that nobody knows.
			head = append([]byte{kind, 0, 0, 0, 64, 0}, make([]byte, 10)...)
			tag = append(append([]byte{253, 2}, tag...), make([]byte, 6)...)
		}
	}
	b := append(head, tag...)
	binary.BigEndian.PutUint16(b[at:], checksum(append(pseudoHeader(p.Src, p.Dst, proto, len(b)), b...)))
	return b
}

// pseudoHeader is what the checksum of a segment covers besides; ICMP of IPv4
// has none.
func pseudoHeader(src, dst netip.Addr, proto uint8, length int) []byte {
	if proto == netfilter.ProtoICMP {
		return nil
	}
	b := append(src.AsSlice(), dst.AsSlice()...)
	return append(b, 0, 0, byte(length>>8), byte(length), 0, 0, 0, proto)
}

func checksum(b []byte) uint16 {
	if len(b)%2 == 1 {
		b = append(b[:len(b):len(b)], 0)
	}
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
