package lab

import (
	"context"
	"slices"

	"whybot/internal/cloudfake"
)

// A step is one thing done to a lab.
type step = func(context.Context, *Lab) error

// inOrder does one step after the other until one fails.
func inOrder(steps ...step) step {
	return func(ctx context.Context, l *Lab) error {
		for _, s := range steps {
			if err := s(ctx, l); err != nil {
				return err
			}
		}
		return nil
	}
}

// neutron changes what the cloud knows and lets the DHCP agents know.
func neutron(change func(*cloudfake.Model)) step {
	return func(ctx context.Context, l *Lab) error { return l.Neutron(ctx, change) }
}

// askAnew makes web-1 forget its address and ask again.
func askAnew(ctx context.Context, l *Lab) error { return l.VM(Web1).Renew(ctx) }

// serves sees web-1 get its address, and makes it ask again and again.
func serves(ctx context.Context, l *Lab) error { return harmless()(ctx, l) }

// changePort, changeSubnet, changeNetwork and changeAgent change the thing of
// that id, where the cloud has it; changeWebServer changes web-1.
func changePort(id string, change func(*cloudfake.Port)) func(*cloudfake.Model) {
	return func(m *cloudfake.Model) {
		for i := range m.Ports {
			if m.Ports[i].ID == id {
				change(&m.Ports[i])
			}
		}
	}
}

func changeWebServer(change func(*cloudfake.Server)) func(*cloudfake.Model) {
	return func(m *cloudfake.Model) {
		for i := range m.Servers {
			if m.Servers[i].ID == webServerID {
				change(&m.Servers[i])
			}
		}
	}
}

func changeSubnet(id string, change func(*cloudfake.Subnet)) func(*cloudfake.Model) {
	return func(m *cloudfake.Model) {
		for i := range m.Subnets {
			if m.Subnets[i].ID == id {
				change(&m.Subnets[i])
			}
		}
	}
}

func changeNetwork(id string, change func(*cloudfake.Network)) func(*cloudfake.Model) {
	return func(m *cloudfake.Model) {
		for i := range m.Networks {
			if m.Networks[i].ID == id {
				change(&m.Networks[i])
			}
		}
	}
}

func changeAgent(id string, change func(*cloudfake.Agent)) func(*cloudfake.Model) {
	return func(m *cloudfake.Model) {
		for i := range m.Agents {
			if m.Agents[i].ID == id {
				change(&m.Agents[i])
			}
		}
	}
}

// unknownPort makes Neutron forget web-1's addresses; knownPort gives them back.
// A DHCP agent that hears the one and not the other is as one that missed the
// making of the port.
var (
	unknownPort = changePort(webPortID, func(p *cloudfake.Port) { p.FixedIPs = nil })
	knownPort   = changePort(webPortID, func(p *cloudfake.Port) {
		p.FixedIPs = []cloudfake.FixedIP{{SubnetID: paymentsNet.SubnetID, Address: webAddress}}
	})
)

// unbind takes a network from a DHCP agent, bind gives it back.
func unbind(machine string, n Network) func(*cloudfake.Model) {
	return func(m *cloudfake.Model) {
		b := cloudfake.DHCPBinding{AgentID: DHCPAgentID(machine), NetworkID: n.ID}
		m.DHCPBindings = slices.DeleteFunc(m.DHCPBindings, func(have cloudfake.DHCPBinding) bool { return have == b })
	}
}

func bind(machine string, n Network) func(*cloudfake.Model) {
	return func(m *cloudfake.Model) {
		unbind(machine, n)(m)
		m.DHCPBindings = append(m.DHCPBindings, cloudfake.DHCPBinding{AgentID: DHCPAgentID(machine), NetworkID: n.ID})
	}
}

// withoutPorts removes ports.
func withoutPorts(gone func(*cloudfake.Port) bool) func(*cloudfake.Model) {
	return func(m *cloudfake.Model) {
		m.Ports = slices.DeleteFunc(m.Ports, func(p cloudfake.Port) bool { return gone(&p) })
	}
}

func isDHCPPortOf(n Network) func(*cloudfake.Port) bool {
	return func(p *cloudfake.Port) bool { return p.DeviceOwner == dhcpOwner && p.NetworkID == n.ID }
}

// both makes one change of two.
func both(first, second func(*cloudfake.Model)) func(*cloudfake.Model) {
	return func(m *cloudfake.Model) {
		first(m)
		second(m)
	}
}
