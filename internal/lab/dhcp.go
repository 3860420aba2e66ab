package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"whybot/internal/cloudfake"
)

// A dhcpHost is one line of dnsmasq's host file.
type dhcpHost struct{ mac, address string }

// dhcpOrders are the files by which Neutron tells a DHCP agent about one
// network: the agent's own port, and what goes into dnsmasq's files.
func dhcpOrders(p Port, hosts []dhcpHost) map[string]string {
	n := p.Network
	var host, addn strings.Builder
	for _, h := range hosts {
		name := "host-" + strings.NewReplacer(".", "-", ":", "-").Replace(h.address)
		if strings.Contains(h.address, ":") {
			fmt.Fprintf(&host, "%s,tag:dhcpv6,%s.openstacklocal,[%s]\n", h.mac, name, h.address)
		} else {
			fmt.Fprintf(&host, "%s,%s.openstacklocal,%s\n", h.mac, name, h.address)
		}
		fmt.Fprintf(&addn, "%s\t%s.openstacklocal %s\n", h.address, name, name)
	}
	return map[string]string{
		"port":       fmt.Sprintf("%s %s %s %s %s %s.0 %d\n", p.ID, p.MAC, p.Address, n.Bridge(), n.SubnetID, n.Prefix, n.mtu()),
		"port6":      dhcpOrders6(p),
		"host":       host.String(),
		"addn_hosts": addn.String(),
		"opts": fmt.Sprintf("tag:subnet-%s,option:dns-server,10.30.0.53\ntag:subnet-%s,option:router,%s.1",
			n.SubnetID, n.SubnetID, n.Prefix),
	}
}

// ordersOf works out from what the cloud knows which networks a machine's DHCP
// agent has to serve and how. refused are the networks that it should serve and
// cannot, because there is no address left for its port.
func (p plan) ordersOf(m *cloudfake.Model, machine string) (orders map[string]map[string]string, refused []string) {
	orders = map[string]map[string]string{}
	for _, port := range p.dhcpPortsOf(machine) {
		if !servedBy(m, machine, port.Network) {
			continue
		}
		address, ok := claimDHCPPort(m, port)
		if !ok {
			refused = append(refused, port.Network.ID)
			continue
		}
		port.Address = address
		orders[port.Network.ID] = dhcpOrders(port, hostsOf(m, port.Network.ID))
	}
	return orders, refused
}

// servedBy tells whether a machine's DHCP agent has to serve a network.
func servedBy(m *cloudfake.Model, machine string, n Network) bool {
	bound := slices.Contains(m.DHCPBindings, cloudfake.DHCPBinding{AgentID: DHCPAgentID(machine), NetworkID: n.ID})
	up := slices.ContainsFunc(m.Networks, func(have cloudfake.Network) bool { return have.ID == n.ID && !have.AdminDown })
	dhcp := slices.ContainsFunc(m.Subnets, func(s cloudfake.Subnet) bool { return s.ID == n.SubnetID && !s.NoDHCP })
	return bound && up && dhcp
}

// claimDHCPPort sees to it that the agent has its port, as Neutron does: the one
// it has, the one that was reserved when the network was taken from it, or a
// new one, for which there must be an address.
func claimDHCPPort(m *cloudfake.Model, p Port) (address string, ok bool) {
	for i := range m.Ports {
		if have := &m.Ports[i]; have.ID == p.ID {
			have.DeviceID = dhcpDeviceID(p)
			return have.FixedIPs[0].Address, true
		}
	}
	address, ok = m.FreeAddress(p.Network.SubnetID, p.Address)
	if ok {
		p.Address = address
		m.Ports = append(m.Ports, modelDHCPPort(p))
	}
	return address, ok
}

// releaseDHCPPort gives back the port of a network that an agent has stopped to
// serve; one that Neutron reserved is not the agent's any more.
func releaseDHCPPort(m *cloudfake.Model, p Port) {
	m.Ports = slices.DeleteFunc(m.Ports, func(have cloudfake.Port) bool {
		return have.ID == p.ID && have.DeviceID == dhcpDeviceID(p)
	})
}

// hostsOf reads from the cloud's model which addresses a network's DHCP server
// hands out.
func hostsOf(m *cloudfake.Model, networkID string) []dhcpHost {
	var hosts []dhcpHost
	for _, p := range m.Ports {
		if p.NetworkID != networkID || p.DeviceOwner == dhcpOwner || p.DeviceOwner == routerOwner {
			continue
		}
		for _, ip := range p.FixedIPs {
			if handsOut(m, ip) {
				hosts = append(hosts, dhcpHost{p.MAC, ip.Address})
			}
		}
	}
	slices.SortFunc(hosts, func(a, b dhcpHost) int { return strings.Compare(a.address, b.address) })
	return hosts
}

// firstOrders are what the DHCP agents are told when they start.
func (l *Lab) firstOrders() map[string]map[string]map[string]string {
	told := map[string]map[string]map[string]string{}
	l.Cloud.Update(func(m *cloudfake.Model) {
		for _, name := range l.plan.controllers() {
			told[name], _ = l.plan.ordersOf(m, name) // a fresh plan has an address for every port
		}
	})
	return told
}

const ordersDir = "/usr/lib/whylab/dhcp"

// Neutron changes what the cloud knows and lets the agents know, as the API
// would.
func (l *Lab) Neutron(ctx context.Context, change func(*cloudfake.Model)) error {
	l.Cloud.Update(change)
	return l.tellAgents(ctx)
}

func (l *Lab) tellAgents(ctx context.Context) error {
	l.telling.Lock()
	defer l.telling.Unlock()
	return errors.Join(l.tellDHCPAgents(ctx), l.tellL2Agents(ctx))
}

// onChange is what Neutron does on the nodes after somebody used its API.
func (l *Lab) onChange() {
	ctx, cancel := context.WithTimeout(context.Background(), bootTimeout)
	defer cancel()
	if err := l.tellAgents(ctx); err != nil {
		l.options.Log.Error("neutron's agents", "error", err)
	}
}

// tellDHCPAgents brings every DHCP agent's orders up to date. An agent that
// runs and listens acts on what is new to it; another one finds it when it is
// started.
func (l *Lab) tellDHCPAgents(ctx context.Context) error {
	for _, name := range l.plan.controllers() {
		var orders map[string]map[string]string
		var refused []string
		l.Cloud.Update(func(m *cloudfake.Model) { orders, refused = l.plan.ordersOf(m, name) })
		if err := l.tellDHCPAgent(ctx, l.machines[name], orders); err != nil {
			return fmt.Errorf("lab: DHCP agent of %s: %w", name, err)
		}
		if err := l.logRefused(ctx, l.machines[name], refused); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) tellDHCPAgent(ctx context.Context, m *Machine, orders map[string]map[string]string) error {
	for _, p := range l.plan.dhcpPortsOf(m.Name) {
		id := p.Network.ID
		was, is := l.told[m.Name][id], orders[id]
		if maps.Equal(was, is) {
			continue
		}
		if err := writeOrders(ctx, m, id, is); err != nil {
			return err
		}
		verb := "reload"
		switch {
		case is == nil:
			verb = "disable"
		case was["port"] != is["port"] || was["opts"] != is["opts"]:
			verb = "enable"
		}
		l.told[m.Name][id] = is
		if !l.listens(m) {
			continue
		}
		if is == nil {
			l.Cloud.Update(func(c *cloudfake.Model) { releaseDHCPPort(c, p) })
		}
		if _, err := m.Run(ctx, "/usr/lib/whylab/dhcp-agent", verb, id); err != nil {
			return err
		}
	}
	return nil
}

// listens tells whether a machine's DHCP agent runs and has its queue.
func (l *Lab) listens(m *Machine) bool {
	if !l.agentRuns(m.Name, dhcpAgent) {
		return false
	}
	_, err := m.ReadFile(deafMark)
	return err != nil
}

// writeOrders writes what Neutron would tell about one network; nil orders are
// none.
func writeOrders(ctx context.Context, m *Machine, networkID string, files map[string]string) error {
	dir := filepath.Join(ordersDir, networkID)
	if files == nil {
		_, err := m.Run(ctx, "rm", "-rf", dir)
		return err
	}
	if _, err := m.Run(ctx, "mkdir", "-p", dir); err != nil {
		return err
	}
	for _, f := range slices.Sorted(maps.Keys(files)) {
		if err := m.WriteFile(filepath.Join(dir, f), files[f]); err != nil {
			return err
		}
	}
	return nil
}

// logRefused writes into an agent's log what Neutron answered it when it wanted
// an address for its port.
func (l *Lab) logRefused(ctx context.Context, m *Machine, networks []string) error {
	if !l.listens(m) {
		return nil
	}
	for _, id := range networks {
		line := "ERROR neutron.agent.dhcp.agent [-] Unable to enable dhcp for " + id + ".: oslo_messaging.rpc.client.RemoteError: " +
			"Remote error: IpAddressGenerationFailure No more IP addresses available on network " + id + "."
		if _, err := m.Sh(ctx, logLine, l.options.agentLog("dhcp-agent"), "0", line); err != nil {
			return err
		}
	}
	return nil
}
