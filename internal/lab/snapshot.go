package lab

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"whybot/internal/cloudfake"
)

// Snapshot describes everything that a fix may change: on the machines rules of
// every firewall, saved rules, wiring, spanning tree, where tunnels lead,
// sysctls, the DHCP ports' checksums and dnsmasq's host files; and what Neutron
// holds. Two snapshots are equal when nothing changed but counters.
func (l *Lab) Snapshot(ctx context.Context) (string, error) {
	const script = `iptables-nft-save; iptables-legacy-save; cat "$1"; sysctl net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables
ip6tables-nft-save; ip6tables-legacy-save
for f in /var/lib/neutron/dhcp/*/host; do [ ! -e "$f" ] || { echo "$f"; cat "$f"; }; done
for d in /sys/class/net/vxlan-*; do [ ! -e "$d" ] || bridge fdb show dev "${d##*/}" | sed -n "/ dst .* permanent/s/^/${d##*/} /p" | sort; done
nft list tables | while read -r _ family name; do
	case $name in filter | nat | raw | mangle | security) ;; *) nft -s list table "$family" "$name" ;; esac
done
ebtables-save
ip -d -o link show type bridge | sed 's/^[0-9]*: \([^:]*\):.*\(forward_delay [0-9]*\).*\(stp_state [01]\).*/\1 \2 \3/'
for ns in $(ip netns list | sed -n 's/^\(q[dr][^ ]*\).*/\1/p' | sort); do
	ip netns exec "$ns" iptables-save
	for d in $(ip -n "$ns" -o link show type veth | sed 's/^[0-9]*: \([^:@]*\).*/\1/'); do
		ip netns exec "$ns" ethtool -k "$d" | sed -n "s/^tx-checksumming/$ns $d &/p"
	done
done
echo links; ip -o link`
	var b strings.Builder
	for _, name := range l.plan.machines {
		out, err := l.machines[name].Sh(ctx, script, l.options.rulesFile())
		if err != nil {
			return "", fmt.Errorf("lab: snapshot of %s: %w", name, err)
		}
		rules, links, _ := strings.Cut(out, "links\n")
		fmt.Fprintf(&b, "== %s\n%s%s", name, withoutCounters(rules), wiring(links))
	}
	b.WriteString("== cloud\n")
	l.Cloud.Update(func(m *cloudfake.Model) {
		fmt.Fprintf(&b, "%+v\n%+v\n", m.Networks, m.Subnets)
		// a DHCP agent's own port comes with its network and stays reserved
		ports := slices.DeleteFunc(slices.Clone(m.Ports), func(p cloudfake.Port) bool { return p.DeviceOwner == dhcpOwner })
		slices.SortFunc(ports, func(a, b cloudfake.Port) int { return cmp.Compare(a.ID, b.ID) })
		for _, p := range ports {
			fmt.Fprintf(&b, "%s up=%t host=%s vif=%s %+v\n", p.ID, !p.AdminDown, p.HostID, p.VIFType, p.FixedIPs)
		}
		bindings := slices.Clone(m.DHCPBindings)
		slices.SortFunc(bindings, func(a, b cloudfake.DHCPBinding) int {
			return cmp.Or(cmp.Compare(a.AgentID, b.AgentID), cmp.Compare(a.NetworkID, b.NetworkID))
		})
		fmt.Fprintf(&b, "%+v\n", bindings)
	})
	return b.String(), nil
}

var (
	counters  = regexp.MustCompile(`(?m)\[\d+:\d+\]`)
	dateLines = regexp.MustCompile(`(?m)^# (Generated|Completed) .*\n`)
	linkLine  = regexp.MustCompile(`^\d+: ([^:@]+)(?:@[^:]+)?: <([^>]*)>(?:.* master (\S+))?`)
)

func withoutCounters(rules string) string {
	return counters.ReplaceAllString(dateLines.ReplaceAllString(rules, ""), "[0:0]")
}

// wiring reduces `ip -o link` to name, administrative state and master, sorted.
func wiring(links string) string {
	var lines []string
	for line := range strings.Lines(links) {
		m := linkLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		up := slices.Contains(strings.Split(m[2], ","), "UP")
		lines = append(lines, fmt.Sprintf("%s up=%t master=%s\n", m[1], up, m[3]))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
