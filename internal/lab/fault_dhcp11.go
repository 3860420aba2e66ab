package lab

// noAnswer is a request that reaches the DHCP port of controller01 and stays
// without an answer.
func noAnswer(cause string) Want {
	return Want{
		State: proven, Cause: cause, FromNode: Controller01, FromDevice: dhcpTap,
		ToNode: Controller01, ToDevice: "dnsmasq", Direction: request,
	}
}

// dhcp11 is a network all of whose DHCP agents are dead.
func dhcp11() []Fault {
	two := Options{SecondController: true}
	either := noAnswer("DHCP-11")
	either.FromNode, either.FromDevice, either.ToNode = "", "", ""
	return []Fault{
		{
			ID: "DHCP-11", Variant: "newer-guest", Want: noAnswer("DHCP-11"),
			Doc: "the DHCP agent is dead; its dnsmasq serves the guests it knew then, and web-1 is newer",
			Inject: inOrder(neutron(unknownPort), healed(on(Controller01, stopDHCPAgent)),
				neutron(knownPort), askAnew),
			Heal: healed(on(Controller01, startDHCPAgent)),
		},
		{
			ID: "DHCP-11", Variant: "dnsmasq-dead-too", Want: noAnswer("DHCP-11"),
			Doc:    "the DHCP agent is dead and so is its dnsmasq, which nobody starts again",
			Inject: broken(on(Controller01, stopDHCPAgent), on(Controller01, killDnsmasq, paymentsNet.ID)),
			Heal:   healed(on(Controller01, startDHCPAgent)),
		},
		{
			ID: "DHCP-11", Variant: "both-agents", Want: either, Options: two,
			Doc: "both DHCP agents of the network are dead, and web-1 is newer than that",
			Inject: inOrder(neutron(unknownPort), healed(on(Controller01, stopDHCPAgent), on(Controller02, stopDHCPAgent)),
				neutron(knownPort), askAnew),
			Heal: healed(on(Controller01, startDHCPAgent), on(Controller02, startDHCPAgent)),
		},
	}
}

// What agents write that no longer hear from Neutron.
const (
	lostQueue = "ERROR oslo.messaging._drivers.impl_rabbit [-] Failed to consume message from queue: Basic.consume: (404) NOT_FOUND - " +
		"no queue 'dhcp_agent_fanout_0c9d2f6e5b1a4c3f8e7d6a5b4c3d2e1f' in vhost '/': amqp.exceptions.NotFound: Basic.consume: (404) NOT_FOUND - " +
		"no queue 'dhcp_agent_fanout_0c9d2f6e5b1a4c3f8e7d6a5b4c3d2e1f' in vhost '/'"
	lostFanout = "ERROR oslo.messaging._drivers.impl_rabbit [-] Failed to consume message from queue: Basic.consume: (404) NOT_FOUND - " +
		"no queue 'q-agent-notifier-port-update_fanout_7b1c2d3e4f5061728394a5b6c7d8e9f0' in vhost '/': amqp.exceptions.NotFound: Basic.consume: (404) NOT_FOUND - " +
		"no queue 'q-agent-notifier-port-update_fanout_7b1c2d3e4f5061728394a5b6c7d8e9f0' in vhost '/'"
	rpcTimeout = "ERROR neutron_lib.rpc [None req-0b9f4c55-1d0e-4b7e-8f5e-2f6c1a7d9e30 - - - - - -] Timeout in RPC method get_active_networks_info. " +
		"Waiting for 37 seconds before next attempt. If the server is not down, consider increasing the rpc_response_timeout option as Neutron server(s) " +
		"may be overloaded and unable to respond quickly enough.: oslo_messaging.exceptions.MessagingTimeout: " +
		"Timed out waiting for a reply to message ID 3d8e5f7a6b1c4d2e9f80a1b2c3d4e5f6"
	devicesTimeout = "ERROR neutron_lib.rpc [None req-4e2a7c81-5f3b-4d9c-a6e0-8b1d2c3f4a5e - - - - - -] Timeout in RPC method get_devices_details_list_and_failed_devices. " +
		"Waiting for 21 seconds before next attempt. If the server is not down, consider increasing the rpc_response_timeout option as Neutron server(s) " +
		"may be overloaded and unable to respond quickly enough.: oslo_messaging.exceptions.MessagingTimeout: " +
		"Timed out waiting for a reply to message ID 9f0e1d2c3b4a59687786a5b4c3d2e1f0"
	goDeaf = `touch ` + deafMark + `; `
)

// dhcp26 is an agent that is alive and hears nothing of what Neutron tells it.
func dhcp26() []Fault {
	debian := Options{Distro: Debian, Backend: Legacy}
	deafDHCP := func(variant, doc string, o Options) Fault {
		log := o.agentLog("dhcp-agent")
		return Fault{
			ID: "DHCP-26", Variant: variant, Doc: doc, Options: o, Want: noAnswer("DHCP-26"),
			Inject: inOrder(neutron(unknownPort),
				healed(on(Controller01, goDeaf+logLine, log, "190", lostQueue), on(Controller01, logLine, log, "70", rpcTimeout)),
				neutron(knownPort), askAnew),
			Heal: healed(on(Controller01, logErrors+"systemctl restart neutron-dhcp-agent", log)),
		}
	}
	deafL2 := func(variant, doc, node, tap string, o Options) Fault {
		want := Want{State: proven, Cause: "DHCP-26", FromNode: node, FromDevice: webTap, ToNode: node, ToDevice: webBridge, Direction: request}
		if node != Compute01 {
			want.FromDevice, want.ToDevice = webBridge, dhcpTap
		}
		log := o.agentLog("linuxbridge-agent")
		return Fault{
			ID: "DHCP-26", Variant: variant, Doc: doc, Options: o, Want: want,
			Inject: broken(on(node, unplug, tap), on(node, logLine, log, "190", lostFanout), on(node, logLine, log, "70", devicesTimeout)),
			Heal:   healed(on(node, logErrors+restartAgent, log)),
		}
	}
	return []Fault{
		deafDHCP("dhcp-agent", "the DHCP agent lost its queue and never heard of web-1's port", Options{}),
		deafDHCP("dhcp-agent-debian", "the same on Debian, where the log has another name", debian),
		deafL2("l2-agent-compute", "the L2 agent of the compute node lost its queue and did not wire web-1's tap", Compute01, webTap, Options{}),
		deafL2("l2-agent-controller", "the same on the network node with the DHCP port's tap", Controller01, dhcpTap, debian),
	}
}
