package openstack

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"whybot/runners"
)

// linuxBridgeAgent is an agent type as Neutron spells it.
const linuxBridgeAgent = "Linux bridge agent"

// l2Agents are the types of agents that wire ports, in the order of preference
// where a host has several: SR-IOV agents stand beside one of the others.
var l2Agents = []string{
	linuxBridgeAgent, "Open vSwitch agent", "OVN Controller agent", "OVN Controller Gateway agent", "Macvtap agent", "NIC Switch agent",
}

// needsAdmin says why a list of agents is not known.
const needsAdmin = "needs a role that may list agents (admin)"

// An agent is Neutron's answer.
type agent struct {
	ID             string
	Type           string `json:"agent_type"`
	Binary         string
	Host           string
	Alive          bool
	AdminUp        bool   `json:"admin_state_up"`
	Heartbeat      string `json:"heartbeat_timestamp"`
	Configurations map[string]json.RawMessage
}

func (a agent) identity() string { return a.ID }

func (a agent) vocabulary() runners.Agent {
	// UTC without saying so; a time that cannot be read stays zero.
	beat, _ := time.Parse(time.DateTime, a.Heartbeat)
	v := runners.Agent{
		ID: a.ID, Type: a.Type, Host: a.Host, Binary: a.Binary, Alive: a.Alive, AdminUp: a.AdminUp, Heartbeat: beat,
	}
	if a.Type == linuxBridgeAgent {
		v.InterfaceMappings, v.BridgeMappings = a.mapping("interface_mappings"), a.mapping("bridge_mappings")
		a.tunnels(&v)
	}
	var networks int
	if raw, has := a.Configurations["networks"]; has && json.Unmarshal(raw, &networks) == nil {
		v.Networks = runners.Known(networks)
	}
	return v
}

// mapping reads one of the agent's maps; nil when it cannot be read, because
// half a map would look like a whole one.
func (a agent) mapping(key string) map[string]string {
	var m map[string]string
	raw, has := a.Configurations[key]
	if !has || json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

// tunnels reads what the agent reports of its tunnels; what it does not report,
// or not as it should be, stays unknown.
func (a agent) tunnels(v *runners.Agent) {
	if json.Unmarshal(a.Configurations["tunneling_ip"], &v.TunnelingIP) != nil || v.TunnelingIP == "" {
		return
	}
	if json.Unmarshal(a.Configurations["tunnel_types"], &v.TunnelTypes) != nil {
		v.TunnelTypes = nil
	}
	var on *bool
	if json.Unmarshal(a.Configurations["l2_population"], &on) == nil && on != nil {
		v.L2Population = runners.Known(*on)
	} else {
		v.L2Population = runners.NotKnown[bool]("the agent on " + a.Host + " does not report l2_population")
	}
}

// An agentList is the list of all agents, or why there is none.
type agentList struct {
	agents []agent
	why    string
}

// listAgents reads all agents. That they cannot be read is part of the answer
// and no error, unless ctx has ended: everything else is still worth knowing.
func (c *Client) listAgents(ctx context.Context) (agentList, error) {
	agents, err := list[agent](ctx, c, neutron, "agents", nil, "agents")
	switch {
	case err == nil:
		return agentList{agents: agents}, nil
	case ctx.Err() != nil:
		return agentList{}, err
	case isKind(err, runners.Hidden):
		return agentList{why: needsAdmin}, nil
	}
	return agentList{why: err.Error()}, nil
}

// dhcpAgents reads which DHCP agents serve a network. The SDK has no call for
// it, only one per agent.
func (c *Client) dhcpAgents(ctx context.Context, networkID string) (runners.Maybe[[]runners.Agent], error) {
	var none runners.Maybe[[]runners.Agent]
	agents, err := list[agent](ctx, c, neutron, "agents", nil, "networks", networkID, "dhcp-agents")
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return none, err
	case isKind(err, runners.Hidden):
		return runners.NotKnown[[]runners.Agent](needsAdmin), nil
	case isKind(err, runners.NotFound):
		return runners.NotKnown[[]runners.Agent]("this Neutron has no DHCP agents to list, as where OVN answers DHCP"), nil
	default:
		return runners.NotKnown[[]runners.Agent](err.Error()), nil
	}
	all := []runners.Agent{}
	for _, a := range agents {
		all = append(all, a.vocabulary())
	}
	return runners.Known(all), nil
}

// known returns all agents as far as the list can be believed.
//
// Neutron answers [] and no error to those who may not list agents, so an
// empty list is believed only if the same role was told which DHCP agents
// serve the network, and if it was told that there are none.
func (l agentList) known(dhcpAgents runners.Maybe[[]runners.Agent]) runners.Maybe[[]runners.Agent] {
	serving, mayList := dhcpAgents.Get()
	switch {
	case l.why != "":
		return runners.NotKnown[[]runners.Agent](l.why)
	case len(l.agents) == 0 && !mayList:
		return runners.NotKnown[[]runners.Agent](needsAdmin)
	case len(l.agents) == 0 && len(serving) > 0:
		return runners.NotKnown[[]runners.Agent]("Neutron lists no agents at all, yet DHCP agents serve this network: " + needsAdmin)
	}
	all := make([]runners.Agent, 0, len(l.agents))
	for _, g := range l.agents {
		all = append(all, g.vocabulary())
	}
	return runners.Known(all)
}

// onPath picks the L2 agents of the hosts that the attachment's packets pass.
func onPath(a runners.Attachment) runners.Maybe[map[string]runners.Agent] {
	agents, ok := a.Agents.Get()
	if !ok {
		return runners.NotKnown[map[string]runners.Agent](a.Agents.Why())
	}
	hosts := hostsOf(a)
	byHost := map[string]runners.Agent{}
	for _, kind := range l2Agents {
		for _, g := range agents {
			_, taken := byHost[g.Host]
			if g.Type == kind && slices.Contains(hosts, g.Host) && !taken {
				byHost[g.Host] = g
			}
		}
	}
	return runners.Known(byHost)
}

// hostsOf returns the hosts of the server's port, of the DHCP ports and of the
// DHCP agents, as far as they are known.
func hostsOf(a runners.Attachment) []string {
	hosts := []string{a.Port.HostID.Or("")}
	for _, p := range a.DHCPPorts {
		hosts = append(hosts, p.HostID.Or(""))
	}
	for _, g := range a.DHCPAgents.Or(nil) {
		hosts = append(hosts, g.Host)
	}
	return hosts
}
