package lab

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// tunnelNIC carries the VXLAN packets: the management network.
	tunnelNIC = "eth1"
	// tunnelPort is the kernel's own VXLAN port, which linuxbridge agents use.
	tunnelPort = 8472
	// tunnelGroup is the agent's default vxlan_group: all hosts.
	tunnelGroup = "224.0.0.1"
	// tunnelAccept is the line of the distribution's firewall that lets the
	// tunnels in.
	tunnelAccept = "INPUT -p udp -m udp --dport 8472 -j ACCEPT"

	ethernetMTU = 1500
	tunnelMTU   = 1450 // less the outer headers
)

var (
	paymentsApp = Network{
		ID: "2c7e91d4-06ab-4f58-b3c1-9d8e7f6a5b40", Name: "payments-app-net", VNI: 1207,
		SubnetID: "3d8fa2e5-17bc-4069-84d2-ae9f807b6c51", Prefix: "10.30.95",
	}
	paymentsJob = Network{
		ID: "4e90b3f6-28cd-417a-95e3-bfa0918c7d62", Name: "payments-job-net", VNI: 1208,
		SubnetID: "5fa1c407-39de-428b-a6f4-c0b1a29d8e73", Prefix: "10.30.96",
	}
)

// addVXLAN adds two VXLAN networks and their guests: one network with a guest
// on either compute node, so that its devices have several peers.
func (p *plan) addVXLAN() {
	p.networks = append(p.networks, paymentsApp, paymentsJob)
	p.guests = append(p.guests,
		guest(VX1, "60b2d518-4aef-439c-b705-d1c2b3ae9f84", Compute01, paymentsApp, "71c3e629-5bf0-44ad-8816-e2d3c4bfa095", 0x41, 151),
		guest(VX2, "82d4f73a-6c01-45be-9927-f3e4d5c0b1a6", Compute02, paymentsApp, "93e5084b-7d12-46cf-aa38-04f5e6d1c2b7", 0x42, 152),
		guest(VX3, "a4f6195c-8e23-47d0-bb49-1506f7e2d3c8", Compute01, paymentsJob, "b5072a6d-9f34-48e1-8c5a-2617e8f3e4d9", 0x51, 161),
	)
}

// mtu is what Neutron lets a network's guests send.
func (n Network) mtu() int {
	if n.VNI != 0 {
		return tunnelMTU
	}
	return ethernetMTU
}

// tunnelAddress is where a machine's tunnels end (local_ip); empty when it has
// none.
func (o Options) tunnelAddress(machine string) string {
	if o.VXLAN == NoVXLAN {
		return ""
	}
	return vtep(machine)
}

// vtep is a machine's address in the management network.
func vtep(machine string) string { return fmt.Sprintf("172.30.200.%d", machineNumber(machine)) }

// tunnelConfig is the agent's own configuration of tunnels.
func (o Options) tunnelConfig(machine string) string {
	if o.VXLAN == NoVXLAN {
		return "[vxlan]\nenable_vxlan = false\n"
	}
	text := "[vxlan]\nenable_vxlan = true\nlocal_ip = " + vtep(machine) + "\n"
	if o.VXLAN == L2Pop {
		text += "l2_population = true\n"
	}
	return text
}

// vxlanOrders are what Neutron tells a machine's linuxbridge agent about its
// VXLAN networks, one order a line:
//
//	device NAME VNI NIC PORT GROUP    GROUP is - where Neutron fills in the peers
//	flood NAME VTEP                   a peer that has ports of the network
//	host NAME MAC VTEP                where a port is
func (l *Lab) vxlanOrders(machine string) string {
	var b strings.Builder
	for _, n := range l.plan.networksOf(machine) {
		if n.VNI == 0 {
			continue
		}
		group := tunnelGroup
		if l.options.VXLAN == L2Pop {
			group = "-"
		}
		fmt.Fprintf(&b, "device %s %d %s %d %s\n", n.Uplink(), n.VNI, tunnelNIC, tunnelPort, group)
		if l.options.VXLAN == L2Pop {
			l.writePeers(&b, n, machine)
		}
	}
	return b.String()
}

// writePeers writes what the l2population driver tells a machine of a network:
// every other machine that has a port of it, and every port there.
func (l *Lab) writePeers(b *strings.Builder, n Network, machine string) {
	for _, peer := range l.plan.machines {
		if peer == machine {
			continue
		}
		ports := slices.DeleteFunc(slices.Concat(l.plan.guestPorts(peer), l.plan.dhcpPortsOf(peer)), func(p Port) bool {
			return p.Network.ID != n.ID
		})
		for i, p := range ports {
			if i == 0 {
				fmt.Fprintf(b, "flood %s %s\n", n.Uplink(), vtep(peer))
			}
			fmt.Fprintf(b, "host %s %s %s\n", n.Uplink(), p.MAC, vtep(peer))
		}
	}
}
