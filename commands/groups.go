package commands

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"whybot/commands/netfilter"
	"whybot/runners"
)

// Groups reads security groups.
type Groups interface {
	// SecurityRules returns the rules of each group, by its id.
	SecurityRules(ctx context.Context, groups []string) (map[string]runners.Maybe[[]runners.SecurityRule], error)
}

// A Peer is the other end of a ping.
type Peer struct {
	Server runners.Server
	Port   runners.Attachment
	// Rules are those of the groups of both ends.
	Rules map[string]runners.Maybe[[]runners.SecurityRule]
}

// Directions of rules of security groups.
const (
	ingress = "ingress"
	egress  = "egress"
)

// A GroupRuling is what the security groups of a port say to an echo request, as
// Neutron has them. They let an answer pass whenever the request did.
type GroupRuling struct {
	// Allows is Unknown when a rule that may allow it cannot be judged.
	Allows netfilter.Tri
	// Why says what decides, for a person.
	Why string
	// Remote says that it is allowed by the groups that the other end is in: the
	// node then knows it by its address.
	Remote bool
}

// MaySend says whether the guest's groups let it send an echo request to its peer.
func (p *Pass) MaySend() GroupRuling { return p.groups(p.Port.Port, p.Peer.Port.Port, egress) }

// MayReceive says whether the peer's groups let the guest's echo request in.
func (p *Pass) MayReceive() GroupRuling { return p.groups(p.Peer.Port.Port, p.Port.Port, ingress) }

func (p *Pass) groups(own, remote runners.Port, direction string) GroupRuling {
	if security, known := own.PortSecurity.Get(); known && !security {
		return GroupRuling{Allows: netfilter.Yes, Why: "port security of port " + own.ID + " is off"}
	}
	unsure := ""
	for _, id := range own.SecurityGroups {
		rules, known := p.Peer.Rules[id].Get()
		if !known {
			unsure = p.Peer.Rules[id].Why()
			continue
		}
		for _, r := range rules {
			switch admits(r, direction, remote) {
			case netfilter.Yes:
				return GroupRuling{Allows: netfilter.Yes, Why: fmt.Sprintf("rule %s of group %s", r.ID, id), Remote: r.RemoteGroup != ""}
			case netfilter.Unknown:
				unsure = fmt.Sprintf("whether %s is in address group %s", firstIPv4(remote), r.RemoteAddresses)
			case netfilter.No:
			}
		}
	}
	if unsure != "" {
		return GroupRuling{Allows: netfilter.Unknown, Why: unsure}
	}
	if len(own.SecurityGroups) == 0 {
		return GroupRuling{Allows: netfilter.No, Why: "port " + own.ID + " is in no security group, and its port security is on"}
	}
	return GroupRuling{Allows: netfilter.No, Why: fmt.Sprintf("no %s rule of its groups (%s) admits ICMP echo requests over IPv4 %s %s",
		direction, strings.Join(own.SecurityGroups, ", "), map[string]string{ingress: "from", egress: "to"}[direction], firstIPv4(remote))}
}

// admits says whether a rule lets an echo request over IPv4 pass in a direction,
// from or to remote.
func admits(r runners.SecurityRule, direction string, remote runners.Port) netfilter.Tri {
	const echoType, echoCode = 8, 0
	switch {
	case r.Direction != direction, !strings.EqualFold(r.EtherType, "IPv4"),
		!slices.Contains([]string{"", "any", "0", "icmp", "1"}, strings.ToLower(r.Protocol)),
		r.PortMin != nil && *r.PortMin != echoType && slices.Contains([]string{"icmp", "1"}, strings.ToLower(r.Protocol)),
		r.PortMax != nil && *r.PortMax != echoCode && slices.Contains([]string{"icmp", "1"}, strings.ToLower(r.Protocol)):
		return netfilter.No
	case r.RemoteAddresses != "":
		return netfilter.Unknown
	case r.RemoteGroup != "":
		return netfilter.Truth(slices.Contains(remote.SecurityGroups, r.RemoteGroup))
	case r.RemotePrefix != "":
		prefix, err := netip.ParsePrefix(r.RemotePrefix)
		return netfilter.Truth(err == nil && prefix.Contains(firstIPv4(remote)))
	}
	return netfilter.Yes
}
