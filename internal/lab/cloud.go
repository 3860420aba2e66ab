package lab

import (
	"fmt"
	"os"
	"path/filepath"

	"whybot/internal/cloudfake"
)

// CloudName is the lab's cloud in its clouds.yaml; an administrator's login.
const CloudName = "whylab"

const (
	projectID = "d8bee0a7879c4c80839a5136e5a1be48"
	groupID   = "06025aae-a7de-434c-a451-0d6d5dc6d2b0"
)

// newModel is what OpenStack knows about the plan.
func newModel(p plan, o Options) cloudfake.Model {
	m := cloudfake.Model{Projects: []cloudfake.Project{{ID: projectID, Name: "payments"}}, SecurityGroups: []cloudfake.SecurityGroup{webGroup()}}
	for _, n := range p.networks {
		addNetwork(&m, n)
	}
	for _, g := range p.guests {
		if g.Name == g.Server {
			m.Servers = append(m.Servers, cloudfake.Server{ID: g.ServerID, Name: g.Name, ProjectID: projectID, Host: g.Port.Machine})
		}
		port := modelPort(g.Port)
		port.DeviceID, port.DeviceOwner, port.SecurityGroups = g.ServerID, "compute:nova", []string{groupID}
		m.Ports = append(m.Ports, port)
	}
	for _, d := range p.dhcpPorts {
		m.Ports = append(m.Ports, modelDHCPPort(d))
		m.DHCPBindings = append(m.DHCPBindings, cloudfake.DHCPBinding{AgentID: DHCPAgentID(d.Machine), NetworkID: d.Network.ID})
	}
	for _, r := range p.routerPorts {
		m.Ports = append(m.Ports, modelRouterPort(r))
	}
	for _, name := range p.machines {
		addAgents(&m, p, o, name)
	}
	return m
}

// webGroup is every guest's group, as writeSecurityGroup has it in the chains.
func webGroup() cloudfake.SecurityGroup {
	return cloudfake.SecurityGroup{ID: groupID, Name: "web", ProjectID: projectID, Rules: []cloudfake.SecurityRule{
		{ID: "2d0a7f3e-5b14-4c69-8e70-1f2a3b4c5d60", Direction: "egress"},
		{ID: "3e1b8a4f-6c25-4d7a-9f81-2a3b4c5d6e71", Direction: "ingress", Protocol: "tcp", PortMin: 443, PortMax: 443},
		{ID: icmpRule, Direction: "ingress", Protocol: "icmp"},
		{ID: "5a3daa6b-8e47-4f9c-b1a3-4c5d6e7f8a93", Direction: "ingress", Protocol: "tcp", PortMin: 22, PortMax: 22},
	}}
}

// icmpRule is the rule of webGroup that admits pings.
const icmpRule = "4f2c9b5a-7d36-4e8b-a092-3b4c5d6e7f82"

func addNetwork(m *cloudfake.Model, n Network) {
	m.Networks = append(m.Networks, cloudfake.Network{
		ID: n.ID, Name: n.Name, ProjectID: projectID, Type: n.kind(), PhysicalNet: n.PhysNet, SegmentationID: n.VLAN + n.VNI, MTU: n.mtu(),
	})
	m.Subnets = append(m.Subnets, cloudfake.Subnet{
		ID: n.SubnetID, Name: n.Name + "-v4", NetworkID: n.ID, ProjectID: projectID,
		CIDR: n.Prefix + ".0/24", GatewayIP: n.Prefix + ".1", Nameservers: []string{"10.30.0.53"},
	})
	if n.Six.Mode != NoIPv6 {
		m.Subnets = append(m.Subnets, modelSubnet6(n))
	}
}

func modelPort(p Port) cloudfake.Port {
	port := cloudfake.Port{ID: p.ID, NetworkID: p.Network.ID, ProjectID: projectID, MAC: p.MAC, HostID: p.Machine}
	if p.Address != "" {
		port.FixedIPs = append(port.FixedIPs, cloudfake.FixedIP{SubnetID: p.Network.SubnetID, Address: p.Address})
	}
	if p.Address6 != "" {
		port.FixedIPs = append(port.FixedIPs, cloudfake.FixedIP{SubnetID: p.Network.Six.ID, Address: p.Address6})
	}
	return port
}

const dhcpOwner = "network:dhcp"

// dhcpDeviceID is how Neutron marks a DHCP port as an agent's.
func dhcpDeviceID(p Port) string { return "dhcp" + p.ID + "-" + p.Network.ID }

func modelDHCPPort(p Port) cloudfake.Port {
	port := modelPort(p)
	port.DeviceID, port.DeviceOwner, port.NoPortSecurity = dhcpDeviceID(p), dhcpOwner, true
	return port
}

func addAgents(m *cloudfake.Model, p plan, o Options, machine string) {
	mappings := map[string]string{}
	for _, physnet := range p.physnets() {
		mappings[physnet] = nics[physnet]
	}
	m.Agents = append(m.Agents, cloudfake.Agent{
		ID: agentID(1, machine), Type: "Linux bridge agent", Host: machine,
		Binary: "neutron-linuxbridge-agent", InterfaceMappings: mappings,
		TunnelingIP: o.tunnelAddress(machine), L2Population: o.VXLAN == L2Pop,
	})
	if len(p.dhcpPortsOf(machine)) > 0 {
		m.Agents = append(m.Agents, cloudfake.Agent{ID: DHCPAgentID(machine), Type: "DHCP agent", Host: machine, Binary: "neutron-dhcp-agent"})
	}
	if len(p.routerPortsOf(machine)) > 0 {
		m.Agents = append(m.Agents, cloudfake.Agent{ID: agentID(3, machine), Type: "L3 agent", Host: machine, Binary: l3Agent})
	}
}

// DHCPAgentID returns the id of the DHCP agent on a controller.
func DHCPAgentID(machine string) string { return agentID(2, machine) }

func agentID(kind int, machine string) string {
	return fmt.Sprintf("a%d4e7c2b-58d1-4f36-9b0a-7c8d9e0f1a%02d", kind, machineNumber(machine))
}

// serveCloud starts the API and writes what a client needs to find it.
func (l *Lab) serveCloud() error {
	if err := l.Cloud.Serve(""); err != nil {
		return err
	}
	clouds, err := l.Cloud.WriteCloudsYAML(l.Dir, CloudName, "admin")
	if err != nil {
		return err
	}
	fix := ""
	if l.options.User == probeUser {
		fix = fmt.Sprintf("  fix: {user: %s, identity_file: %s}\n", FixUser, l.FixKey())
	}
	config := fmt.Sprintf("openstack:\n  cloud: %s\n  clouds_file: %s\nssh:\n  config_file: %s\n%sstore:\n  path: %s\n",
		CloudName, clouds, filepath.Join(l.Dir, "ssh_config"), fix, filepath.Join(l.Dir, "whybot.db"))
	return os.WriteFile(l.Config(), []byte(config), 0o600)
}

// Config returns the path of a whybot.yaml for this lab.
func (l *Lab) Config() string { return filepath.Join(l.Dir, "whybot.yaml") }
