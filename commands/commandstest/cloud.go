package commandstest

import (
	"context"
	"fmt"
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
	"server": " id status host", "port": "id mac ip host vif", "network": " id type physnet segment", "subnet": " dhcp",
	"dhcp": "id mac ip host", "dhcp-agent": " host alive", "l2-agent": " host maps tunnel l2pop",
}

func (c cloudFacts) merge(text string) error {
	seen := map[string]bool{}
	for _, line := range lines(text) {
		key, rest, ok := strings.Cut(line, ": ")
		allowed, known := cloudKeys[key]
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
func (c cloudFacts) FindServers(context.Context, string) ([]runners.Server, error) {
	w := c.first("server")
	return []runners.Server{{ID: w["id"], Name: w[""], Status: w["status"], Host: w.maybe("host")}}, nil
}

// Attachments returns the server's one port.
func (c cloudFacts) Attachments(_ context.Context, s runners.Server) ([]runners.Attachment, error) {
	network, err := c.network()
	if err != nil {
		return nil, err
	}
	a := runners.Attachment{Network: network, DHCPAgents: c.dhcpAgents(), L2Agents: c.l2Agents()}
	w := c.first("port")
	a.Port = c.port(w, "compute:nova")
	a.Port.DeviceID, a.Port.VIFType = s.ID, w.maybe("vif")
	for _, w := range c["subnet"] {
		a.Subnets = append(a.Subnets, runners.Subnet{ID: "subnet", NetworkID: network.ID, CIDR: w[""], IPVersion: 4, DHCP: w["dhcp"] == "yes"})
	}
	for _, w := range c["dhcp"] {
		a.DHCPPorts = append(a.DHCPPorts, c.port(w, "network:dhcp"))
	}
	return []runners.Attachment{a}, nil
}

func (c cloudFacts) port(w words, owner string) runners.Port {
	return runners.Port{
		ID: w["id"], NetworkID: c.first("network")["id"], DeviceOwner: owner, MAC: w["mac"], Status: "ACTIVE", AdminUp: true,
		FixedIPs: []runners.FixedIP{{SubnetID: "subnet", Address: w["ip"]}}, HostID: w.maybe("host"),
	}
}

func (c cloudFacts) network() (runners.Network, error) {
	w := c.first("network")
	n := runners.Network{ID: w["id"], Name: w[""], AdminUp: true, MTU: 1500, Type: w.maybe("type"), PhysicalNet: w.maybe("physnet")}
	if w["segment"] == hidden {
		n.SegmentationID = runners.NotKnown[int](hiddenWhy)
		return n, nil
	}
	id, err := strconv.Atoi(w["segment"])
	n.SegmentationID = runners.Known(id)
	return n, err
}

func (c cloudFacts) dhcpAgents() runners.Maybe[[]runners.Agent] {
	var all []runners.Agent
	for _, w := range c["dhcp-agent"] {
		if w[""] == hidden {
			return runners.NotKnown[[]runners.Agent](hiddenWhy)
		}
		all = append(all, runners.Agent{
			ID: "dhcp-agent-" + w["host"], Type: "DHCP agent", Host: w["host"], Binary: "neutron-dhcp-agent", Alive: w["alive"] == "yes", AdminUp: true,
			Heartbeat: time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC),
		})
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
		physnet, nic, _ := strings.Cut(w["maps"], ":")
		all[w["host"]] = runners.Agent{
			ID: "l2-agent-" + w["host"], Type: "Linux bridge agent", Host: w["host"], Alive: true, AdminUp: true,
			InterfaceMappings: map[string]string{physnet: nic}, TunnelingIP: w["tunnel"], L2Population: w.l2Population(),
		}
	}
	return runners.Known(all)
}
