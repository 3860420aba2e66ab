package runners

import (
	"slices"
	"time"
)

// A Server is a Nova instance.
type Server struct {
	ID, Name  string
	ProjectID string
	// Status as Nova spells it: ACTIVE, SHUTOFF, BUILD, ERROR, ...
	Status    string
	TaskState string
	// Host is the compute node's host name; hidden from ordinary members.
	Host Maybe[string]
	// Fault is Nova's own message when Status is ERROR.
	Fault     string
	Created   time.Time
	Addresses []string // every fixed and floating address Nova lists
}

// A Port is a Neutron port with its binding.
type Port struct {
	ID, Name, NetworkID string
	DeviceID            string
	DeviceOwner         string // "compute:nova", "network:dhcp", ...
	MAC                 string // lower case, colons
	Status              string // ACTIVE, DOWN, BUILD
	AdminUp             bool
	FixedIPs            []FixedIP
	SecurityGroups      []string
	PortSecurity        Maybe[bool]
	HostID              Maybe[string] // binding:host_id
	VIFType             Maybe[string] // binding:vif_type: "bridge", "ovs", "binding_failed", "unbound"
	// MigratingTo is the host that a live migration moves the port to
	// (binding:profile migrating_to); known and empty when there is none.
	MigratingTo Maybe[string]
}

// Owns reports whether a frame with these source addresses comes from the port:
// by its MAC, or where that is not shown by one of its addresses.
func (p Port) Owns(mac, address string) bool {
	if p.MAC != "" {
		return p.MAC == mac
	}
	return slices.ContainsFunc(p.FixedIPs, func(ip FixedIP) bool { return ip.Address == address })
}

// A FixedIP is one address of a port.
type FixedIP struct{ SubnetID, Address string }

// A Network is a Neutron network. The provider fields are hidden from members.
type Network struct {
	ID, Name       string
	AdminUp        bool
	MTU            int
	Type           Maybe[string] // "vlan", "flat", "vxlan"
	PhysicalNet    Maybe[string] // "physnet1"; known and empty for vxlan
	SegmentationID Maybe[int]    // VLAN id or VNI; known and 0 for flat
}

// A Subnet is a Neutron subnet.
type Subnet struct {
	ID, NetworkID, CIDR string
	IPVersion           int
	DHCP                bool
	GatewayIP           string
	// AddressMode and RAMode are ipv6_address_mode and ipv6_ra_mode: "slaac",
	// "dhcpv6-stateless", "dhcpv6-stateful", or empty. An empty RAMode leaves
	// router advertisements to a router that is not Neutron's.
	AddressMode, RAMode string
	Pools               []Pool
}

// A Pool is a range of addresses that a subnet gives out, both ends included.
type Pool struct{ Start, End string }

// An AddressUse says how many of a subnet's pool addresses are taken.
type AddressUse struct{ Used, Total uint64 }

// An Agent is a Neutron agent.
type Agent struct {
	ID, Type, Host string // Type: "DHCP agent", "Linux bridge agent", ...
	Binary         string
	Alive, AdminUp bool
	Heartbeat      time.Time
	// InterfaceMappings is the linuxbridge agent's physnet -> NIC map; nil for others.
	InterfaceMappings map[string]string
	// BridgeMappings is its physnet -> bridge map: on such a physical network
	// it uses that bridge for every network instead of making one of its own.
	BridgeMappings map[string]string
	// TunnelingIP is where its tunnels end, TunnelTypes what they may be; empty
	// for an agent without tunnels.
	TunnelingIP string
	TunnelTypes []string
	// L2Population says whether Neutron tells the agent where everything is.
	L2Population Maybe[bool]
	// Networks is how many networks a DHCP agent says that it serves.
	Networks Maybe[int]
}

// An Attachment is one of a server's ports with everything Neutron says about
// how it gets an address.
type Attachment struct {
	Port    Port
	Network Network
	Subnets []Subnet
	// DHCPPorts are the network's ports with device_owner network:dhcp.
	DHCPPorts []Port
	// DHCPAgents are the agents that host the network.
	DHCPAgents Maybe[[]Agent]
	// L2Agents are the L2 agents of every host on the path, by host name.
	L2Agents Maybe[map[string]Agent]
	// Agents are all of Neutron's agents, of every kind and host.
	Agents Maybe[[]Agent]
	// RouterPorts are the network's ports with device_owner
	// network:router_interface (or its distributed and HA kinds).
	RouterPorts []Port
	// Use is how full the network's subnets are, by subnet id.
	Use Maybe[map[string]AddressUse]
}

// Served returns the subnets of ip version version that the port has an
// address in and that DHCP serves.
func (a Attachment) Served(version int) []Subnet {
	var served []Subnet
	for _, s := range a.OwnSubnets() {
		if s.DHCP && s.IPVersion == version {
			served = append(served, s)
		}
	}
	return served
}

// OwnSubnets returns the subnets that the port has an address in, each once.
func (a Attachment) OwnSubnets() []Subnet {
	return slices.DeleteFunc(slices.Clone(a.Subnets), func(s Subnet) bool {
		return !slices.ContainsFunc(a.Port.FixedIPs, func(ip FixedIP) bool { return ip.SubnetID == s.ID })
	})
}

// A CloudRef names something that an OpenStack API keeps.
type CloudRef struct {
	// Kind is "network", "subnet" or "port", or one of those below.
	Kind string
	ID   string
}

// HostingAgents is the kind of the set of DHCP agents that host a network; its
// id is the network's.
const HostingAgents = "dhcp-agents"

// ServerVolume is the kind of a volume that Nova holds for a server; its id is
// the server's, a slash and the volume's. VolumeBackend is that of a back end of
// Cinder, by its service's host@backend.
const (
	ServerVolume  = "server-volume"
	VolumeBackend = "volume-backend"
)

// A CloudObject is what an API says of it now: the attributes that may be
// changed, each as JSON. Of HostingAgents it is the agents' ids.
type CloudObject map[string]string

// A CloudCall is one change through an OpenStack API. Making it again changes
// nothing more.
type CloudCall struct {
	Op   string
	Args map[string]string
	Show string // the same for the openstack client
}

// Operations of a CloudCall.
const (
	// CloudSet gives an attribute another value if it still has the one it is
	// known by. Args: kind, id, attribute, from, to.
	CloudSet = "set"
	// CloudAddDHCPNetwork has a DHCP agent host a network. Args: agent, network.
	CloudAddDHCPNetwork = "add-dhcp-network"
	// CloudRemoveDHCPNetwork takes a network off a DHCP agent. Args: agent, network.
	CloudRemoveDHCPNetwork = "remove-dhcp-network"
)
