package lab

import (
	"context"
	"fmt"
	"maps"
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
		name := "host-" + strings.ReplaceAll(h.address, ".", "-")
		fmt.Fprintf(&host, "%s,%s.openstacklocal,%s\n", h.mac, name, h.address)
		fmt.Fprintf(&addn, "%s\t%s.openstacklocal %s\n", h.address, name, name)
	}
	return map[string]string{
		"port":       fmt.Sprintf("%s %s %s %s %s %s.0 %d\n", p.ID, p.MAC, p.Address, n.Bridge(), n.SubnetID, n.Prefix, n.mtu()),
		"host":       host.String(),
		"addn_hosts": addn.String(),
		"opts": fmt.Sprintf("tag:subnet-%s,option:dns-server,10.30.0.53\ntag:subnet-%s,option:router,%s.1",
			n.SubnetID, n.SubnetID, n.Prefix),
	}
}

// hostsOf reads from the cloud's model which addresses a network's DHCP server
// hands out.
func (l *Lab) hostsOf(networkID string) []dhcpHost {
	var hosts []dhcpHost
	l.Cloud.Update(func(m *cloudfake.Model) {
		for _, p := range m.Ports {
			if p.NetworkID != networkID || p.DeviceOwner == "network:dhcp" {
				continue
			}
			for _, ip := range p.FixedIPs {
				hosts = append(hosts, dhcpHost{p.MAC, ip.Address})
			}
		}
	})
	slices.SortFunc(hosts, func(a, b dhcpHost) int { return strings.Compare(a.address, b.address) })
	return hosts
}

// onDHCPNetwork does on a node what its DHCP agent does when Neutron binds a
// network to it or takes it away.
func (l *Lab) onDHCPNetwork(host, networkID string, added bool) {
	if err := l.resync(host, networkID, added); err != nil {
		l.options.Log.Error("dhcp agent", "host", host, "network_id", networkID, "added", added, "error", err)
	}
}

func (l *Lab) resync(host, networkID string, added bool) error {
	m, ok := l.machines[host]
	i := slices.IndexFunc(l.plan.dhcpPorts, func(p Port) bool { return p.Machine == host && p.Network.ID == networkID })
	if !ok || i < 0 {
		return fmt.Errorf("lab: no DHCP port of %s on %s", networkID, host)
	}
	ctx, cancel := context.WithTimeout(context.Background(), bootTimeout)
	defer cancel()
	orders := "/usr/lib/whylab/dhcp/" + networkID
	if !added {
		_, err := m.Sh(ctx, `rm -rf "$1"; /usr/lib/whylab/dhcp-agent disable "$2"`, orders, networkID)
		return err
	}
	files := dhcpOrders(l.plan.dhcpPorts[i], l.hostsOf(networkID))
	if _, err := m.Run(ctx, "mkdir", "-p", orders); err != nil {
		return err
	}
	for _, f := range slices.Sorted(maps.Keys(files)) {
		if err := m.WriteFile(orders+"/"+f, files[f]); err != nil {
			return err
		}
	}
	_, err := m.Run(ctx, "/usr/lib/whylab/dhcp-agent", "enable", networkID)
	return err
}
