package differential

import (
	"net"
	"net/netip"
	"slices"
)

// The node has a bridge with three ports and two interfaces between which it
// routes. Every interface is a veth whose far end is on the wire.
const (
	bridge = "br0"
	// host stands for the node itself, as sender or as receiver.
	host = "node"
	// everyone is the receiver of a broadcast or multicast.
	everyone = "all"
)

var (
	ports  = []string{"p0", "p1", "p2"}
	routed = []string{"r0", "r1"}
	links  = slices.Concat(ports, routed)
)

func isPort(name string) bool { return slices.Contains(ports, name) }

// farMAC is the address of the machine behind an interface.
func farMAC(name string) net.HardwareAddr {
	return net.HardwareAddr{2, 0, 0, 0, 0, byte(slices.Index(links, name))}
}

// nearMAC is the node's own address on the network behind an interface.
func nearMAC(name string) net.HardwareAddr {
	if isPort(name) || name == bridge {
		return net.HardwareAddr{2, 0, 0, 0, 0, 0xfe}
	}
	return net.HardwareAddr{2, 0, 0, 0, 1, byte(slices.Index(links, name))}
}

// subnet numbers the network behind an interface; the ports share the bridge's.
func subnet(name string) byte {
	switch name {
	case "r0":
		return 8
	case "r1":
		return 7
	default:
		return 9
	}
}

// farIP is the address of the machine behind an interface.
func farIP(name string, v6 bool) netip.Addr {
	n := byte(1)
	if isPort(name) {
		n += byte(slices.Index(ports, name))
	}
	return address(subnet(name), n, v6)
}

// nearIP is the node's own address on the network behind an interface.
func nearIP(name string, v6 bool) netip.Addr { return address(subnet(name), 254, v6) }

func address(net, n byte, v6 bool) netip.Addr {
	if v6 {
		return netip.AddrFrom16([16]byte{0: 0xfd, 1: net, 15: n})
	}
	return netip.AddrFrom4([4]byte{10, net, 0, n})
}

// device is what -i and -o show for an interface: the bridge for its ports.
func device(name string) string {
	if isPort(name) {
		return bridge
	}
	return name
}

// local are the node's own addresses.
var local = localAddresses()

func localAddresses() []netip.Prefix {
	all := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")}
	for _, d := range []string{bridge, "r0", "r1"} {
		all = append(all, netip.PrefixFrom(nearIP(d, false), 24), netip.PrefixFrom(nearIP(d, true), 64))
	}
	return all
}
