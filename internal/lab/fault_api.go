package lab

import (
	"context"

	"whybot/internal/cloudfake"
)

// dhcp12 is a network that no DHCP agent hosts.
func dhcp12() []Fault {
	want := Want{State: proven, Cause: "DHCP-12"}
	reserve := changePorts(isDHCPPortOf(paymentsNet), func(p *cloudfake.Port) { p.DeviceID = cloudfake.ReservedDHCPPort })
	nowhere := both(unbind(Controller01, paymentsNet), unbind(Controller02, paymentsNet))
	somewhere := both(bind(Controller01, paymentsNet), bind(Controller02, paymentsNet))
	return []Fault{
		{
			ID: "DHCP-12", Variant: "no-agent", Want: want, Doc: "the network is on no DHCP agent, and its DHCP port is gone",
			Inject: inOrder(neutron(both(unbind(Controller01, paymentsNet), withoutPorts(isDHCPPortOf(paymentsNet)))), askAnew),
			Heal:   neutron(bind(Controller01, paymentsNet)),
		},
		{
			ID: "DHCP-12", Variant: "port-reserved", Want: want, Doc: "the network was taken from its DHCP agent; the DHCP port stays reserved",
			Inject: inOrder(neutron(both(unbind(Controller01, paymentsNet), reserve)), askAnew),
			Heal:   neutron(bind(Controller01, paymentsNet)),
		},
		{
			ID: "DHCP-12", Variant: "two-agents-neither", Want: want, Options: Options{SecondController: true},
			Doc:    "two DHCP agents are alive, and the network is on neither",
			Inject: inOrder(neutron(both(nowhere, withoutPorts(isDHCPPortOf(paymentsNet)))), askAnew),
			Heal:   neutron(somewhere),
		},
	}
}

// dhcp13 is a network on which Neutron is not to give addresses, or a port to
// which it gave none.
func dhcp13() []Fault {
	fault := func(variant, doc string, o Options, breakIt, mend func(*cloudfake.Model)) Fault {
		return Fault{
			ID: "DHCP-13", Variant: variant, Doc: doc, Options: o, Want: Want{State: proven, Cause: "DHCP-13"},
			Inject: inOrder(neutron(breakIt), askAnew), Heal: neutron(mend),
		}
	}
	dhcp := func(off bool) func(*cloudfake.Model) {
		return changeSubnet(paymentsNet.SubnetID, func(s *cloudfake.Subnet) { s.NoDHCP = off })
	}
	down := func(down bool) func(*cloudfake.Model) {
		return changeNetwork(paymentsNet.ID, func(n *cloudfake.Network) { n.AdminDown = down })
	}
	return []Fault{
		fault("subnet-without-dhcp", "DHCP is disabled on the subnet", Options{}, dhcp(true), dhcp(false)),
		fault("subnet-without-dhcp-two-agents", "the same where two agents serve the network", Options{SecondController: true}, dhcp(true), dhcp(false)),
		fault("port-without-address", "web-1's port has no fixed IP", Options{}, unknownPort, knownPort),
		fault("network-down", "the network is administratively down", Options{}, down(true), down(false)),
	}
}

// fullPool leaves the subnet fifteen addresses, all of them taken, and the DHCP
// agents without their port.
func fullPool(m *cloudfake.Model) {
	withoutPorts(isDHCPPortOf(paymentsNet))(m)
	changeSubnet(paymentsNet.SubnetID, func(s *cloudfake.Subnet) {
		s.Pools = []cloudfake.Pool{{Start: "10.30.92.96", End: "10.30.92.110"}}
	})(m)
	for {
		address, ok := m.FreeAddress(paymentsNet.SubnetID, "")
		if !ok {
			return
		}
		m.Ports = append(m.Ports, leftoverPort(address))
	}
}

// leftover begins the names of ports that somebody made and forgot.
const leftover = "ci-run-"

func leftoverPort(address string) cloudfake.Port {
	last := address[len(address)-2:]
	return cloudfake.Port{
		ID: "e0e1e2e3-0000-4000-8000-0000000000" + last, Name: leftover + last, NetworkID: paymentsNet.ID, ProjectID: projectID,
		MAC: "fa:16:3e:c1:00:" + last, Status: "DOWN", FixedIPs: []cloudfake.FixedIP{{SubnetID: paymentsNet.SubnetID, Address: address}},
	}
}

// roomyPool takes fullPool back.
func roomyPool(m *cloudfake.Model) {
	withoutPorts(func(p *cloudfake.Port) bool { return len(p.Name) > len(leftover) && p.Name[:len(leftover)] == leftover })(m)
	changeSubnet(paymentsNet.SubnetID, func(s *cloudfake.Subnet) { s.Pools = nil })(m)
}

// dhcp14 is a subnet without a free address, and DHCP agents that need one.
func dhcp14() []Fault {
	fault := func(variant, doc string, o Options) Fault {
		return Fault{
			ID: "DHCP-14", Variant: variant, Doc: doc, Options: o, Want: Want{State: proven, Cause: "DHCP-14"},
			Inject: inOrder(neutron(fullPool), askAnew), Heal: neutron(roomyPool),
		}
	}
	return []Fault{
		fault("agent-without-port", "every address of the pool is taken: the DHCP agent got none for its port and serves nobody", Options{}),
		fault("two-agents-without-port", "the same where two agents should serve the network", Options{SecondController: true}),
	}
}

// changePorts changes the ports that are meant.
func changePorts(meant func(*cloudfake.Port) bool, change func(*cloudfake.Port)) func(*cloudfake.Model) {
	return func(m *cloudfake.Model) {
		for i := range m.Ports {
			if meant(&m.Ports[i]) {
				change(&m.Ports[i])
			}
		}
	}
}

// unbindable is web-1's port after Neutron failed to bind it, and the server in
// the state that Nova puts it into.
func unbindable(m *cloudfake.Model) {
	changePort(webPortID, func(p *cloudfake.Port) { p.VIFType, p.Status = "binding_failed", "DOWN" })(m)
	changeWebServer(func(s *cloudfake.Server) {
		s.Status = "ERROR"
		s.Fault = &cloudfake.ServerFault{Code: 500, Message: "Unexpected vif_type=binding_failed"}
	})(m)
}

func bindable(m *cloudfake.Model) {
	changePort(webPortID, func(p *cloudfake.Port) { p.VIFType, p.Status = "", "" })(m)
	changeWebServer(func(s *cloudfake.Server) { s.Status, s.Fault = "", nil })(m)
}

// dhcp15 is a port that Neutron could not bind: the guest was started without
// it, there is no tap.
func dhcp15() []Fault {
	want := Want{State: proven, Cause: "DHCP-15"}
	agent := agentID(1, Compute01)
	host := func(name string) func(*cloudfake.Model) {
		return changeAgent(agent, func(a *cloudfake.Agent) { a.Host = name })
	}
	mappings := func(m map[string]string) func(*cloudfake.Model) {
		return changeAgent(agent, func(a *cloudfake.Agent) { a.InterfaceMappings = m })
	}
	return []Fault{
		{
			ID: "DHCP-15", Variant: "no-agent-on-host", Want: want,
			Doc:    "Nova says compute01, the L2 agent there calls itself localhost: no agent on the binding host",
			Inject: inOrder(unplugWeb, neutron(both(unbindable, host("localhost")))),
			Heal:   inOrder(neutron(both(bindable, host(Compute01))), plugWeb),
		},
		{
			ID: "DHCP-15", Variant: "agent-dead", Want: want,
			Doc:    "the L2 agent of the binding host was dead when web-1 was started",
			Inject: inOrder(unplugWeb, healed(on(Compute01, stopAgent)), neutron(unbindable)),
			Heal:   inOrder(healed(on(Compute01, "systemctl start neutron-linuxbridge-agent")), neutron(bindable), plugWeb),
		},
		{
			ID: "DHCP-15", Variant: "physnet-not-mapped", Want: want,
			Doc:    "the L2 agent of the binding host has no interface for physnet1",
			Inject: inOrder(unplugWeb, neutron(both(unbindable, mappings(map[string]string{"physnet2": "eth4"})))),
			Heal:   inOrder(neutron(both(bindable, mappings(map[string]string{"physnet1": "eth3"}))), plugWeb),
		},
	}
}

// unplugWeb takes web-1's NIC and its tap away, as when it does not run.
func unplugWeb(ctx context.Context, l *Lab) error {
	if err := l.VM(Web1).StopAsking(ctx); err != nil {
		return err
	}
	_, err := l.VM(Web1).Run(ctx, "ip", "link", "del", "eth0")
	return err
}

// plugWeb starts it again: Nova makes the tap, the L2 agent wires it, and web-1
// asks.
func plugWeb(ctx context.Context, l *Lab) error {
	if _, err := run(ctx, l.guestCable(l.VM(Web1).Guest)+"\n", "ip", "-batch", "-"); err != nil {
		return err
	}
	if _, err := l.VM(Web1).Run(ctx, "ip", "link", "set", "eth0", "up"); err != nil {
		return err
	}
	if err := on(Compute01, restartAgent).do(ctx, l); err != nil {
		return err
	}
	return l.VM(Web1).Renew(ctx)
}
