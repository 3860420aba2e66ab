package openstack

import (
	"context"
	"slices"

	"whybot/runners"
)

// Hosts returns the host names of all Neutron agents, sorted: the nodes whybot
// may have to log in to. A role that is not shown agents is an error of kind
// Hidden.
func (c *Client) Hosts(ctx context.Context) ([]string, error) {
	l, err := c.listAgents(ctx)
	if err != nil {
		return nil, err
	}
	if len(l.agents) == 0 {
		why := l.why
		if why == "" {
			why = needsAdmin
		}
		return nil, &runners.Error{Kind: runners.Hidden, Runner: "openstack", Target: "neutron", Op: "GET agents", Hint: why}
	}
	var hosts []string
	for _, a := range l.agents {
		if !slices.Contains(hosts, a.Host) {
			hosts = append(hosts, a.Host)
		}
	}
	slices.Sort(hosts)
	return hosts, nil
}
