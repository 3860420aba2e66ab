package node

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"whybot/runners"
)

// NovaLogDir is where Nova's services write their logs.
const NovaLogDir = "/var/log/nova/"

// ConsoleProxy is the program that carries VNC to browsers, and the name of its
// unit on Debian; RHEL's is in ConsoleUnits too.
const ConsoleProxy = "nova-novncproxy"

// ConsoleUnits are the units of the console proxy, one a distribution.
var ConsoleUnits = []string{ConsoleProxy, "openstack-" + ConsoleProxy}

// ConsoleUnitsProbe shows what systemd says of the console proxy.
func ConsoleUnitsProbe() runners.Probe {
	p := UnitProbe(ConsoleUnits...)
	p.Name = "console-units"
	return p
}

// ConsoleProcessesProbe lists the processes of the console proxy, in containers
// or not. It exits 1 when there is none. The pattern does not match itself.
func ConsoleProcessesProbe() runners.Probe {
	return runners.Probe{Name: "console-processes", Argv: []string{"pgrep", "-a", "-f", "[n]ova-novncproxy"}}
}

// ConsoleLogProbe prints the end of the console proxy's log, where packages and
// where containers write it. It exits 1 when one of them is not there, which is
// always so.
func ConsoleLogProbe() runners.Probe {
	return runners.Probe{
		Name: "log " + ConsoleProxy, Sudo: true,
		Argv: []string{"tail", "-q", "-n", "800", NovaLogDir + ConsoleProxy + ".log", "/var/log/kolla/nova/" + ConsoleProxy + ".log"},
	}
}

// ConsoleConfigProbe prints what nova.conf says of consoles, and nothing of it
// that is a secret.
func ConsoleConfigProbe() runners.Probe {
	return runners.Probe{
		Name: "nova.conf vnc", Sudo: true,
		Argv: []string{
			"grep", "-h", "-E", `^([[:space:]]+)?(\[|(server_listen|vncserver_listen|server_proxyclient_address|vncserver_proxyclient_address|novncproxy_base_url|novncproxy_host|novncproxy_port|allowed_origins)([[:space:]]+)?=)`,
			"/etc/nova/nova.conf",
		},
	}
}

// ListenersProbe lists what listens for TCP on the node.
func ListenersProbe() runners.Probe {
	return runners.Probe{Name: "tcp-listen", Sudo: true, Argv: []string{"ss", "-H", "-l", "-n", "-t", "-p"}}
}

// A Listener is a socket that listens for TCP. Its address is not valid when it
// takes connections to all of them.
type Listener struct {
	Address netip.Addr
	Port    int
	Process string // as ss names it; empty when it does not
	Line    string
}

// Takes reports whether the socket takes connections to an address.
func (l Listener) Takes(a netip.Addr) bool { return !l.Address.IsValid() || l.Address == a }

var processName = regexp.MustCompile(`users:\(\("([^"]{1,64})"`)

// ParseListeners reads the output of ListenersProbe.
func ParseListeners(text string) ([]Listener, error) {
	var all []Listener
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 4 || words[0] != "LISTEN" {
			return nil, fmt.Errorf("not a listening socket: %.80q", line)
		}
		at := strings.LastIndex(words[3], ":")
		port, err := strconv.Atoi(words[3][at+1:])
		if at < 0 || err != nil {
			return nil, fmt.Errorf("no port in %.80q", words[3])
		}
		l := Listener{Port: port, Line: strings.TrimSpace(line)}
		host, _, _ := strings.Cut(strings.Trim(words[3][:at], "[]"), "%") // %device
		if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && !a.IsUnspecified() {
			l.Address = a.Unmap()
		} else if err != nil && host != "*" {
			return nil, fmt.Errorf("no address in %.80q", words[3])
		}
		if m := processName.FindStringSubmatch(line); m != nil {
			l.Process = m[1]
		}
		all = append(all, l)
	}
	return all, nil
}

// connectScript tries one connection and reads what the other side says first.
// Its words are the host and the port.
const connectScript = `echo "begin $(date +%s%N)"
if { IFS= read -r -t 3 -n 11 said <&3; :; } 3<>"/dev/tcp/$1/$2"; then printf 'connected %s\n' "$said"; else echo failed; fi
echo "end $(date +%s%N)"`

// connectFor is how long a connection may take: a neighbour that does not answer
// is given up by the kernel after 3 s.
const connectFor = 5 * time.Second

// ConnectProbe tries a TCP connection from the node, with nothing but bash.
func ConnectProbe(name, host string, port int) runners.Probe {
	return runners.Probe{
		Name: name, Timeout: connectFor + 5*time.Second,
		Argv: []string{"timeout", strconv.Itoa(int(connectFor / time.Second)), "bash", "-c", connectScript, "connect", host, strconv.Itoa(port)},
	}
}

// An Errno is why a connection failed, by the kernel's name for it.
type Errno string

// Errnos of a connection that failed.
const (
	HostUnreachable Errno = "EHOSTUNREACH"
	NetUnreachable  Errno = "ENETUNREACH"
	Refused         Errno = "ECONNREFUSED"
	TimedOut        Errno = "ETIMEDOUT"
	NotPermitted    Errno = "EPERM"
	NoSuchName      Errno = "no such name"
)

// errnoWords are how the C library spells them.
var errnoWords = []struct {
	words string
	errno Errno
}{
	{"No route to host", HostUnreachable},
	{"Network is unreachable", NetUnreachable},
	{"Connection refused", Refused},
	{"Connection timed out", TimedOut},
	{"Operation not permitted", NotPermitted},
	{"Permission denied", NotPermitted},
	{"Name or service not known", NoSuchName},
	{"name resolution", NoSuchName},
	{"No address associated", NoSuchName},
	{"Invalid argument", NoSuchName},
}

// A Dial is what a connection came to.
type Dial struct {
	Connected bool
	// Greeted says that a VNC server answered.
	Greeted bool
	// Errno is why it failed.
	Errno Errno
	Took  time.Duration
}

// String says it as an operator would.
func (d Dial) String() string {
	switch {
	case d.Greeted:
		return "connected, and a VNC server answered"
	case d.Connected:
		return "connected, and nothing was said"
	case d.Errno == TimedOut:
		return fmt.Sprintf("no answer within %s (%s)", connectFor, d.Errno)
	}
	return fmt.Sprintf("%s after %d ms", d.Errno, d.Took.Milliseconds())
}

var greeting = regexp.MustCompile(`^RFB \d{3}\.\d{3}$`)

// ParseDial reads the output of ConnectProbe.
func ParseDial(out runners.Output) (Dial, error) {
	var d Dial
	var begin, end int64
	result := ""
	for line := range strings.Lines(out.Stdout) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		switch key {
		case "begin", "end":
			if err != nil {
				return Dial{}, fmt.Errorf("the node's clock says %.40q", value)
			}
			if begin == 0 {
				begin = n
			}
			end = n
		case "connected", "failed":
			result = key
			d.Greeted = greeting.MatchString(value)
		}
	}
	d.Took = time.Duration(end - begin)
	switch {
	case begin == 0 || d.Took < 0:
		return Dial{}, errors.New("the attempt to connect was not made")
	case result == "connected":
		d.Connected = true
		return d, nil
	case out.ExitCode == 124 && result == "":
		d.Errno, d.Took = TimedOut, connectFor
		return d, nil
	case result == "failed":
		for _, w := range errnoWords {
			if strings.Contains(out.Stderr, w.words) {
				d.Errno = w.errno
				return d, nil
			}
		}
	}
	return Dial{}, fmt.Errorf("what became of the connection could not be understood: %.120q", out.Stderr)
}

// wayScript prints the address of a host, the route to it and what the node
// knows of it as a neighbour. Its word is the host.
const wayScript = `read -r address rest < <(getent ahosts "$1")
echo "address $address"
ip -o route get "$address"
echo neighbour
ip neigh show "$address"`

// WayProbe shows how the node gets to a host.
func WayProbe(host string) runners.Probe {
	return runners.Probe{Name: "way", Argv: []string{"bash", "-c", wayScript, "way", host}}
}

// A Way is how a node gets to a host.
type Way struct {
	Address netip.Addr // of the host
	Source  netip.Addr // which the node sends from; not valid when it is not told
	Device  string
	// Gateway is the router in between; not valid when there is none.
	Gateway netip.Addr
	// Local says that the address is the node's own.
	Local bool
	// Neighbour is the state of its entry, such as REACHABLE or FAILED; empty
	// without an entry.
	Neighbour string
	// Answers says that the host has told its MAC address.
	Answers bool
}

// Failed reports whether the host does not answer on its wire.
func (w Way) Failed() bool { return w.Neighbour == "FAILED" || w.Neighbour == "INCOMPLETE" }

// ParseWay reads the output of WayProbe.
func ParseWay(text string) (Way, error) {
	var w Way
	head, neighbour, ok := strings.Cut(text, "neighbour\n")
	words := strings.Fields(head)
	if !ok || len(words) < 2 || words[0] != "address" {
		return Way{}, errors.New("the way to the host is not told")
	}
	var err error
	if w.Address, err = netip.ParseAddr(words[1]); err != nil {
		return Way{}, errors.New("the host's name has no address")
	}
	w.Local = len(words) > 2 && words[2] == "local"
	for i := 2; i+1 < len(words); i++ {
		switch words[i] {
		case "src":
			w.Source, _ = netip.ParseAddr(words[i+1]) // the zero Addr is not told
		case "via":
			w.Gateway, _ = netip.ParseAddr(words[i+1])
		case "dev":
			w.Device = words[i+1]
		}
	}
	if words = strings.Fields(neighbour); len(words) > 1 {
		w.Neighbour, w.Answers = words[len(words)-1], strings.Contains(neighbour, " lladdr ")
	}
	return w, nil
}

// A ConsoleAttempt is one connection of a browser, as the console proxy logged
// it. It holds no token, only what tells two of them apart.
type ConsoleAttempt struct {
	At    time.Time
	Token string // a part of its hash; empty when the log does not tell
	// Target is the host and port that the proxy connected to; empty when it did
	// not get that far.
	Target string
	// Failure is how it ended badly; empty when it did not.
	Failure string
	// Masked says that the failure is of a token that Nova knows, and does not
	// name: what is behind it has changed.
	Masked bool
	// Line is the line that says so, without the token.
	Line string
}

var (
	logToken   = regexp.MustCompile(`(token(?:=|%3D)|[Tt]he token ')([0-9A-Za-z-]{8,})`)
	secretID   = regexp.MustCompile(`(token(?:=|%3D)|[Tt]he token '|token=')[^'&\s"]+`)
	logProcess = regexp.MustCompile(`^\S+ \S+ (\d+) `)
	logTarget  = regexp.MustCompile(`connecting to: (\S+)`)
)

// ConsoleAttempts reads a console proxy's log: what its browsers' connections of
// the last time came to, in the order in which they ended. The proxy has a
// process for each.
func ConsoleAttempts(log string, now time.Time, age time.Duration) []ConsoleAttempt {
	var all []ConsoleAttempt
	tokens := map[string]string{} // by process
	for _, l := range Recent(log, now, age) {
		process := ""
		if m := logProcess.FindStringSubmatch(l.Text); m != nil {
			process = m[1]
		}
		if m := logToken.FindStringSubmatch(l.Text); m != nil {
			tokens[process] = fmt.Sprintf("%x", sha256.Sum256([]byte(m[2])))[:12]
		}
		a := ConsoleAttempt{At: l.At, Token: tokens[process], Line: WithoutToken(l.Text)}
		_, failure, failed := strings.Cut(l.Text, "handler exception: ")
		target := logTarget.FindStringSubmatch(l.Text)
		switch {
		case failed:
			a.Failure, a.Masked = WithoutToken(failure), strings.Contains(failure, "token '***'")
			if n := len(all); n > 0 && process != "" && all[n-1].Failure == "" && strings.Contains(all[n-1].Line, " "+process+" ") {
				a.Target = all[n-1].Target
				all = all[:n-1] // the same connection
			}
			all = append(all, a)
		case target != nil:
			a.Target = target[1]
			all = append(all, a)
		}
	}
	return all
}

// WithoutToken replaces the tokens of consoles in a line of a log.
func WithoutToken(line string) string { return secretID.ReplaceAllString(line, "${1}***") }

// ConsoleSettings are the values that nova.conf gives in [vnc], by key; of two
// names for one thing both.
func ConsoleSettings(text string) map[string]string {
	found := map[string]string{}
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSuffix(name, "]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if ok && (strings.EqualFold(section, "vnc") || section == "DEFAULT" && strings.Contains(key, "vnc")) {
			found[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return found
}
