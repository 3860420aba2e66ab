package lab

import "fmt"

// Neutron cuts an id to eleven characters when it makes a device name of it.
const idInName = 11

func short(id string) string { return id[:min(idInName, len(id))] }

// TapName returns the name of a port's tap device on its node.
func TapName(portID string) string { return "tap" + short(portID) }

// BridgeName returns the name of a network's bridge on every node.
func BridgeName(networkID string) string { return "brq" + short(networkID) }

// DHCPNamespace returns the name of a network's DHCP namespace.
func DHCPNamespace(networkID string) string { return "qdhcp-" + networkID }

// dhcpDevice is the DHCP port's end inside the DHCP namespace.
func dhcpDevice(portID string) string { return "ns-" + short(portID) }

// chainName is a security group chain of a port: i(ngress), o(utgress) or
// s(poofing), and ten characters of the id.
func chainName(kind, portID string) string {
	return "neutron-linuxbri-" + kind + portID[:min(idInName-1, len(portID))]
}

// Uplink returns the device by which a network's bridge reaches the wire.
func (n Network) Uplink() string {
	switch {
	case n.VNI != 0:
		return fmt.Sprintf("vxlan-%d", n.VNI)
	case n.VLAN == 0:
		return n.nic()
	}
	return fmt.Sprintf("%s.%d", n.nic(), n.VLAN)
}

// Bridge returns the name of the network's bridge.
func (n Network) Bridge() string { return BridgeName(n.ID) }

func (n Network) nic() string {
	if n.VNI != 0 {
		return tunnelNIC
	}
	return nics[n.PhysNet]
}

// kind is the network's type as Neutron calls it.
func (n Network) kind() string {
	switch {
	case n.VNI != 0:
		return "vxlan"
	case n.VLAN == 0:
		return "flat"
	}
	return "vlan"
}

// Tap returns the name of the port's tap device.
func (p Port) Tap() string { return TapName(p.ID) }
