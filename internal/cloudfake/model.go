package cloudfake

import (
	"slices"
	"time"
)

// A Model is everything a Cloud knows. Its fields are plain so that a lab can
// fill them from the machines it has just made; the zero value of a field means
// the ordinary healthy case wherever there is one.
type Model struct {
	Projects     []Project
	Users        []User
	Servers      []Server
	Networks     []Network
	Subnets      []Subnet
	Ports        []Port
	Agents       []Agent
	DHCPBindings []DHCPBinding
	FloatingIPs  []FloatingIP

	SecurityGroups []SecurityGroup

	// ConsoleURL is novncproxy_base_url of the compute nodes; port 6080 of
	// controller01 when empty.
	ConsoleURL string
	// ComputeServices are Nova's services.
	ComputeServices []ComputeService

	Volumes        []Volume
	Snapshots      []Snapshot
	VolumeServices []VolumeService
	Transfers      []Transfer
	VolumeGroups   []VolumeGroup
	VolumeMessages []VolumeMessage
}

// A Project is a Keystone project.
type Project struct{ ID, Name string }

// A User is a Keystone user with one role in one project.
type User struct {
	ID, Name, Password string
	ProjectID          string
	// Role is admin, member or reader.
	Role string
}

// A Server is a Nova instance. The addresses Nova lists are worked out from
// the ports whose DeviceID is the server's and from their floating IPs.
type Server struct {
	ID, Name          string
	ProjectID, UserID string
	Status            string // ACTIVE when empty
	TaskState         string
	Host              string // the compute node; null in the API when empty
	HostStatus        string // UP when empty and Host is set
	Fault             *ServerFault
	Created, Updated  time.Time
	Metadata          map[string]string
	VolumeIDs         []string
	// DyingVolumes are those of VolumeIDs that Nova deletes with the server.
	DyingVolumes []string
	// Actions are what was asked of it, in any order.
	Actions []ServerAction
	// Deleted is when it was deleted: then its Status is DELETED, and only
	// administrators who ask for deleted servers are shown it.
	Deleted time.Time
	// ConsoleLog is the whole text of the serial console.
	ConsoleLog string
	// Console is the VNC console, as its compute node tells Nova.
	Console Console
}

// A Console is where a proxy connects to for a server's console.
type Console struct {
	Host string // Server.Host when empty
	Port int    // 5900 when zero
	// Disabled answers that there is no such console.
	Disabled bool
}

// A ComputeService is a service of Nova, which runs.
type ComputeService struct{ Binary, Host string }

// A ServerAction is a line of a server's history.
type ServerAction struct {
	Action  string
	Started time.Time
	Failed  bool
}

// A ServerFault is why Nova put a server into ERROR.
type ServerFault struct {
	Code             int
	Message, Details string
	Created          time.Time
}

// A Network is a Neutron network.
type Network struct {
	ID, Name       string
	ProjectID      string
	AdminDown      bool
	Shared         bool
	MTU            int    // 1500 when zero
	Type           string // vlan when empty
	PhysicalNet    string // null in the API when empty
	SegmentationID int    // null in the API when zero
}

// A Subnet is a Neutron subnet.
type Subnet struct {
	ID, Name, NetworkID string
	ProjectID           string
	CIDR                string
	GatewayIP           string // null in the API when empty
	NoDHCP              bool
	Nameservers         []string
	// Pools are the allocation pools; when nil, one from the tenth address of
	// the subnet up to, at most, its hundred and ninety-ninth.
	Pools []Pool
	// RAMode and AddressMode are ipv6_ra_mode and ipv6_address_mode; null in the
	// API when empty.
	RAMode, AddressMode string
}

// A Pool is a range of addresses that a subnet gives out, both ends included.
type Pool struct{ Start, End string }

// A FixedIP is one address of a port.
type FixedIP struct{ SubnetID, Address string }

// A Port is a Neutron port.
type Port struct {
	ID, Name, NetworkID string
	ProjectID           string
	DeviceID            string
	DeviceOwner         string // "compute:nova", "network:dhcp", ...
	MAC                 string
	Status              string // ACTIVE when empty
	AdminDown           bool
	FixedIPs            []FixedIP
	SecurityGroups      []string
	NoPortSecurity      bool
	HostID              string
	VIFType             string // bridge when empty and HostID is set, else unbound
	MigratingTo         string // the host that a live migration moves it to
}

// A SecurityGroup is a Neutron security group with its rules.
type SecurityGroup struct {
	ID, Name, ProjectID string
	Rules               []SecurityRule
}

// A SecurityRule lets something pass, over IPv4.
type SecurityRule struct {
	ID, Direction string
	Protocol      string // null in the API when empty
	// PortMin and PortMax are null when zero; of ICMP no test needs the type 0.
	PortMin, PortMax int
	// RemotePrefix and RemoteGroup are null when empty.
	RemotePrefix, RemoteGroup string
}

// An Agent is a Neutron agent.
type Agent struct {
	ID, Type, Host    string // Type: "DHCP agent", "Linux bridge agent", ...
	Binary            string
	Dead              bool // whatever Cloud.AgentAlive says
	AdminDown         bool
	Heartbeat         time.Time // when zero: now, or ten minutes ago of a dead agent
	InterfaceMappings map[string]string
	// TunnelingIP is the address of a linuxbridge agent's tunnels; an agent
	// without one reports nothing about tunnels.
	TunnelingIP  string
	L2Population bool
}

// A DHCPBinding says that a DHCP agent serves a network.
type DHCPBinding struct{ AgentID, NetworkID string }

// A FloatingIP is a Neutron floating IP; PortID is the port it is mapped to.
type FloatingIP struct {
	ID, ProjectID         string
	Address, FixedAddress string
	PortID                string
	FloatingNetworkID     string
}

// withDefaults gives a model one project and one user per role where it has
// none, so that a caller who only cares about networks need not name them.
func (m Model) withDefaults() Model {
	if len(m.Projects) == 0 {
		m.Projects = []Project{{ID: "d8bee0a7879c4c80839a5136e5a1be48", Name: "payments"}}
	}
	for i, role := range roles {
		if slices.ContainsFunc(m.Users, func(u User) bool { return u.Role == role }) {
			continue
		}
		m.Users = append(m.Users, User{
			ID: "c1f3e97752354cceb1dc832f0d80e05" + string(rune('0'+i)), Name: role,
			Password: "fake-password-of-" + role, ProjectID: m.Projects[0].ID, Role: role,
		})
	}
	return m
}

// roles are the roles of Keystone's default policy, in the order of power.
var roles = []string{"admin", "member", "reader"}
