package node

import (
	"bufio"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"whybot/runners"
)

// DHCPDir is where the DHCP agent keeps a network's files unless its
// configuration says otherwise (dhcp_confs in dhcp_agent.ini).
const DHCPDir = "/var/lib/neutron/dhcp"

// DnsmasqProbe lists every dnsmasq with its command line. It exits 1 when
// there is none.
func DnsmasqProbe() runners.Probe {
	return runners.Probe{Name: "dnsmasq", Argv: []string{"ps", "-ww", "-C", "dnsmasq", "-o", "pid=,stat=,args="}}
}

// ListenProbe lists the UDP sockets of DHCP servers, and with ipv6 those of
// DHCPv6 too, inside a network's namespace:
// the second witness beside the process list.
func ListenProbe(networkID string, ipv6 bool) runners.Probe {
	argv := []string{"ip", "netns", "exec", Namespace(networkID), "ss", "-H", "-l", "-u", "-n", "sport", "=", ":67"}
	if ipv6 {
		argv = append(argv, "or", "sport", "=", ":547")
	}
	return runners.Probe{Name: "dhcp-listen", Sudo: true, Argv: argv}
}

// NetnsLinksProbe lists the links inside a network's namespace.
func NetnsLinksProbe(networkID string) runners.Probe {
	return runners.Probe{
		Name: "netns-link", Sudo: true,
		Argv: []string{"ip", "netns", "exec", Namespace(networkID), "ip", "-d", "-s", "link", "show"},
	}
}

// HostsProbe prints a network's dnsmasq host file at its usual place.
func HostsProbe(networkID string) runners.Probe {
	return HostsProbeAt(path.Join(DHCPDir, networkID, "host"))
}

// HostsProbeAt prints the dnsmasq host file at file.
func HostsProbeAt(file string) runners.Probe {
	return runners.Probe{Name: "dhcp-hosts", Sudo: true, Argv: []string{"cat", file}}
}

// HolderProbes ask who answers for the guest's address, from the network's DHCP
// namespace: two echoes between two looks at the neighbour entry.
func HolderProbes(networkID, address string) []runners.Probe {
	in := func(name string, argv ...string) runners.Probe {
		return runners.Probe{Name: name, Sudo: true, Argv: append([]string{"ip", "netns", "exec", Namespace(networkID)}, argv...)}
	}
	return []runners.Probe{
		in("neighbour-before", "ip", "-s", "neigh", "show", address),
		in("echo", "ping", "-n", "-c", "2", "-i", "0.3", "-W", "1", address),
		in("neighbour", "ip", "-s", "neigh", "show", address),
	}
}

// Namespace returns the name of a network's DHCP namespace.
func Namespace(networkID string) string { return "qdhcp-" + networkID }

// A Dnsmasq is one running dnsmasq.
type Dnsmasq struct {
	PID       string
	Args      string
	HostsFile string   // value of --dhcp-hostsfile
	LeaseFile string   // value of --dhcp-leasefile
	Ranges    []string // values of --dhcp-range
	Interface string   // value of --interface
	Stopped   bool     // stopped by a signal, or a zombie: it answers nothing
}

// ParseDnsmasq reads the output of DnsmasqProbe.
func ParseDnsmasq(text string) []Dnsmasq {
	var all []Dnsmasq
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 3 {
			continue
		}
		d := Dnsmasq{PID: words[0], Args: strings.Join(words[2:], " "), Stopped: strings.ContainsAny(words[1][:1], "TtZX")}
		for _, w := range words[3:] {
			if v, ok := strings.CutPrefix(w, "--dhcp-hostsfile="); ok {
				d.HostsFile = v
			}
			if v, ok := strings.CutPrefix(w, "--dhcp-leasefile="); ok {
				d.LeaseFile = v
			}
			if v, ok := strings.CutPrefix(w, "--dhcp-range="); ok {
				d.Ranges = append(d.Ranges, v)
			}
			if v, ok := strings.CutPrefix(w, "--interface="); ok {
				d.Interface = v
			}
		}
		all = append(all, d)
	}
	return all
}

// Serving returns the dnsmasq that serves the network on the device inside
// the namespace (ns-…), or false.
func Serving(all []Dnsmasq, networkID, device string) (Dnsmasq, bool) {
	for _, d := range all {
		if strings.Contains(d.HostsFile, networkID) || d.Interface == device {
			return d, true
		}
	}
	return Dnsmasq{}, false
}

// RangeIn returns the --dhcp-range that begins in subnet, and false when there
// is none: dnsmasq gives no address of a subnet that it has no range in.
func (d Dnsmasq) RangeIn(subnet netip.Prefix) (string, bool) {
	for _, r := range d.Ranges {
		for word := range strings.SplitSeq(r, ",") {
			if a, err := netip.ParseAddr(word); err == nil && subnet.Contains(a) {
				return r, true
			}
		}
	}
	return "", false
}

// HostEntries reads a dnsmasq host file as the DHCP agent writes it
// (MAC,[set:tag|id:*,]name,address) and returns the addresses by MAC. An
// IPv6 address stands in brackets. A MAC may have several entries.
func HostEntries(text string) map[string][]netip.Addr {
	entries := map[string][]netip.Addr{}
	sc := bufio.NewScanner(strings.NewReader(text))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		fields := strings.Split(strings.TrimSpace(sc.Text()), ",")
		mac := strings.ToLower(fields[0])
		if strings.Count(mac, ":") != 5 {
			continue
		}
		addrs := entries[mac]
		for _, f := range fields[1:] {
			if a, err := netip.ParseAddr(strings.Trim(f, "[]")); err == nil {
				addrs = append(addrs, a)
			}
		}
		entries[mac] = addrs
	}
	return entries
}

// Holder returns the link address that answers for an address now: that of the
// neighbour entry after the echoes, when they were answered, or when ARP
// confirmed it between the two looks, whatever a security group says about
// ICMP. An entry left over from before proves nothing and gives "".
func Holder(echoAnswered bool, before, after string) string {
	mac, age, ok := neighbour(after)
	if !ok {
		return ""
	}
	// Unanswered echoes take more than a second: an entry that was not
	// confirmed meanwhile is older now than it was.
	_, ageBefore, known := neighbour(before)
	if echoAnswered || !known || age <= ageBefore {
		return mac
	}
	return ""
}

// neighbour reads an entry of `ip -s neigh show`: its link address and the
// seconds since it was last confirmed (used/confirmed/updated).
func neighbour(text string) (mac string, age int, ok bool) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return "", 0, false
	}
	switch words[len(words)-1] {
	case "REACHABLE", "STALE", "DELAY", "PROBE":
	default:
		return "", 0, false
	}
	parts := strings.Split(after(words, "used"), "/")
	if len(parts) != 3 {
		return "", 0, false
	}
	age, err := strconv.Atoi(parts[1])
	return strings.ToLower(after(words, "lladdr")), age, err == nil
}
