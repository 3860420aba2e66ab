package openstack

import (
	"context"
	"net/url"
	"slices"

	"golang.org/x/sync/errgroup"

	"whybot/runners"
)

type securityGroup struct{ ID string }

func (g securityGroup) identity() string { return g.ID }

// A securityRule is Neutron's answer; what may be null is a pointer.
type securityRule struct {
	ID              string
	GroupID         string `json:"security_group_id"`
	Direction       string
	EtherType       string  `json:"ethertype"`
	Protocol        *string `json:"protocol"`
	PortMin         *int    `json:"port_range_min"`
	PortMax         *int    `json:"port_range_max"`
	RemotePrefix    *string `json:"remote_ip_prefix"`
	RemoteGroup     *string `json:"remote_group_id"`
	RemoteAddresses *string `json:"remote_address_group_id"`
}

func (r securityRule) identity() string { return r.ID }

func (r securityRule) vocabulary() runners.SecurityRule {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	return runners.SecurityRule{
		ID: r.ID, GroupID: r.GroupID, Direction: r.Direction, EtherType: r.EtherType, Protocol: text(r.Protocol), PortMin: r.PortMin, PortMax: r.PortMax,
		RemotePrefix: text(r.RemotePrefix), RemoteGroup: text(r.RemoteGroup), RemoteAddresses: text(r.RemoteAddresses),
	}
}

// SecurityRules returns the rules of each of the groups. A group that this account
// is not shown has rules all the same: they are not known.
func (c *Client) SecurityRules(ctx context.Context, groups []string) (map[string]runners.Maybe[[]runners.SecurityRule], error) {
	all := map[string]runners.Maybe[[]runners.SecurityRule]{}
	if len(groups) == 0 {
		return all, nil // Neutron would answer with every rule there is
	}
	var shown []securityGroup
	var rules []securityRule
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		shown, err = list[securityGroup](gctx, c, neutron, "security_groups", url.Values{"id": groups, "fields": {"id"}}, "security-groups")
		return err
	})
	g.Go(func() (err error) {
		rules, err = list[securityRule](gctx, c, neutron, "security_group_rules", url.Values{"security_group_id": groups}, "security-group-rules")
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, id := range groups {
		if !slices.ContainsFunc(shown, func(s securityGroup) bool { return s.ID == id }) {
			all[id] = runners.NotKnown[[]runners.SecurityRule]("security group " + id + " is not shown to whybot's account")
			continue
		}
		own := []runners.SecurityRule{}
		for _, r := range rules {
			if r.GroupID == id {
				own = append(own, r.vocabulary())
			}
		}
		all[id] = runners.Known(own)
	}
	return all, nil
}
