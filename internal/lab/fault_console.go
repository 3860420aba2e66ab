package lab

import (
	"context"
	"fmt"
	"slices"
	"time"

	"whybot/internal/cloudfake"
)

// The console of web-1: its proxy runs on controller01, its VNC server on
// compute01.
const (
	webConsole  = "why does the console of web-1 not open"
	code1006    = "console of web-1: Failed to connect to server (code: 1006)"
	consoleURL  = "http://172.30.200.31:6080/vnc_lite.html"
	computeAddr = "172.30.200.41"
	proxyUnit   = "openstack-nova-novncproxy"
	aToken      = "dc93adfc-81bf-4b28-b2bc-e0fed6b8a30c"
)

// withConsole is a cloud in which Nova sends the proxy to web-1 on compute01.
func withConsole(m *cloudfake.Model) {
	m.ConsoleURL = consoleURL
	m.ComputeServices = []cloudfake.ComputeService{
		{Binary: "nova-conductor", Host: Controller01},
		{Binary: "nova-scheduler", Host: Controller01},
		{Binary: "nova-compute", Host: Compute01},
		{Binary: "nova-compute", Host: Compute02},
	}
	changeWebServer(func(s *cloudfake.Server) {
		s.Status, s.Console = "", cloudfake.Console{Host: computeAddr, Port: 5900}
	})(m)
}

// console changes what Nova knows of web-1's console.
func console(change func(*cloudfake.Console)) func(*cloudfake.Model) {
	return changeWebServer(func(s *cloudfake.Server) { change(&s.Console) })
}

// secondGuest makes web-1 the second guest of its node.
var secondGuest = console(func(c *cloudfake.Console) { c.Port = 5901 })

// greeting is how a VNC server begins.
const greeting = "RFB 003.008\n"

// listens has qemu take connections on compute01.
func listens(address string, port int) change {
	return on(Compute01, `/usr/lib/whylab/listen qemu-kvm "$1" "$2" "$3"`, address, fmt.Sprint(port), greeting)
}

// proxyUnitFile is the proxy as systemctl's stand-in knows it.
const proxyUnitFile = `description='OpenStack Nova NoVNC Proxy Server'
command='/usr/bin/python3 /usr/bin/nova-novncproxy --config-file /etc/nova/nova.conf'
on_start() { /usr/lib/whylab/listen nova-novncproxy 0.0.0.0 6080 ''; }
on_stop() { /usr/lib/whylab/listen -6080; }
`

// novaConf is what nova.conf says of consoles.
func novaConf(machine, lines string) change {
	return on(machine, `mkdir -p /etc/nova && printf '[DEFAULT]\nconnection = mysql://nova:secret@db\n[vnc]\n%s\n' "$1" > /etc/nova/nova.conf`, lines)
}

// openConsole makes web-1's console work, as it was before a fault.
func openConsole() []change {
	return []change{
		on(Controller01, `printf '%s' "$1" > /usr/lib/whylab/units/`+proxyUnit+` && systemctl start `+proxyUnit, proxyUnitFile),
		novaConf(Controller01, "novncproxy_host = 0.0.0.0\nnovncproxy_port = 6080"), proxyLogs(),
		on(Compute01, "iptables-save > /run/console.rules"),
		novaConf(Compute01, "server_listen = 0.0.0.0\nserver_proxyclient_address = "+computeAddr+"\nnovncproxy_base_url = "+consoleURL),
		listens(computeAddr, 5900), listens(computeAddr, 5901),
	}
}

// closeConsole takes everything of it away.
func closeConsole() []change {
	return []change{
		on(Compute01, "ip link set eth1 up; iptables-restore < /run/console.rules; /usr/lib/whylab/listen -5900; /usr/lib/whylab/listen -5901; rm -f /etc/nova/nova.conf"),
		on(Controller01, "systemctl stop "+proxyUnit+"; rm -f /usr/lib/whylab/units/"+proxyUnit+" /etc/nova/nova.conf /var/log/nova/nova-novncproxy.log"),
	}
}

// A logged line is what the proxy logged so long ago.
type logged struct {
	ago  time.Duration
	pid  int
	text string
}

// proxyLogs is what the proxy has logged since its last start a day ago.
func proxyLogs(lines ...logged) change {
	text := ""
	for _, l := range append([]logged{{24 * time.Hour, 100, "Logging enabled!"}}, lines...) {
		text += fmt.Sprintf("%s %d INFO nova.console.websocketproxy [-] %s\n", time.Now().Add(-l.ago).UTC().Format("2006-01-02 15:04:05.000"), l.pid, l.text)
	}
	return on(Controller01, `mkdir -p /var/log/nova && printf '%s' "$1" > /var/log/nova/nova-novncproxy.log`, text)
}

// What the proxy logs of a browser.
const (
	unreachableLog = "handler exception: [Errno 113] EHOSTUNREACH"
	expiredLog     = "handler exception: The token '" + aToken + "' is invalid or has expired"
	movedLog       = "handler exception: The token '***' is invalid or has expired"
	originLog      = "handler exception: Origin header does not match this host."
	connectingLog  = "connecting to: " + computeAddr + ":5900"
)

// rulesOf edits the rules of compute01.
func rulesOf(sed string) change {
	return on(Compute01, `iptables-save | sed -e "$1" | iptables-restore`, sed)
}

// Edits of compute01's rules: nothing of VNC is open, only the first port is, all
// ports are; and what is not open is dropped.
const (
	shutVNC  = "/--dport 5900:5999/d"
	firstVNC = "s/--dport 5900:5999/--dport 5900/"
	dropRest = "s/-A INPUT -j REJECT.*/-A INPUT -j DROP/"
)

// forgotten makes controller01 forget its neighbours, as it does when some time has
// passed since it last heard of them.
var forgotten = on(Controller01, "ip neigh flush dev eth1")

// consoleCase is a fault of consoles: the cloud as it is then, and what the nodes
// have to say of it. It is about one connection, not about packets of the guest.
func consoleCase(want Want, variant, doc, question string, breakIt func(*cloudfake.Model), nodes ...change) Fault {
	return Fault{
		ID: want.Cause, Variant: variant, Doc: doc, Question: question, Want: want,
		Inject: inOrder(volumesAs(both(withConsole, breakIt)), healed(openConsole()...), healed(nodes...)),
		Heal: inOrder(volumesAs(withConsole), func(ctx context.Context, l *Lab) error {
			return all(ctx, l, closeConsole())
		}),
	}
}

// ConsoleFaults returns every fault and decoy of consoles. Like those of volumes
// they have a question of their own, and may follow one another in one lab.
func ConsoleFaults() []Fault { return slices.Concat(consoleFaults(), consoleDecoys()) }

// unconnected is a verdict on the proxy's connection to a port of compute01.
func unconnected(id, door string) Want {
	return Want{
		State: proven, Cause: id, FromNode: Controller01, FromDevice: "novncproxy", ToNode: Compute01, ToDevice: door, Direction: request,
	}
}

func consoleFaults() []Fault {
	first, second := computeAddr+":5900", computeAddr+":5901"
	to := func(host string) func(*cloudfake.Model) {
		return console(func(c *cloudfake.Console) { c.Host = host })
	}
	status := func(s string) func(*cloudfake.Model) {
		return changeWebServer(func(w *cloudfake.Server) { w.Status = s })
	}
	base := func(url string) func(*cloudfake.Model) {
		return func(m *cloudfake.Model) { m.ConsoleURL = url }
	}
	return []Fault{
		consoleCase(unconnected("CONS-01", first), "reject", "INPUT of compute01 has no rule for VNC: the REJECT at its end takes it", code1006, asItIs, rulesOf(shutVNC)),
		consoleCase(unconnected("CONS-02", second), "only-5900", "only 5900 is open, and web-1 is the second guest", webConsole, secondGuest, rulesOf(firstVNC)),
		consoleCase(unconnected("CONS-02", second), "only-5900-drop", "the same, where the rest is dropped", webConsole, secondGuest, rulesOf(firstVNC+";"+dropRest)),
		consoleCase(unconnected("CONS-03", first), "drop", "INPUT of compute01 drops what nothing lets in", webConsole, asItIs, rulesOf(shutVNC+";"+dropRest)),
		consoleCase(unconnected("CONS-03", first), "policy", "the policy of INPUT does", webConsole, asItIs, rulesOf(shutVNC+";/-A INPUT -j REJECT/d;s/:INPUT ACCEPT/:INPUT DROP/")),
		consoleCase(unconnected("CONS-04", first), "nic-down", "compute01's NIC of that network is down", webConsole, asItIs, on(Compute01, "ip link set eth1 down"), forgotten),
		consoleCase(unconnected("CONS-04", "172.30.200.49:5900"), "no-such-address", "server_proxyclient_address is nobody's", webConsole, to("172.30.200.49")),
		consoleCase(unconnected("CONS-05", "127.0.0.1:5900"), "loopback", "server_proxyclient_address is the default", webConsole, to("127.0.0.1"), novaConf(Compute01, "server_listen = 0.0.0.0")),
		consoleCase(unconnected("CONS-06", first), "listens-on-loopback", "server_listen is 127.0.0.1", webConsole, asItIs, listens("127.0.0.1", 5900)),
		consoleCase(is("CONS-07"), "default", "novncproxy_base_url is the default", webConsole, base("http://127.0.0.1:6080/vnc_auto.html")),
		consoleCase(is("CONS-07"), "port", "novncproxy_base_url has another port than the proxy", webConsole, base("http://172.30.200.31:6081/vnc_lite.html")),
		consoleCase(is("CONS-08"), "stopped", "the proxy does not run", webConsole, asItIs, on(Controller01, "systemctl stop "+proxyUnit)),
		consoleCase(is("CONS-08"), "deaf", "the proxy runs and does not listen", webConsole, asItIs, on(Controller01, "/usr/lib/whylab/listen -6080")),
		consoleCase(seems("CONS-09"), "expired", "the last browser had an old token", webConsole, asItIs, proxyLogs(logged{2 * time.Minute, 301, expiredLog})),
		consoleCase(is("CONS-11"), "origin", "the proxy refuses browsers by their Origin", webConsole, asItIs, proxyLogs(logged{2 * time.Minute, 301, originLog})),
		consoleCase(is("CONS-15"), "off", "web-1 is shut off", webConsole, status("SHUTOFF")),
		consoleCase(is("CONS-15"), "not-ready", "web-1 is being built", webConsole, status("BUILD")),
		consoleCase(is("CONS-15"), "no-vnc", "web-1 has no VNC console", webConsole, console(func(c *cloudfake.Console) { c.Disabled = true })),
		consoleCase(seems("CONS-16"), "moved", "web-1's port is another one than when the browser got its token", webConsole, asItIs, proxyLogs(logged{2 * time.Minute, 301, movedLog})),
	}
}

func consoleDecoys() []Fault {
	return []Fault{
		consoleCase(decoyOf("CONS-01"), "decoy-behind-accept", "the REJECT stands behind the ACCEPT for VNC, and somebody says 1006", code1006, asItIs),
		consoleCase(decoyOf("CONS-01"), "decoy-old-log", "the failures in the log are over", webConsole, asItIs,
			proxyLogs(logged{3 * time.Hour, 301, connectingLog}, logged{3 * time.Hour, 301, unreachableLog}, logged{2 * time.Hour, 302, expiredLog})),
		consoleCase(decoyOf("CONS-02"), "decoy-range", "web-1 is the second guest, and the range is open", webConsole, secondGuest),
		consoleCase(decoyOf("CONS-03"), "decoy-drop", "a DROP at the end, behind the ACCEPT for VNC", webConsole, asItIs, rulesOf(dropRest)),
		consoleCase(decoyOf("CONS-06"), "decoy-another", "another program listens on the loopback address", webConsole, asItIs, listens("127.0.0.1", 5901)),
		consoleCase(decoyOf("CONS-09"), "decoy-reopened", "an old token, and the next one was taken", webConsole, asItIs,
			proxyLogs(logged{4 * time.Minute, 301, expiredLog}, logged{2 * time.Minute, 302, connectingLog})),
		consoleCase(decoyOf("CONS-11"), "decoy-cured", "refused by the Origin until base_url was set right", webConsole, asItIs,
			proxyLogs(logged{9 * time.Minute, 301, originLog}, logged{2 * time.Minute, 302, connectingLog})),
		consoleCase(decoyOf("CONS-15"), "decoy-paused", "web-1 is paused, and has its console", webConsole, changeWebServer(func(s *cloudfake.Server) { s.Status = "PAUSED" })),
	}
}
