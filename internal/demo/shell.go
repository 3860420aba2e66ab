package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"whybot/runners"
)

// iptablesVersion is that of RHEL 7: one back end, and no nft on the node.
const iptablesVersion = "1.4.21"

// notInstalled are programs that whybot looks for and that such a node need
// not have.
var notInstalled = []string{
	"nft", "iptables-nft-save", "iptables-legacy-save", "ebtables", "ebtables-save", "ebtables-nft-save", "ebtables-legacy-save", "ipset",
}

// An output is what a command printed and how it ended.
type output struct {
	stdout, stderr string
	code           int
}

// A command is one command line on a node.
type command struct {
	cloud   *Cloud
	machine *machine
	words   []string
	root    bool // run by sudo
	change  bool // it may change the node
}

// Run runs probes on a node. It implements commands.Shell: a command that
// would change the node fails here.
func (c *Cloud) Run(ctx context.Context, node string, probes []runners.Probe) ([]runners.Result, error) {
	return c.exec(ctx, node, probes, false)
}

// Change runs commands on a node until one fails. It implements
// commands.Changer.
func (c *Cloud) Change(ctx context.Context, node string, cmds []runners.Probe) ([]runners.Result, error) {
	return c.exec(ctx, node, cmds, true)
}

func (c *Cloud) exec(ctx context.Context, node string, probes []runners.Probe, change bool) ([]runners.Result, error) {
	m, err := c.reach(ctx, node)
	if err != nil {
		return nil, err
	}
	results := make([]runners.Result, len(probes))
	failed := false
	for i, p := range probes {
		results[i].Probe = p
		if failed || ctx.Err() != nil {
			results[i].Err = &runners.Error{Kind: runners.Unknown, Runner: "demo", Target: node, Op: p.Command(), Hint: "not run"}
			continue
		}
		results[i] = c.probe(ctx, m, p, change)
		failed = change && (results[i].Err != nil || results[i].Output.ExitCode != 0)
	}
	return results, nil
}

func (c *Cloud) reach(ctx context.Context, node string) (*machine, error) {
	if ctx.Err() != nil {
		return nil, &runners.Error{Kind: runners.TooSlow, Runner: "demo", Target: node, Op: "run", Hint: context.Cause(ctx).Error()}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machine(node)
}

// probe runs one command.
func (c *Cloud) probe(ctx context.Context, m *machine, p runners.Probe, change bool) runners.Result {
	start := time.Now()
	r := runners.Result{Probe: p}
	fail := func(kind runners.Kind, hint string) runners.Result {
		r.Output = runners.Output{ExitCode: 127, At: start}
		r.Err = &runners.Error{Kind: kind, Runner: "demo", Target: m.name, Op: p.Command(), Hint: hint}
		return r
	}
	if slices.Contains(notInstalled, p.Argv[0]) {
		return fail(runners.MissingProgram, "install "+p.Argv[0]+" there")
	}
	out, ok := command{cloud: c, machine: m, words: p.Argv, root: p.Sudo, change: change}.run(ctx)
	if !ok {
		c.mu.Lock()
		c.unmodelled = append(c.unmodelled, p.Command())
		c.mu.Unlock()
		return fail(runners.MissingProgram, "the simulated node does not know this command")
	}
	r.Output = runners.Output{Stdout: out.stdout, Stderr: out.stderr, ExitCode: out.code, At: start, Took: time.Since(start)}
	return r
}

// run runs the command; ok is false when the model does not have it. Only ping
// takes time, so only ping runs without the lock.
func (x command) run(ctx context.Context) (out output, ok bool) {
	if slices.Contains(x.words, "ping") {
		return x.ping(ctx)
	}
	x.cloud.mu.Lock()
	defer x.cloud.mu.Unlock()
	switch x.words[0] {
	case "date":
		return x.date()
	case "systemctl":
		return x.systemctl()
	case "pgrep":
		return x.pgrep()
	case "tail":
		return x.tail()
	case "ps":
		return x.ps()
	case "cat", "sha256sum":
		return x.file()
	case "test":
		return x.directory()
	case "sed":
		return x.sed()
	case "kill":
		return x.kill()
	case "iptables", "iptables-save":
		return x.iptables()
	case "ip":
		return x.ip()
	}
	return output{}, false
}

// denied is what a program says that needs root and has it not.
func denied(program string) output {
	return output{stderr: program + ": Permission denied (you must be root)\n", code: 4}
}

func (x command) ps() (output, bool) {
	if !slices.Equal(x.words[1:], []string{"-ww", "-C", "dnsmasq", "-o", "pid=,stat=,args="}) {
		return output{}, false
	}
	if s := x.machine.space; s != nil && s.dnsmasq != nil {
		return output{stdout: fmt.Sprintf("%5d S    %s\n", s.dnsmasq.pid, s.args())}, true
	}
	return output{code: 1}, true
}

// file reads one file, whole or as its sum.
func (x command) file() (output, bool) {
	if len(x.words) != 2 {
		return output{}, false
	}
	name := x.words[1]
	text, there := x.machine.files[name]
	switch {
	case !x.root && !strings.HasPrefix(name, "/proc/"):
		return output{stderr: x.words[0] + ": " + name + ": Permission denied\n", code: 1}, true
	case !there:
		return output{stderr: x.words[0] + ": " + name + ": No such file or directory\n", code: 1}, true
	case x.words[0] == "sha256sum":
		sum := sha256.Sum256([]byte(text))
		return output{stdout: hex.EncodeToString(sum[:]) + "  " + name + "\n"}, true
	}
	return output{stdout: text}, true
}

// directory is `test -d`: of directories only that of the VLAN module is asked.
func (x command) directory() (output, bool) {
	if !form(x.words, "test", "-d", "*") {
		return output{}, false
	}
	if x.words[2] == "/proc/net/vlan" {
		return output{}, true
	}
	return output{code: 1}, true
}

// sedScript is the one script that sed knows: Ns/^OLD/NEW/, with plain text for
// OLD and NEW.
var sedScript = regexp.MustCompile(`^([1-9][0-9]*)s/\^([^/.*\[\]\\$]*)/([^/&\\]*)/$`)

// form reports whether words are those of a pattern, in which * stands for any
// one word.
func form(words []string, pattern ...string) bool {
	return slices.EqualFunc(words, pattern, func(w, p string) bool { return p == "*" || w == p })
}

// sed edits a file in place, with a copy of it when a suffix is given.
func (x command) sed() (output, bool) {
	if !form(x.words, "sed", "*", "-e", "*", "*") || !strings.HasPrefix(x.words[1], "-i") || !x.change {
		return output{}, false
	}
	parts := sedScript.FindStringSubmatch(x.words[3])
	if parts == nil {
		return output{}, false
	}
	name := x.words[4]
	text, there := x.machine.files[name]
	if !x.root || !there {
		return output{stderr: "sed: can't read " + name + "\n", code: 2}, true
	}
	if suffix := x.words[1][len("-i"):]; suffix != "" {
		x.machine.files[name+suffix] = text
	}
	lines := strings.Split(text, "\n")
	if n, err := strconv.Atoi(parts[1]); err == nil && n <= len(lines) {
		if rest, found := strings.CutPrefix(lines[n-1], parts[2]); found {
			lines[n-1] = parts[3] + rest
		}
	}
	x.machine.files[name] = strings.Join(lines, "\n")
	return output{}, true
}

// kill ends the dnsmasq, or has it read its files again (-HUP).
func (x command) kill() (output, bool) {
	hup := form(x.words, "kill", "-HUP", "*")
	if !x.change || !hup && !form(x.words, "kill", "*") {
		return output{}, false
	}
	s := x.machine.space
	if !x.root || s == nil || s.dnsmasq == nil || x.words[len(x.words)-1] != strconv.Itoa(s.dnsmasq.pid) {
		return output{stderr: "kill: (" + x.words[len(x.words)-1] + ") - No such process\n", code: 1}, true
	}
	if hup {
		s.dnsmasq.hosts = x.machine.hosts()
	} else {
		s.dnsmasq = nil
	}
	return output{}, true
}

func (x command) iptables() (output, bool) {
	switch {
	case slices.Equal(x.words, []string{"iptables", "-V"}):
		return output{stdout: "iptables v" + iptablesVersion + "\n"}, true
	case !x.root:
		return denied(x.words[0] + " v" + iptablesVersion), true
	case slices.Equal(x.words, []string{"iptables-save"}), slices.Equal(x.words, []string{"iptables-save", "-c"}):
		return output{stdout: x.machine.firewall.save(len(x.words) == 2, time.Now())}, true
	case x.words[0] == "iptables" && x.change:
		stderr, code := x.machine.firewall.edit(x.words[1:])
		return output{stderr: stderr, code: code}, true
	}
	return output{}, false
}

var showLinks = []string{"ip", "-d", "-s", "link", "show"}

func (x command) ip() (output, bool) {
	switch {
	case slices.Equal(x.words, showLinks):
		return output{stdout: x.machine.links.show()}, true
	case slices.Equal(x.words, []string{"ip", "netns", "list"}):
		if x.machine.space == nil {
			return output{}, true
		}
		return output{stdout: x.machine.space.name + " (id: 0)\n"}, true
	case len(x.words) > 4 && slices.Equal(x.words[1:3], []string{"netns", "exec"}):
		return x.inside(x.words[3], x.words[4:])
	case len(x.words) > 2 && x.words[1] == "link" && x.change:
		if !x.root {
			return output{stderr: "RTNETLINK answers: Operation not permitted\n", code: 2}, true
		}
		stderr, code, known := x.machine.links.change(x.words[2:])
		return output{stderr: stderr, code: code}, known
	}
	return output{}, false
}

// space returns the namespace so named, or what ip says when it cannot enter.
func (x command) space(name string) (*namespace, output) {
	switch s := x.machine.space; {
	case !x.root:
		return nil, output{stderr: "setting the network namespace \"" + name + "\" failed: Operation not permitted\n", code: 255}
	case s == nil || s.name != name:
		return nil, output{stderr: "Cannot open network namespace \"" + name + "\": No such file or directory\n", code: 255}
	default:
		return s, output{}
	}
}

// inside runs a command in a namespace.
func (x command) inside(name string, words []string) (output, bool) {
	s, refused := x.space(name)
	if s == nil {
		return refused, true
	}
	switch {
	case slices.Equal(words, showLinks):
		return output{stdout: s.links.show()}, true
	case slices.Equal(words, []string{"ss", "-H", "-l", "-u", "-n", "sport", "=", ":67"}):
		if s.dnsmasq == nil {
			return output{}, true
		}
		return output{stdout: "UNCONN 0      0            0.0.0.0:67        0.0.0.0:*    \n"}, true
	case form(words, "ip", "-s", "neigh", "show", "*"):
		address, err := netip.ParseAddr(words[4])
		if err != nil {
			return output{stderr: "Error: any valid prefix is expected rather than \"" + words[4] + "\".\n", code: 1}, true
		}
		return output{stdout: s.neighbourLine(address, time.Now())}, true
	}
	return output{}, false
}

// ping sends echoes from a namespace: `ip netns exec NAME ping -n -c COUNT -i
// INTERVAL -W WAIT ADDRESS`. An answer comes at once; only its absence is
// waited for.
func (x command) ping(ctx context.Context) (output, bool) {
	w := x.words
	if !form(w, "ip", "netns", "exec", "*", "ping", "-n", "-c", "*", "-i", "*", "-W", "*", "*") {
		return output{}, false
	}
	count, err1 := strconv.Atoi(w[7])
	interval, err2 := strconv.ParseFloat(w[9], 64)
	wait, err3 := strconv.ParseFloat(w[11], 64)
	address, err4 := netip.ParseAddr(w[12])
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return output{stderr: "ping: " + err.Error() + "\n", code: 2}, true
		}
	}
	answered := 0
	for i := range count {
		if i > 0 && !pause(ctx, interval) {
			break
		}
		ok, refused := x.echo(w[3], address)
		if refused.code != 0 {
			return refused, true
		}
		if ok {
			answered++
		}
	}
	text := fmt.Sprintf("PING %s (%s) 56(84) bytes of data.\n\n--- %s ping statistics ---\n%d packets transmitted, %d received\n",
		address, address, address, count, answered)
	if answered > 0 {
		return output{stdout: text}, true
	}
	pause(ctx, wait)
	return output{stdout: text, code: 1}, true
}

// echo sends one echo under the lock.
func (x command) echo(name string, address netip.Addr) (answered bool, refused output) {
	x.cloud.mu.Lock()
	defer x.cloud.mu.Unlock()
	s, refused := x.space(name)
	if s == nil {
		return false, refused
	}
	return s.echo(x.cloud, x.machine, address), output{}
}

// pause waits and reports whether it was not interrupted.
func pause(ctx context.Context, seconds float64) bool {
	t := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
