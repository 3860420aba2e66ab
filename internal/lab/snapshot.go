package lab

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Snapshot describes everything on the machines that a fix may change: rules
// of both back ends, saved rules, wiring, where tunnels lead, sysctls and
// dnsmasq's host files. Two snapshots are equal when nothing changed but
// counters.
func (l *Lab) Snapshot(ctx context.Context) (string, error) {
	const script = `iptables-nft-save; iptables-legacy-save; cat "$1"; sysctl net.bridge.bridge-nf-call-iptables
for f in /var/lib/neutron/dhcp/*/host; do [ ! -e "$f" ] || { echo "$f"; cat "$f"; }; done
for d in /sys/class/net/vxlan-*; do [ ! -e "$d" ] || bridge fdb show dev "${d##*/}" | sed -n "/ dst .* permanent/s/^/${d##*/} /p" | sort; done
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
