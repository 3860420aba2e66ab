package node

import (
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"

	"whybot/runners"
)

// LeasesProbe prints the leases of a network's dnsmasq at their usual place.
func LeasesProbe(networkID string) runners.Probe {
	return runners.Probe{Name: "dhcp-leases", Sudo: true, Argv: []string{"cat", path.Join(DHCPDir, networkID, "leases")}}
}

// TimeProbe prints a node's time, which leases are to be held against.
func TimeProbe() runners.Probe {
	return runners.Probe{Name: "time", Argv: []string{"date", "+%s.%N"}}
}

// A Lease is one IPv4 lease of dnsmasq.
type Lease struct {
	Expires time.Time // zero for never
	MAC     string
	Address netip.Addr
	// ClientID is what the client called itself in hex, empty for nothing.
	ClientID string
	// Line is the lease as it stands in the file.
	Line string
}

// Over reports whether the lease has run out at now.
func (l Lease) Over(now time.Time) bool { return !l.Expires.IsZero() && !now.Before(l.Expires) }

// ParseLeases reads dnsmasq's lease file: one "EXPIRY MAC ADDRESS NAME CLIENT-ID"
// a line. Those of IPv6 follow behind a line that begins with "duid".
func ParseLeases(text string) []Lease {
	var all []Lease
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) > 0 && words[0] == "duid" {
			break
		}
		if len(words) != 5 {
			continue
		}
		seconds, err := strconv.ParseInt(words[0], 10, 64)
		address, aerr := netip.ParseAddr(words[2])
		if err != nil || aerr != nil || !address.Is4() {
			continue
		}
		l := Lease{MAC: strings.ToLower(words[1]), Address: address, Line: strings.TrimSpace(line)}
		if seconds != 0 {
			l.Expires = time.Unix(seconds, 0)
		}
		if words[4] != "*" {
			l.ClientID = words[4]
		}
		all = append(all, l)
	}
	return all
}

// ParseTime reads the output of TimeProbe, to the second.
func ParseTime(text string) (time.Time, error) {
	seconds, _, _ := strings.Cut(strings.TrimSpace(text), ".")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("not a time: %.40q", text)
	}
	return time.Unix(n, 0), nil
}
