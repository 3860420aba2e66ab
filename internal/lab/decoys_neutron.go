package lab

import "whybot/internal/cloudfake"

// neutronDecoys are things that Neutron, Nova or an agent's log say and that
// keep nobody from an address.
func neutronDecoys() []Fault {
	two := Options{SecondController: true}
	linuxbridgeLog, dhcpLog := Options{}.agentLog("linuxbridge-agent"), Options{}.agentLog("dhcp-agent")
	secondSubnet := func(m *cloudfake.Model) {
		m.Subnets = append(m.Subnets, cloudfake.Subnet{
			ID: secondSubnetID, Name: "payments-net-static", NetworkID: paymentsNet.ID, ProjectID: projectID,
			CIDR: "10.30.192.0/24", GatewayIP: "10.30.192.1", NoDHCP: true,
		})
	}
	oneSubnet := func(m *cloudfake.Model) { m.Subnets = m.Subnets[:len(m.Subnets)-1] }
	otherDHCP := func(off bool) func(*cloudfake.Model) {
		return changeSubnet(paymentsDBNet.SubnetID, func(s *cloudfake.Subnet) { s.NoDHCP = off })
	}
	otherPool := func(pools []cloudfake.Pool) func(*cloudfake.Model) {
		return changeSubnet(paymentsDBNet.SubnetID, func(s *cloudfake.Subnet) { s.Pools = pools })
	}
	otherVIF := func(vif string) func(*cloudfake.Model) {
		return changePort("b9e40d16-a25c-4f3b-8d7e-6c5b4a392817", func(p *cloudfake.Port) { p.VIFType = vif })
	}
	migrating := func(status, task, to string) func(*cloudfake.Model) {
		return both(changeWebServer(func(s *cloudfake.Server) { s.Status, s.TaskState = status, task }),
			changePort(webPortID, func(p *cloudfake.Port) { p.MigratingTo = to }))
	}
	quiet := func(id, variant, doc string, o Options, inject, heal step) Fault {
		return Fault{ID: id, Variant: variant, Doc: doc, Options: o, Inject: inOrder(inject, serves), Heal: heal}
	}
	return []Fault{
		quiet("DHCP-11", "decoy-one-of-two", "one of two DHCP agents is dead and its dnsmasq with it; the other serves", two,
			healed(on(Controller02, stopDHCPAgent), on(Controller02, killDnsmasq, paymentsNet.ID)), healed(on(Controller02, startDHCPAgent))),
		quiet("DHCP-12", "decoy-other-network", "another network is on no DHCP agent", Options{},
			neutron(unbind(Controller01, paymentsDBNet)), neutron(bind(Controller01, paymentsDBNet))),
		quiet("DHCP-13", "decoy-other-network", "DHCP is disabled on another network's subnet", Options{},
			neutron(otherDHCP(true)), neutron(otherDHCP(false))),
		quiet("DHCP-13", "decoy-second-subnet", "the network has a second subnet without DHCP, in which web-1 has no address", Options{},
			neutron(secondSubnet), neutron(oneSubnet)),
		quiet("DHCP-14", "decoy-other-subnet", "another network's pool is exhausted", Options{},
			neutron(otherPool([]cloudfake.Pool{{Start: "10.30.93.121", End: "10.30.93.121"}})), neutron(otherPool(nil))),
		quiet("DHCP-14", "decoy-full-and-served", "web-1's own pool is exhausted, after web-1 and the DHCP agent had their addresses", Options{},
			neutron(changeSubnet(paymentsNet.SubnetID, func(s *cloudfake.Subnet) {
				s.Pools = []cloudfake.Pool{{Start: webAddress, End: webAddress}}
			})), neutron(roomyPool)),
		quiet("DHCP-15", "decoy-other-port", "another guest's port could not be bound", Options{},
			neutron(otherVIF("binding_failed")), neutron(otherVIF(""))),
		quiet("DHCP-24", "decoy-yesterday", "the agent failed in its loop yesterday", Options{},
			healed(on(Compute01, logLine+logLine, linuxbridgeLog, "93600", rootwrapRefused)), healed(on(Compute01, logErrors, linuxbridgeLog))),
		quiet("DHCP-25", "decoy-wired", "the L2 agent of the compute node is dead, and all it did is still there", Options{},
			healed(on(Compute01, stopAgent)), healed(on(Compute01, "systemctl start neutron-linuxbridge-agent"))),
		quiet("DHCP-26", "decoy-recovered", "the DHCP agent lost its queue three hours ago and found it again", Options{},
			healed(on(Controller01, logLine, dhcpLog, "10800", lostQueue)), healed(on(Controller01, logErrors, dhcpLog))),
		quiet("DHCP-38", "decoy-other-vlan", "a DHCP server that is not Neutron's answers on another VLAN", Options{},
			healed(on(Compute01, startRogue, dbBridge, "10.30.93.250", "--dhcp-broadcast", "--dhcp-range=10.30.93.200,10.30.93.220,255.255.255.0,2m")),
			healed(on(Compute01, stopRogue))),
		quiet("DHCP-39", "decoy-other-lease", "a deleted port's MAC has leased another guest's address", Options{},
			healed(on(Controller01, oldLease, paymentsNet.ID, "10.30.92.23", goneMAC)), healed(on(Controller01, syncDHCP, paymentsNet.ID))),
		quiet("DHCP-42", "decoy-migrating", "Nova is moving web-1 to compute02; it still runs, and is served, on compute01", Options{},
			neutron(migrating("MIGRATING", "migrating", Compute02)), neutron(migrating("", "", ""))),
	}
}

// secondSubnetID is a subnet that one decoy adds to payments-net.
const secondSubnetID = "a8d2e6f0-41b7-4c39-8e5a-7f60d1c2b3a4"
