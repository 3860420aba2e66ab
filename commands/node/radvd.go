package node

import (
	"strings"

	"whybot/runners"
)

// RouterNamespace returns the name of a router's namespace.
func RouterNamespace(routerID string) string { return "qrouter-" + routerID }

// RadvdProbe lists every radvd with its command line. It exits 1 when there is
// none.
func RadvdProbe() runners.Probe {
	return runners.Probe{Name: "radvd", Argv: []string{"ps", "-ww", "-C", "radvd", "-o", "pid=,stat=,args="}}
}

// RawProbe lists the raw sockets inside a router's namespace with the programs
// that hold them: radvd cannot do without one, so it is the second witness
// beside the process list.
func RawProbe(routerID string) runners.Probe {
	return runners.Probe{
		Name: "radvd-raw " + routerID, Sudo: true,
		Argv: []string{"ip", "netns", "exec", RouterNamespace(routerID), "ss", "-H", "-l", "-w", "-n", "-p"},
	}
}

// A Radvd is one running radvd; it runs as two processes with one command line.
type Radvd struct {
	PID, Args string
	Stopped   bool // stopped by a signal, or a zombie: it sends nothing
}

// ParseRadvd reads the output of RadvdProbe.
func ParseRadvd(text string) []Radvd {
	var all []Radvd
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) >= 3 {
			all = append(all, Radvd{PID: words[0], Args: strings.Join(words[2:], " "), Stopped: strings.ContainsAny(words[1][:1], "TtZX")})
		}
	}
	return all
}

// Advertising returns the processes that the L3 agent started for a router: it
// names their files after it.
func Advertising(all []Radvd, routerID string) []Radvd {
	var found []Radvd
	for _, r := range all {
		if routerID != "" && strings.Contains(r.Args, routerID+".radvd.conf") {
			found = append(found, r)
		}
	}
	return found
}
