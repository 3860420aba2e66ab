package lab

import (
	"fmt"
	"slices"
)

// Machine names, as Neutron and Nova know the hosts.
const (
	Controller01 = "controller01"
	Controller02 = "controller02"
	Compute01    = "compute01"
	Compute02    = "compute02"
)

// Guest names.
const (
	Web1  = "web-1"        // compute01, payments-net: the guest the questions are about
	Web2  = "web-2"        // compute02, payments-net
	DB1   = "db-1"         // compute01, payments-db-net
	AIO1  = "aio-1"        // controller01, payments-net: on the node that serves DHCP
	Flat1 = "flat-1"       // compute01, payments-flat; only with Options.Flat
	Web1b = "web-1-second" // compute01, payments-db-net: web-1's second NIC; only with Options.TwoPorts
	VX1   = "vx-1"         // compute01, payments-app-net; this and the next two only with Options.VXLAN
	VX2   = "vx-2"         // compute02, payments-app-net
	VX3   = "vx-3"         // compute01, payments-job-net
)

// nics maps Neutron's physical networks to the machines' NICs.
var nics = map[string]string{"physnet1": "eth3", "physnet2": "eth4"}

// A Network is a provider or tenant network with one IPv4 subnet, and perhaps
// one of IPv6.
type Network struct {
	ID, Name, PhysNet string
	VLAN              int // 0 for a flat or VXLAN network
	VNI               int // 0 for a network that is not VXLAN
	SubnetID          string
	Prefix            string // the first three octets of its /24
	Six               Subnet6
}

// A Port is a Neutron port of a guest, of a DHCP agent or of a router. A
// router's has an IPv6 address only.
type Port struct {
	ID, MAC, Address string
	Address6         string // empty where the network has no IPv6
	Network          Network
	Machine          string
}

// A Guest is what is known of a VM before it asks for anything. The second NIC
// of a VM is a guest of its own, of the same server: to the network it is one.
type Guest struct {
	Name, ServerID string
	Server         string // the server's name
	Port           Port
}

// A plan is everything a lab is going to be.
type plan struct {
	machines    []string
	networks    []Network
	guests      []Guest
	dhcpPorts   []Port
	routerPorts []Port
}

var (
	paymentsNet = Network{
		ID: "91e78b9c-cf41-4f6e-9d0a-5b1e6f7c2a30", Name: "payments-net", PhysNet: "physnet1", VLAN: 3092,
		SubnetID: "93b9c017-7acc-4c31-898b-518d97880376", Prefix: "10.30.92",
	}
	paymentsDBNet = Network{
		ID: "f9b15cc5-f4b5-4fa7-9d41-9505a3a4fb31", Name: "payments-db-net", PhysNet: "physnet1", VLAN: 3093,
		SubnetID: "b6e3bb8c-f0ab-40fb-9002-c58d4277a892", Prefix: "10.30.93",
	}
	paymentsFlat = Network{
		ID: "5d0c8a1e-7e3b-4b52-a0c4-1f6e2d9b8c47", Name: "payments-flat", PhysNet: "physnet2",
		SubnetID: "e27f4c60-18ad-4c0b-9f3e-6a5d4b3c2f18", Prefix: "10.30.94",
	}
)

func newPlan(o Options) plan {
	payments := paymentsNet
	if o.IPv6 != NoIPv6 {
		payments.Six = payments6(o.IPv6)
	}
	p := plan{
		machines: []string{Controller01, Compute01, Compute02},
		networks: []Network{payments, paymentsDBNet},
		guests: []Guest{
			guest(Web1, webServerID, Compute01, payments, webPortID, 0x11, 101),
			guest(Web2, "b3f0d9c8-5e41-4a7b-8c6d-2e1f0a9b8c7d", Compute02, payments, "b9e40d16-a25c-4f3b-8d7e-6c5b4a392817", 0x12, 23),
			guest(DB1, "d4c3b2a1-9f8e-4d7c-b6a5-948372615f4e", Compute01, paymentsDBNet, "7c25e8f1-3a94-4b6d-a1c8-f0e9d8c7b6a5", 0x21, 121),
			guest(AIO1, "0e1d2c3b-4a59-4867-b574-8392a1b0c9d8", Controller01, payments, "c8f7a6b5-d4e3-4c21-90fe-dcba98765432", 0x13, 131),
		},
	}
	if o.SecondController {
		p.machines = slices.Insert(p.machines, 1, Controller02)
	}
	if o.Flat {
		p.networks = append(p.networks, paymentsFlat)
		p.guests = append(p.guests, guest(Flat1, "f1e2d3c4-b5a6-4978-8a9b-acbdcedf0a1b", Compute01, paymentsFlat, "1b2c3d4e-5f60-4718-9a2b-3c4d5e6f7081", 0x31, 141))
	}
	if o.TwoPorts {
		second := guest(Web1b, webServerID, Compute01, paymentsDBNet, "c5d6e7f8-091a-4b2c-8d3e-4f5a6b7c8d9e", 0x22, 122)
		second.Server = Web1
		p.guests = append(p.guests, second)
	}
	if o.VXLAN != NoVXLAN {
		p.addVXLAN()
	}
	p.routerPorts = routerPorts(payments)
	for i, n := range p.networks {
		for _, m := range p.controllers() {
			p.dhcpPorts = append(p.dhcpPorts, dhcpPort(i, m, n))
		}
	}
	return p
}

func guest(name, server, machine string, n Network, port string, mac, host int) Guest {
	hw := fmt.Sprintf("fa:16:3e:4b:10:%02x", mac)
	return Guest{Name: name, ServerID: server, Server: name, Port: Port{
		ID: port, MAC: hw, Address: fmt.Sprintf("%s.%d", n.Prefix, host), Address6: n.Six.of(hw, host),
		Network: n, Machine: machine,
	}}
}

// dhcpPortIDs are the DHCP ports' ids by network and controller.
var dhcpPortIDs = [...]map[string]string{
	{Controller01: "004b787f-9b2e-4d1c-8a57-6f0c3e91d2b4", Controller02: "5e8d1a2c-7f90-4b3e-a6d5-c4b3a2918070"},
	{Controller01: "a1f6c3d2-e845-4790-b2c1-d0e9f8a7b6c5", Controller02: "e6d7c8b9-0a1f-4e2d-93c4-b5a6978869f0"},
	{Controller01: "2f3e4d5c-6b7a-4899-a0b1-c2d3e4f50617", Controller02: "8c9dae0f-1b2a-43c4-95d6-e7f809a1b2c3"},
	{Controller01: "30a1b2c4-d5e6-4f70-8192-a3b4c5d6e7f8", Controller02: "41b2c3d5-e6f7-4081-92a3-b4c5d6e7f809"},
	{Controller01: "52c3d4e6-f708-4192-a3b4-c5d6e7f8091a", Controller02: "63d4e5f7-0819-42a3-b4c5-d6e7f8091a2b"},
}

func dhcpPort(i int, machine string, n Network) Port {
	number := 1
	if machine == Controller02 {
		number = 2
	}
	mac := fmt.Sprintf("fa:16:3e:0d:%02x:%02x", 0x9b+i, number)
	return Port{
		ID: dhcpPortIDs[i][machine], MAC: mac, Address: fmt.Sprintf("%s.%d", n.Prefix, 9+number),
		Address6: n.Six.of(mac, 9+number), Network: n, Machine: machine,
	}
}

func (p plan) controllers() []string {
	return slices.DeleteFunc(slices.Clone(p.machines), func(m string) bool { return m != Controller01 && m != Controller02 })
}

func (p plan) guestPorts(machine string) []Port {
	var ports []Port
	for _, g := range p.guests {
		if g.Port.Machine == machine {
			ports = append(ports, g.Port)
		}
	}
	return ports
}

func (p plan) dhcpPortsOf(machine string) []Port {
	return slices.DeleteFunc(slices.Clone(p.dhcpPorts), func(port Port) bool { return port.Machine != machine })
}

// guestNamed returns a guest of the plan, or an empty one.
func (p plan) guestNamed(name string) Guest {
	for _, g := range p.guests {
		if g.Name == name {
			return g
		}
	}
	return Guest{}
}

// serverTap is the tap of a network's DHCP port on controller01.
func (p plan) serverTap(n Network) string {
	for _, port := range p.dhcpPortsOf(Controller01) {
		if port.Network.ID == n.ID {
			return port.Tap()
		}
	}
	return ""
}

// networksOf returns the networks that have a port on the machine: the agent
// makes bridges for those only.
func (p plan) networksOf(machine string) []Network {
	return slices.DeleteFunc(slices.Clone(p.networks), func(n Network) bool {
		on := func(port Port) bool { return port.Network.ID == n.ID }
		return !slices.ContainsFunc(p.guestPorts(machine), on) && !slices.ContainsFunc(p.dhcpPortsOf(machine), on)
	})
}

// physnets returns the physical networks in use, in order.
func (p plan) physnets() []string {
	names := []string{"physnet1"}
	if slices.ContainsFunc(p.networks, func(n Network) bool { return n.PhysNet == "physnet2" }) {
		names = append(names, "physnet2")
	}
	return names
}

// machineNumber is the last octet of a machine's addresses.
func machineNumber(name string) int {
	return map[string]int{Controller01: 31, Controller02: 32, Compute01: 41, Compute02: 42}[name]
}

// nicMAC is the MAC of a machine's NIC: the nodes are VMs on vSphere.
func nicMAC(machine, nic string) string {
	return fmt.Sprintf("00:50:56:a1:%02d:%02d", machineNumber(machine), nicNumber(nic))
}

func nicNumber(nic string) int { return int(nic[len(nic)-1] - '0') }
