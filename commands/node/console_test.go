package node_test

import (
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"whybot/commands/node"
	"whybot/runners"
)

func TestParseListeners(t *testing.T) {
	all, err := node.ParseListeners(`LISTEN 0 1    172.30.200.41:5900 0.0.0.0:* users:(("qemu-kvm",pid=2417,fd=21))
LISTEN 0 128  0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=69,fd=3))
LISTEN 0 128  [::]:22 [::]:*
LISTEN 0 5    [::1]:5901 [::]:*
LISTEN 0 5    *:6080 *:*
LISTEN 0 5    127.0.0.53%lo:53 0.0.0.0:*
LISTEN 0 5    [::ffff:10.0.0.1]:5902 *:*
`)
	if err != nil || len(all) != 7 {
		t.Fatalf("%d listeners, %v", len(all), err)
	}
	if l := all[0]; l.Port != 5900 || l.Process != "qemu-kvm" || !l.Takes(netip.MustParseAddr("172.30.200.41")) || l.Takes(netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("%+v", l)
	}
	for i, takes := range []bool{false, true, true, false, true, false, false} {
		if all[i].Takes(netip.MustParseAddr("10.9.9.9")) != takes {
			t.Errorf("%+v takes 10.9.9.9: %v, want %v", all[i], !takes, takes)
		}
	}
	if a := all[6].Address; a != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("a mapped address is read as %s", a)
	}
	for _, bad := range []string{"State Recv-Q\n", "LISTEN 0 1 nothing *:*\n", "LISTEN 0 1 x:y *:*\n", "LISTEN 0 1 host:22 *:*\n", "LISTEN\n"} {
		if _, err := node.ParseListeners(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzParseListeners(f *testing.F) {
	f.Add("LISTEN 0 1 172.30.200.41:5900 0.0.0.0:* users:((\"qemu\",pid=1,fd=2))\n")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = node.ParseListeners(s) })
}

func TestParseDial(t *testing.T) {
	const head = "begin 1763900000000000000\n"
	for name, c := range map[string]struct {
		out  runners.Output
		want node.Dial
		bad  bool
	}{
		"connected": {out: runners.Output{Stdout: head + "connected RFB 003.008\nend 1763900000004000000\n"}, want: node.Dial{Connected: true, Greeted: true, Took: 4 * time.Millisecond}},
		"silent":    {out: runners.Output{Stdout: head + "connected \nend 1763900003000000000\n"}, want: node.Dial{Connected: true, Took: 3 * time.Second}},
		"another":   {out: runners.Output{Stdout: head + "connected SSH-2.0-Ope\nend 1763900000000000000\n"}, want: node.Dial{Connected: true}},
		"no route": {
			out:  runners.Output{Stdout: head + "failed\nend 1763900000002000000\n", Stderr: "connect: connect: No route to host\nconnect: line 2: /dev/tcp/172.30.200.41/5900: No route to host\n"},
			want: node.Dial{Errno: node.HostUnreachable, Took: 2 * time.Millisecond},
		},
		"refused":         {out: runners.Output{Stdout: head + "failed\nend 1763900000002000000\n", Stderr: "connect: Connection refused"}, want: node.Dial{Errno: node.Refused, Took: 2 * time.Millisecond}},
		"silence":         {out: runners.Output{Stdout: head, ExitCode: 124}, want: node.Dial{Errno: node.TimedOut, Took: 5 * time.Second}},
		"no reason":       {out: runners.Output{Stdout: head + "failed\nend 1763900000002000000\n"}, bad: true},
		"no attempt":      {out: runners.Output{Stderr: "No route to host"}, bad: true},
		"killed":          {out: runners.Output{Stdout: head, ExitCode: 137}, bad: true},
		"no nanoseconds":  {out: runners.Output{Stdout: "begin 1763900000N\nfailed\n", Stderr: "Connection refused"}, bad: true},
		"a clock that is": {out: runners.Output{Stdout: head + "failed\nend 1763800000000000000\n", Stderr: "Connection refused"}, bad: true},
	} {
		got, err := node.ParseDial(c.out)
		if (err != nil) != c.bad || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

// runProbe runs a probe here.
func runProbe(t *testing.T, p runners.Probe) runners.Output {
	t.Helper()
	var out, errs strings.Builder
	cmd := exec.CommandContext(t.Context(), p.Argv[0], p.Argv[1:]...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return runners.Output{Stdout: out.String(), Stderr: errs.String(), ExitCode: cmd.ProcessState.ExitCode()}
}

// TestConnectProbe runs it against a socket that greets and one that is closed.
func TestConnectProbe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Write([]byte("RFB 003.008\n"))
			_ = c.Close()
		}
	}()
	d, err := node.ParseDial(runProbe(t, node.ConnectProbe("connect", "127.0.0.1", port)))
	if err != nil || !d.Connected || !d.Greeted {
		t.Errorf("%+v, %v", d, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = node.ParseDial(runProbe(t, node.ConnectProbe("connect", "127.0.0.1", port))); err != nil || d.Errno != node.Refused {
		t.Errorf("%+v, %v", d, err)
	}
	for _, host := range []string{"$(touch x)", "a;b", "-x", "x/../../etc/passwd", ""} {
		if d, err := node.ParseDial(runProbe(t, node.ConnectProbe("connect", host, 1))); err == nil && d.Connected {
			t.Errorf("%q: %+v", host, d)
		}
	}
}

func TestWayProbe(t *testing.T) {
	w, err := node.ParseWay(runProbe(t, node.WayProbe("127.0.0.1")).Stdout)
	if err != nil || !w.Local || w.Device != "lo" || w.Address != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("%+v, %v", w, err)
	}
	if w, err := node.ParseWay(runProbe(t, node.WayProbe("no such host")).Stdout); err == nil {
		t.Errorf("%+v", w)
	}
}

func TestParseWay(t *testing.T) {
	w, err := node.ParseWay("address 172.30.200.41\n172.30.200.41 dev eth1 src 172.30.200.31 uid 0 \\    cache \nneighbour\n172.30.200.41 dev eth1 lladdr 00:50:56:a1:41:01 REACHABLE \n")
	if err != nil || w.Source != netip.MustParseAddr("172.30.200.31") || w.Gateway.IsValid() || !w.Answers || w.Failed() || w.Device != "eth1" {
		t.Errorf("%+v, %v", w, err)
	}
	w, err = node.ParseWay("address 10.0.0.9\n10.0.0.9 via 172.30.200.1 dev eth1 src 172.30.200.31 uid 0 \\ cache\nneighbour\n")
	if err != nil || w.Gateway != netip.MustParseAddr("172.30.200.1") || w.Neighbour != "" {
		t.Errorf("%+v, %v", w, err)
	}
	w, err = node.ParseWay("address 172.30.200.41\n172.30.200.41 dev eth1 src 172.30.200.31\nneighbour\n172.30.200.41 dev eth1 FAILED\n")
	if err != nil || !w.Failed() || w.Answers {
		t.Errorf("%+v, %v", w, err)
	}
	for _, bad := range []string{"", "address \nneighbour\n", "address 1.2.3.4\n", "rubbish"} {
		if _, err := node.ParseWay(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzParseWay(f *testing.F) {
	f.Add("address 172.30.200.41\n172.30.200.41 dev eth1 src 172.30.200.31\nneighbour\n172.30.200.41 dev eth1 FAILED\n")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = node.ParseWay(s) })
}

const proxyLog = `2026-11-23 14:00:00.000 100 INFO nova.console.websocketproxy [-] Logging enabled!
2026-11-23 14:50:00.100 201 INFO nova.console.websocketproxy [-] 10.0.0.5 - - [23/Nov/2026 14:50:00] 10.0.0.5: Path: '/websockify?token=dc93adfc-81bf-4b28-b2bc-e0fed6b8a30c'
2026-11-23 14:50:00.200 201 INFO nova.console.websocketproxy [req-1] connect info: ConsoleAuthToken(host='172.30.200.41',port=5900,token='***')
2026-11-23 14:50:00.300 201 INFO nova.console.websocketproxy [req-1] connecting to: 172.30.200.41:5900
2026-11-23 14:50:00.400 201 INFO nova.console.websocketproxy [req-1] handler exception: [Errno 113] EHOSTUNREACH
2026-11-23 14:52:00.400 202 INFO nova.console.websocketproxy [req-2] handler exception: The token 'dc93adfc-81bf-4b28-b2bc-e0fed6b8a30c' is invalid or has expired
2026-11-23 14:53:00.400 203 INFO nova.console.websocketproxy [req-3] handler exception: The token '***' is invalid or has expired
2026-11-23 14:55:00.300 204 INFO nova.console.websocketproxy [req-4] connecting to: 172.30.200.41:5901
rubbish
`

func TestConsoleAttempts(t *testing.T) {
	now := time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)
	all := node.ConsoleAttempts(proxyLog, now, 15*time.Minute)
	if len(all) != 4 {
		t.Fatalf("%d attempts: %+v", len(all), all)
	}
	if a := all[0]; a.Target != "172.30.200.41:5900" || a.Failure != "[Errno 113] EHOSTUNREACH" || a.Token == "" {
		t.Errorf("%+v", a)
	}
	if a := all[1]; a.Token != all[0].Token || !strings.Contains(a.Failure, "is invalid") || a.Target != "" {
		t.Errorf("the same token: %+v", a)
	}
	if a := all[2]; !a.Masked || all[1].Masked || a.Token != "" || a.Failure != "The token '***' is invalid or has expired" {
		t.Errorf("%+v", a)
	}
	if a := all[3]; a.Failure != "" || a.Target != "172.30.200.41:5901" {
		t.Errorf("%+v", a)
	}
	if late := node.ConsoleAttempts(proxyLog, now, 6*time.Minute); len(late) != 1 {
		t.Errorf("what is older than 6 minutes is over: %+v", late)
	}
}

func TestConsoleAttemptsShowNoToken(t *testing.T) {
	all := node.ConsoleAttempts(proxyLog, time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC), 15*time.Minute)
	if len(all) == 0 {
		t.Fatal("no attempts")
	}
	for _, a := range all {
		if strings.Contains(a.Line+a.Failure+a.Token, "dc93adfc") {
			t.Errorf("a token is shown: %q", a.Line)
		}
	}
}

func FuzzConsoleAttempts(f *testing.F) {
	f.Add(proxyLog)
	now := time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)
	f.Fuzz(func(_ *testing.T, s string) { node.ConsoleAttempts(s, now, time.Hour) })
}

func TestWithoutToken(t *testing.T) {
	for _, line := range []string{
		"GET /websockify?token=dc93adfc-81bf-4b28-b2bc-e0fed6b8a30c HTTP/1.1", "GET /vnc.html?path=%3Ftoken%3Ddc93adfc-81bf", "The token 'dc93adfc-81bf' is invalid",
		"ConsoleAuthToken(token='dc93adfc-81bf',host='x')", "path=?token=dc93adfc&x=y",
	} {
		if got := node.WithoutToken(line); strings.Contains(got, "dc93adfc") || !strings.Contains(got, "***") {
			t.Errorf("%q became %q", line, got)
		}
	}
}

func TestConsoleSettings(t *testing.T) {
	got := node.ConsoleSettings("[DEFAULT]\nmy_ip = 10.0.0.1\n[vnc]\nserver_listen = 127.0.0.1\n server_proxyclient_address=$my_ip\n[spice]\nserver_listen = 9.9.9.9\n")
	if len(got) != 2 || got["server_listen"] != "127.0.0.1" || got["server_proxyclient_address"] != "$my_ip" {
		t.Errorf("%v", got)
	}
}

// The pattern of the probe takes the keys that it is for and no secret beside.
func TestConsoleConfigProbe(t *testing.T) {
	argv := node.ConsoleConfigProbe().Argv
	at := slices.Index(argv, "-E")
	cmd := exec.CommandContext(t.Context(), "grep", "-h", "-E", argv[at+1])
	cmd.Stdin = strings.NewReader("[vnc]\nserver_listen = 0.0.0.0\n#server_listen = x\npassword = secret\nconnection = mysql://u:secret@h\nserver_listen_password = secret\n")
	out, err := cmd.Output()
	if err != nil || string(out) != "[vnc]\nserver_listen = 0.0.0.0\n" {
		t.Errorf("%q, %v", out, err)
	}
}
