package commandstest

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"whybot/runners"
)

// hidden is the value of what this account is not shown.
const hidden = "hidden"

// hiddenWhy is what the cloud says of it.
const hiddenWhy = "is not shown this by its role"

// cloudFacts are the lines of cloud sections, by key. A later section replaces
// the keys it has.
type cloudFacts map[string][]words

// words are one line: key=value words, and one without a key.
type words map[string]string

// cloudKeys says which words each line may have; "" is the one without a key.
var cloudKeys = map[string]string{
	"server": " id status task host fault", "port": "id mac ip ip6 host vif admin to groups secure", "network": " id type physnet segment admin",
	"subnet": " dhcp pool used total mode ra", "dhcp": "id mac ip ip6 host admin", "use": "", "router": "id mac ip6 host router",
	"dhcp-agent": " host alive admin heard", "spare-agent": "host alive admin networks", "l2-agent": " host maps alive heard tunnel l2pop",
}

func (c cloudFacts) merge(text string) error {
	seen := map[string]bool{}
	for _, line := range lines(text) {
		key, rest, ok := strings.Cut(line, ": ")
		allowed, known := keysOf()[key]
		if !ok || !known {
			return fmt.Errorf("%q begins with nothing the cloud has", line)
		}
		if !seen[key] {
			c[key] = nil
		}
		seen[key] = true
		if strings.TrimSpace(rest) == "none" {
			continue
		}
		w := words{}
		for _, field := range strings.Fields(rest) {
			name, value, keyed := strings.Cut(field, "=")
			if !keyed {
				name, value = "", field
			}
			if !strings.Contains(" "+allowed+" ", " "+name+" ") {
				return fmt.Errorf("%s has no word %q", key, field)
			}
			w[name] = value
		}
		c[key] = append(c[key], w)
	}
	return nil
}

// first returns the first line of key; no words when there is none.
func (c cloudFacts) first(key string) words {
	if len(c[key]) == 0 {
		return words{}
	}
	return c[key][0]
}

// maybe is a word that may be hidden.
func (w words) maybe(name string) runners.Maybe[string] {
	if w[name] == hidden {
		return runners.NotKnown[string](hiddenWhy)
	}
	return runners.Known(w[name])
}

// FindServers finds the one server whatever it is called: names are the
// OpenStack runner's business.
func (c cloudFacts) FindServers(_ context.Context, ref string) ([]runners.Server, error) {
	w := c.first("server")
	if peer := c.first("peer"); ref == peer[""] && ref != "" {
		w = peer
	}
	s := runners.Server{ID: w["id"], Name: w[""], Status: w["status"], TaskState: w["task"], Host: w.maybe("host"), Fault: strings.ReplaceAll(w["fault"], "_", " ")}
	return []runners.Server{s}, nil
}

// Attachments returns the server's one port.
func (c cloudFacts) Attachments(_ context.Context, s runners.Server) ([]runners.Attachment, error) {
	network, err := c.network()
	if err != nil {
		return nil, err
	}
	a := runners.Attachment{Network: network, DHCPAgents: c.dhcpAgents(), L2Agents: c.l2Agents(), Agents: c.agents()}
	w := c.first("port")
	if s.ID == c.first("peer")["id"] {
		w = c.first("peer-port")
	}
	a.Port = c.port(w, "compute:nova")
	a.Port.DeviceID, a.Port.VIFType, a.Port.MigratingTo = s.ID, w.maybe("vif"), w.maybe("to")
	if a.Subnets, a.Use, err = c.subnets(network.ID); err != nil {
		return nil, err
	}
	for _, w := range c["dhcp"] {
		a.DHCPPorts = append(a.DHCPPorts, c.port(w, "network:dhcp"))
	}
	for _, w := range c["router"] {
		port := c.port(w, "network:router_interface")
		port.DeviceID = w["router"]
		a.RouterPorts = append(a.RouterPorts, port)
	}
	if other := w["network"]; other != "" {
		c.elsewhere(&a, other)
	}
	return []runners.Attachment{a}, nil
}

// subnets are the network's, called subnet-1 and so on, and how full they are.
func (c cloudFacts) subnets(networkID string) ([]runners.Subnet, runners.Maybe[map[string]runners.AddressUse], error) {
	var all []runners.Subnet
	use := map[string]runners.AddressUse{}
	for i, w := range c["subnet"] {
		s := runners.Subnet{ID: fmt.Sprintf("subnet-%d", i+1), NetworkID: networkID, CIDR: w[""], IPVersion: 4, DHCP: w["dhcp"] == "yes", AddressMode: w["mode"], RAMode: w["ra"]}
		if strings.Contains(s.CIDR, ":") {
			s.IPVersion = 6
		}
		from, to, _ := strings.Cut(w["pool"], "-")
		if from != "" {
			s.Pools = []runners.Pool{{Start: from, End: to}}
		}
		all = append(all, s)
		if w["total"] == "" {
			continue
		}
		var u runners.AddressUse
		if _, err := fmt.Sscan(w["used"]+" "+w["total"], &u.Used, &u.Total); err != nil {
			return nil, runners.Maybe[map[string]runners.AddressUse]{}, err
		}
		use[s.ID] = u
	}
	if c.first("use")[""] == hidden {
		return all, runners.NotKnown[map[string]runners.AddressUse](hiddenWhy), nil
	}
	return all, runners.Known(use), nil
}

func (c cloudFacts) port(w words, owner string) runners.Port {
	p := runners.Port{
		ID: w["id"], NetworkID: c.first("network")["id"], DeviceOwner: owner, MAC: w["mac"], Status: "ACTIVE", AdminUp: w["admin"] != "down",
		HostID: w.maybe("host"),
	}
	if w["groups"] != "" && w["groups"] != "none" {
		p.SecurityGroups = strings.Split(w["groups"], ",")
	}
	if w["secure"] != "" {
		p.PortSecurity = runners.Known(w["secure"] == "yes")
	}
	for _, key := range []string{"ip", "ip6"} {
		address, err := netip.ParseAddr(w[key])
		if err != nil {
			continue // ip=none, or not said
		}
		for i, s := range c["subnet"] {
			if prefix, err := netip.ParsePrefix(s[""]); err == nil && prefix.Contains(address) {
				p.FixedIPs = append(p.FixedIPs, runners.FixedIP{SubnetID: fmt.Sprintf("subnet-%d", i+1), Address: w[key]})
			}
		}
	}
	return p
}

func (c cloudFacts) network() (runners.Network, error) {
	w := c.first("network")
	n := runners.Network{ID: w["id"], Name: w[""], AdminUp: w["admin"] != "down", MTU: 1500, Type: w.maybe("type"), PhysicalNet: w.maybe("physnet")}
	if w["segment"] == hidden {
		n.SegmentationID = runners.NotKnown[int](hiddenWhy)
		return n, nil
	}
	id, err := strconv.Atoi(w["segment"])
	n.SegmentationID = runners.Known(id)
	return n, err
}

// dhcpAgents are those that host the network.
func (c cloudFacts) dhcpAgents() runners.Maybe[[]runners.Agent] {
	var all []runners.Agent
	for _, w := range c["dhcp-agent"] {
		if w[""] == hidden {
			return runners.NotKnown[[]runners.Agent](hiddenWhy)
		}
		all = append(all, w.agent("DHCP agent", "neutron-dhcp-agent"))
	}
	return runners.Known(all)
}

// l2Population is l2pop=yes or l2pop=no; what an agent does not report is not
// known.
func (w words) l2Population() runners.Maybe[bool] {
	if w["l2pop"] == "" {
		return runners.NotKnown[bool]("is not reported by the agent")
	}
	return runners.Known(w["l2pop"] == "yes")
}

func (c cloudFacts) l2Agents() runners.Maybe[map[string]runners.Agent] {
	all := map[string]runners.Agent{}
	for _, w := range c["l2-agent"] {
		if w[""] == hidden {
			return runners.NotKnown[map[string]runners.Agent](hiddenWhy)
		}
		all[w["host"]] = w.agent("Linux bridge agent", "neutron-linuxbridge-agent")
	}
	return runners.Known(all)
}

// agents are all of them: the spare ones are DHCP agents that host other
// networks.
func (c cloudFacts) agents() runners.Maybe[[]runners.Agent] {
	l2, ok := c.l2Agents().Get()
	hosting, also := c.dhcpAgents().Get()
	if !ok || !also {
		return runners.NotKnown[[]runners.Agent](hiddenWhy)
	}
	all := slices.Clone(hosting)
	for _, host := range slices.Sorted(maps.Keys(l2)) {
		all = append(all, l2[host])
	}
	for _, w := range c["spare-agent"] {
		all = append(all, w.agent("DHCP agent", "neutron-dhcp-agent"))
	}
	return runners.Known(all)
}

// lastHeard is when the agents of fixtures were heard of unless they say so
// many seconds ago.
var lastHeard = time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)

// agent is alive and enabled unless the line says otherwise.
func (w words) agent(kind, binary string) runners.Agent {
	physnet, nic, mapped := strings.Cut(w["maps"], ":")
	ago, _ := strconv.Atoi(w["heard"]) // not said: no time ago
	a := runners.Agent{
		ID: binary + "-" + w["host"], Type: kind, Host: w["host"], Binary: binary, Alive: w["alive"] != "no", AdminUp: w["admin"] != "down",
		Heartbeat: lastHeard.Add(-time.Duration(ago) * time.Second), TunnelingIP: w["tunnel"], L2Population: w.l2Population(),
	}
	if mapped {
		a.InterfaceMappings = map[string]string{physnet: nic}
	}
	if n, err := strconv.Atoi(w["networks"]); err == nil {
		a.Networks = runners.Known(n)
	}
	return a
}
