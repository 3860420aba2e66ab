package demo

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

// The names of the demo's cloud.
const (
	controller = "controller01"
	compute    = "compute01"

	network     = "91e78b9c-cf41-4f6e-9d0a-5b1e6f7c2a30"
	subnet      = "5b0f1c3e-7d2a-4e86-9c41-2f8a6d3b7e15"
	vlanID      = 3092
	nic         = "eth3"
	dhcpPortID  = "004b787f-9b2e-4d1c-8a57-6f0c3e91d2b4"
	dhcpMAC     = "fa:16:3e:0d:9b:02"
	dhcpAddress = "192.168.92.2"
	dhcpAgentID = "c1f0a7d2-3b64-4e9f-8d15-7a2e90b4c6d8"
)

// A vm is a guest as the scenario lists it.
type vm struct{ name, id, port, mac, address string }

// vms are the demo's guests. The first asks for an address; the second holds
// one from before.
var vms = []vm{
	{"web-1", "6a1f5b7e-3c52-4d0e-9a9c-0b7d1f2e3a41", "3d1c2f4a-0b6e-4c8d-9e7f-a1b2c3d4e5f6", "fa:16:3e:4b:10:11", "192.168.92.11"},
	{"web-2", "0c9d8e7f-6a5b-4c3d-8e2f-1a0b9c8d7e6f", "b9e40d16-a27c-4f3b-9d58-6e1f0a2b3c4d", "fa:16:3e:4b:10:13", "192.168.92.13"},
}

// rejectRule is the fault, and on the compute node its harmless double.
const rejectRule = "-A FORWARD -j REJECT --reject-with icmp-host-prohibited"

// build makes the nodes, the guests and what OpenStack says of them.
func (c *Cloud) build() error {
	ports := []int{22, 80, 3306, 5000, 5672, 6080, 8774, 8776, 9292, 9696, 11211}
	control, err := newMachine(controller, 0x31, serverRules(), ports)
	if err != nil {
		return err
	}
	control.files["/proc/sys/net/ipv4/ip_forward"] = "1\n" // it routes for the L3 agent
	comp, err := newMachine(compute, 0x41, guestRules(), []int{22})
	if err != nil {
		return err
	}
	c.machines = []*machine{control, comp}
	c.addOpenStack()
	c.addGuests(comp)
	c.addServer(control)
	return nil
}

// newMachine makes a node with the links every node of the network has.
func newMachine(name string, number byte, neutron string, ports []int) (*machine, error) {
	saved := savedRules(ports)
	fw, err := newFirewall(liveRules(saved, neutron))
	if err != nil {
		return nil, err
	}
	m := &machine{
		name: name, firewall: fw, learnt: map[mac]string{},
		files: map[string]string{bridgeNF: "1\n", "/proc/sys/net/ipv4/ip_forward": "0\n", node.RuleFiles[0]: saved},
	}
	hw := func(last byte) mac { return mac{0x00, 0x50, 0x56, 0xa1, number, last} }
	m.links.last = 1 // lo
	m.links.add(link{name: "eth0", kind: nicLink, mac: hw(0), up: true, plugged: true})
	m.links.add(link{name: nic, kind: nicLink, mac: hw(3), up: true, plugged: true})
	m.links.add(link{name: bridge(), kind: bridgeLink, mac: hw(3), up: true})
	m.links.add(link{name: segment(), kind: vlanLink, mac: hw(3), up: true, master: bridge(), parent: nic, vlan: vlanID})
	return m, nil
}

func bridge() string  { return commands.BridgeName(network) }
func segment() string { return fmt.Sprintf("%s.%d", nic, vlanID) }

func (c *Cloud) addGuests(m *machine) {
	for i, v := range vms {
		hw, _ := parseMAC(v.mac)
		tap := hw
		tap[0] = 0xfe // as libvirt makes it
		m.links.add(link{name: commands.TapName(v.port), kind: tunLink, mac: tap, up: true, master: bridge(), plugged: true})
		g := &guest{machine: m, tap: commands.TapName(v.port), mac: hw, pace: c.pace, xid: 0x3092_0000 + uint32(i)<<12}
		if i > 0 {
			const day = 24 * time.Hour
			g.address, g.until, g.renews = netip.MustParseAddr(v.address), time.Now().Add(day), time.Now().Add(day/2)
		}
		c.guests = append(c.guests, g)
	}
}

// addServer makes the DHCP namespace and starts its dnsmasq.
func (c *Cloud) addServer(m *machine) {
	hw, _ := parseMAC(dhcpMAC)
	tap, inside := commands.TapName(dhcpPortID), commands.NetnsDevice(dhcpPortID)
	outer := m.links.add(link{name: tap, kind: vethLink, mac: mac{0x06, 0x11, 0x79, 0x93, 0xc5, 0x91}, up: true, master: bridge(), peer: "if2", plugged: true})
	n := &namespace{
		name: node.Namespace(network), device: inside, tap: tap, mac: hw, address: netip.MustParseAddr(dhcpAddress),
		neighbours: map[netip.Addr]*neighbour{},
	}
	n.links.last = 1
	n.links.add(link{name: inside, kind: vethLink, mac: hw, up: true, peer: fmt.Sprintf("if%d", outer.index), plugged: true})
	m.space = n
	c.lastPID = 2117
	c.serve(m)
}

// addOpenStack makes what Nova and Neutron say.
func (c *Cloud) addOpenStack() {
	now := time.Now()
	l2 := map[string]runners.Agent{}
	for i, host := range []string{controller, compute} {
		l2[host] = runners.Agent{
			ID: fmt.Sprintf("7e3a91c4-5d28-4b06-a1f9-8c60d2e47b3%d", i), Type: "Linux bridge agent", Host: host, Binary: "neutron-linuxbridge-agent",
			Alive: true, AdminUp: true, Heartbeat: now, InterfaceMappings: map[string]string{"physnet1": nic},
		}
	}
	agent := runners.Agent{
		ID: dhcpAgentID, Type: "DHCP agent", Host: controller, Binary: "neutron-dhcp-agent", Alive: true, AdminUp: true, Heartbeat: now,
	}
	c.attachments = map[string]runners.Attachment{}
	for _, v := range vms {
		c.servers = append(c.servers, runners.Server{
			ID: v.id, Name: v.name, ProjectID: "payments", Status: "ACTIVE", Host: runners.Known(compute), Created: now, Addresses: []string{v.address},
		})
		c.attachments[v.id] = runners.Attachment{
			Port: port(v.port, "compute:nova", v.mac, v.address, compute),
			Network: runners.Network{
				ID: network, Name: "payments-net", AdminUp: true, MTU: 1500, Type: runners.Known("vlan"),
				PhysicalNet: runners.Known("physnet1"), SegmentationID: runners.Known(vlanID),
			},
			Subnets:    []runners.Subnet{{ID: subnet, NetworkID: network, CIDR: "192.168.92.0/24", IPVersion: 4, DHCP: true, GatewayIP: "192.168.92.1"}},
			DHCPPorts:  []runners.Port{port(dhcpPortID, "network:dhcp", dhcpMAC, dhcpAddress, controller)},
			DHCPAgents: runners.Known([]runners.Agent{agent}),
			L2Agents:   runners.Known(l2),
		}
	}
}

func port(id, owner, hw, address, host string) runners.Port {
	return runners.Port{
		ID: id, NetworkID: network, DeviceOwner: owner, MAC: hw, Status: "ACTIVE", AdminUp: true,
		FixedIPs:     []runners.FixedIP{{SubnetID: subnet, Address: address}},
		PortSecurity: runners.Known(owner != "network:dhcp"), HostID: runners.Known(host), VIFType: runners.Known("bridge"),
	}
}

// savedRules is the file that the distribution's firewall starts with.
func savedRules(ports []int) string {
	var b strings.Builder
	b.WriteString("# sample configuration for iptables service\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n" +
		"-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -p icmp -j ACCEPT\n-A INPUT -i lo -j ACCEPT\n")
	for _, p := range ports {
		fmt.Fprintf(&b, "-A INPUT -p tcp -m state --state NEW -m tcp --dport %d -j ACCEPT\n", p)
	}
	b.WriteString("-A INPUT -j REJECT --reject-with icmp-host-prohibited\n" + rejectRule + "\nCOMMIT\n")
	return b.String()
}

// liveRules is what is in force after the Linux bridge agent has put its
// chains in front of what the file has.
func liveRules(saved, neutron string) string {
	chains, rules, _ := strings.Cut(neutron, "\n-A ")
	const front = "-A FORWARD -j neutron-filter-top\n-A FORWARD -j neutron-linuxbri-FORWARD\n"
	text := strings.Replace(saved, ":OUTPUT ACCEPT [0:0]\n", ":OUTPUT ACCEPT [0:0]\n"+chains+"\n-A INPUT -j neutron-linuxbri-INPUT\n", 1)
	text = strings.Replace(text, rejectRule, front+rejectRule, 1)
	return strings.Replace(text, "COMMIT\n", "-A OUTPUT -j neutron-filter-top\n-A OUTPUT -j neutron-linuxbri-OUTPUT\n-A "+rules+"COMMIT\n", 1)
}

// neutronChains are the chains that the agent always makes.
const neutronChains = `:neutron-filter-top - [0:0]
:neutron-linuxbri-FORWARD - [0:0]
:neutron-linuxbri-INPUT - [0:0]
:neutron-linuxbri-OUTPUT - [0:0]
:neutron-linuxbri-local - [0:0]
:neutron-linuxbri-sg-chain - [0:0]
:neutron-linuxbri-sg-fallback - [0:0]
`

const fallbackDrop = `-A neutron-linuxbri-sg-fallback -m comment --comment "Default drop rule for unmatched traffic." -j DROP
`

// serverRules are the agent's rules on the network node, as releases before 13
// write them: a trusted port is accepted in one direction only.
func serverRules() string {
	return neutronChains + "-A neutron-filter-top -j neutron-linuxbri-local\n" +
		"-A neutron-linuxbri-FORWARD -m physdev --physdev-out " + commands.TapName(dhcpPortID) +
		" --physdev-is-bridged -m comment --comment \"Accept all packets when port is trusted.\" -j ACCEPT\n" +
		"-A neutron-linuxbri-sg-chain -j ACCEPT\n" + fallbackDrop
}

// securityGroup is what the agent writes for a guest's port, with $TAP,
// $ID, $ADDRESS and $MAC to be filled in.
const securityGroup = `-A neutron-linuxbri-FORWARD -m physdev --physdev-out $TAP --physdev-is-bridged -m comment --comment "Direct traffic from the VM interface to the security group chain." -j neutron-linuxbri-sg-chain
-A neutron-linuxbri-FORWARD -m physdev --physdev-in $TAP --physdev-is-bridged -m comment --comment "Direct traffic from the VM interface to the security group chain." -j neutron-linuxbri-sg-chain
-A neutron-linuxbri-INPUT -m physdev --physdev-in $TAP --physdev-is-bridged -m comment --comment "Direct incoming traffic from VM to the security group chain." -j neutron-linuxbri-o$ID
-A neutron-linuxbri-i$ID -m state --state RELATED,ESTABLISHED -m comment --comment "Direct packets associated with a known session to the RETURN chain." -j RETURN
-A neutron-linuxbri-i$ID -d $ADDRESS/32 -p udp -m udp --sport 67 --dport 68 -j RETURN
-A neutron-linuxbri-i$ID -d 255.255.255.255/32 -p udp -m udp --sport 67 --dport 68 -j RETURN
-A neutron-linuxbri-i$ID -p icmp -j RETURN
-A neutron-linuxbri-i$ID -p tcp -m tcp --dport 22 -j RETURN
-A neutron-linuxbri-i$ID -m comment --comment "Send unmatched traffic to the fallback chain." -j neutron-linuxbri-sg-fallback
-A neutron-linuxbri-o$ID -s 0.0.0.0/32 -d 255.255.255.255/32 -p udp -m udp --sport 68 --dport 67 -m comment --comment "Allow DHCP client traffic." -j RETURN
-A neutron-linuxbri-o$ID -j neutron-linuxbri-s$ID
-A neutron-linuxbri-o$ID -p udp -m udp --sport 68 --dport 67 -m comment --comment "Allow DHCP client traffic." -j RETURN
-A neutron-linuxbri-o$ID -p udp -m udp --sport 67 --dport 68 -m comment --comment "Prevent DHCP Spoofing by VM." -j DROP
-A neutron-linuxbri-o$ID -m state --state RELATED,ESTABLISHED -m comment --comment "Direct packets associated with a known session to the RETURN chain." -j RETURN
-A neutron-linuxbri-o$ID -j RETURN
-A neutron-linuxbri-s$ID -s $ADDRESS/32 -m mac --mac-source $MAC -m comment --comment "Allow traffic from defined IP/MAC pairs." -j RETURN
-A neutron-linuxbri-s$ID -m comment --comment "Drop traffic without an IP/MAC allow rule." -j DROP
-A neutron-linuxbri-sg-chain -m physdev --physdev-out $TAP --physdev-is-bridged -m comment --comment "Jump to the VM specific chain." -j neutron-linuxbri-i$ID
-A neutron-linuxbri-sg-chain -m physdev --physdev-in $TAP --physdev-is-bridged -m comment --comment "Jump to the VM specific chain." -j neutron-linuxbri-o$ID
`

// guestRules are the agent's rules on the compute node: a security group for
// each guest, all of which accept before the REJECT is reached.
func guestRules() string {
	chains, rules := neutronChains, "-A neutron-filter-top -j neutron-linuxbri-local\n"
	for _, v := range vms {
		id := v.port[:10]
		for _, kind := range []string{"i", "o", "s"} {
			chains += ":neutron-linuxbri-" + kind + id + " - [0:0]\n"
		}
		rules += strings.NewReplacer("$TAP", commands.TapName(v.port), "$ID", id, "$ADDRESS", v.address, "$MAC", v.mac).Replace(securityGroup)
	}
	return chains + rules + "-A neutron-linuxbri-sg-chain -j ACCEPT\n" + fallbackDrop
}
