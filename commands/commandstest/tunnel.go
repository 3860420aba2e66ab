package commandstest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// The UDP ports of VXLAN: the kernel's own, and the assigned one.
const (
	tunnelPort      = 8472
	otherTunnelPort = 4789
)

// tunnelled is a frame as the NIC below a VXLAN device sees it: in a packet
// between the guest's node and the server's, unless its line says to whom else.
func (w *world) tunnelled(frame []byte, line frameLine, vni int) ([]byte, error) {
	src, err := w.tunnelOf(w.f.cloud.first("port")["host"])
	if err != nil {
		return nil, err
	}
	dst, err := w.serversTunnel(line)
	if err != nil {
		return nil, err
	}
	if messages[line.word].reply {
		src, dst = dst, src
	}
	if line.to != "" {
		if dst, err = netip.ParseAddr(line.to); err != nil {
			return nil, err
		}
	}
	b := append([]byte{0, 0x50, 0x56, 0xa1, 0x31, 1, 0, 0x50, 0x56, 0xa1, 0x41, 1, 0x08, 0x00}, ipv4(src, dst, 16+len(frame))...)
	b = binary.BigEndian.AppendUint16(b, 56960)
	b = binary.BigEndian.AppendUint16(b, tunnelPort)
	b = binary.BigEndian.AppendUint16(b, uint16(16+len(frame))) //nolint:gosec // a frame has a few hundred bytes
	b = append(b, 0, 0, 0x08, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(vni)<<8) //nolint:gosec // 24 bits
	return append(b, frame...), nil
}

// serversTunnel is the end of the tunnel on the node of a frame's server.
func (w *world) serversTunnel(line frameLine) (netip.Addr, error) {
	for _, words := range w.f.cloud["dhcp"] {
		if line.from == "" || words["ip"] == line.from {
			return w.tunnelOf(words["host"])
		}
	}
	return netip.Addr{}, fmt.Errorf("there is no DHCP server %q", line.from)
}

// tunnelOf is where the agent of a node says its tunnels end.
func (w *world) tunnelOf(host string) (netip.Addr, error) {
	for _, words := range w.f.cloud["l2-agent"] {
		if words["host"] == host {
			return netip.ParseAddr(words["tunnel"])
		}
	}
	return netip.Addr{}, fmt.Errorf("the cloud has no agent with a tunnel on %q", host)
}
