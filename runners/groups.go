package runners

// A SecurityRule is a rule of a security group: what it lets pass. There are none
// that deny.
type SecurityRule struct {
	ID, GroupID string
	Direction   string // "ingress", "egress"
	EtherType   string // "IPv4", "IPv6"
	Protocol    string // "icmp", "tcp", a number, ...; empty or "any" for all
	// PortMin and PortMax are the ends of a range of ports; of ICMP the type and
	// the code. Nil is any.
	PortMin, PortMax *int
	// Of RemotePrefix, RemoteGroup and RemoteAddresses (an address group's id) at
	// most one is set; none is everybody.
	RemotePrefix, RemoteGroup, RemoteAddresses string
}
