package demo

import (
	"context"
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"whybot/commands/capture"
	"whybot/runners"
)

// TestMain lets more tests run at once than there are processors: most of what
// they do is to wait for a guest's next DISCOVER.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// still returns a cloud in which nothing happens by itself.
func still(t *testing.T) *Cloud {
	t.Helper()
	c := &Cloud{pace: time.Second, stop: make(chan struct{})}
	if err := c.build(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// asks lets web-1 do what is due, times times, each time a pace later.
func asks(c *Cloud, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range times {
		c.guests[0].act(c, c.guests[0].asks)
	}
}

// sh changes a node as root and fails the test unless the command does it.
func sh(t *testing.T, c *Cloud, node, line string) {
	t.Helper()
	r := one(t, c.Change, node, line)
	if r.Err != nil || r.Output.ExitCode != 0 {
		t.Fatalf("%s# %s: exit code %d, %v, %s", node, line, r.Output.ExitCode, r.Err, r.Output.Stderr)
	}
}

type runner func(context.Context, string, []runners.Probe) ([]runners.Result, error)

func one(t *testing.T, run runner, node, line string) runners.Result {
	t.Helper()
	r, err := run(t.Context(), node, []runners.Probe{{Name: "test", Sudo: true, Argv: strings.Fields(line)}})
	if err != nil || len(r) != 1 {
		t.Fatalf("%s# %s: %v, %d results", node, line, err, len(r))
	}
	return r[0]
}

// counted returns the lines of a listing that have counted something, without
// comments.
func counted(t *testing.T, c *Cloud, node string) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(one(t, c.Run, node, "iptables-save -c").Output.Stdout) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "[") && !strings.Contains(line, "[0:0]") {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestEveryRuleThatMatchesCounts(t *testing.T) {
	c := still(t)
	asks(c, 3)
	want := []string{
		"[6:1968] -A FORWARD -j neutron-filter-top", // 3 DISCOVERs in, 3 OFFERs back
		"[6:1968] -A FORWARD -j neutron-linuxbri-FORWARD",
		"[3:984] -A FORWARD -j REJECT --reject-with icmp-host-prohibited",
		"[6:1968] -A neutron-filter-top -j neutron-linuxbri-local",
		`[3:984] -A neutron-linuxbri-FORWARD -m physdev --physdev-out tap004b787f-9b --physdev-is-bridged -m comment --comment "Accept all packets when port is trusted." -j ACCEPT`,
	}
	if got := counted(t, c, controller); !slices.Equal(got, want) {
		t.Errorf("controller01:\n%s", strings.Join(got, "\n"))
	}
	// On the compute node a DISCOVER leaves by two ports: the wire, and the tap
	// of web-2, whose security group drops it. The REJECT behind never counts.
	for _, line := range counted(t, c, compute) {
		if strings.Contains(line, "REJECT") || strings.HasPrefix(line, ":") {
			t.Errorf("compute01 counts %s", line)
		}
	}
	if got := c.machines[1].links.find("tapb9e40d16-a2").tx.packets; got != 0 {
		t.Errorf("web-2 was sent %d frames of web-1", got)
	}
	if got := c.machines[1].firewall.chain("filter", "neutron-linuxbri-sg-fallback").rules[0].count.packets; got != 3 {
		t.Errorf("the fallback dropped %d copies of the broadcast, want 3", got)
	}
}

func TestAPolicyCounts(t *testing.T) {
	c := still(t)
	sh(t, c, controller, "iptables -w 5 -D FORWARD -j REJECT --reject-with icmp-host-prohibited")
	sh(t, c, controller, "iptables -P FORWARD DROP")
	asks(c, 2)
	if got := counted(t, c, controller); got[0] != ":FORWARD DROP [2:656]" {
		t.Errorf("%q", got)
	}
	if c.guests[0].bound() {
		t.Error("the guest got a lease through a policy of DROP")
	}
}

func TestTheRulesDecideWhetherThereIsALease(t *testing.T) {
	c := still(t)
	before, err := c.Rules(controller)
	if err != nil {
		t.Fatal(err)
	}
	for _, cure := range []struct{ do, undo string }{
		{
			"iptables -w 5 -I FORWARD 3 -m physdev --physdev-in tap004b787f-9b --physdev-is-bridged -j ACCEPT",
			"iptables -w 5 -D FORWARD -m physdev --physdev-in tap004b787f-9b --physdev-is-bridged -j ACCEPT",
		},
		{
			"iptables -w 5 -D FORWARD -j REJECT --reject-with icmp-host-prohibited",
			"iptables -w 5 -I FORWARD 3 -j REJECT --reject-with icmp-host-prohibited",
		},
	} {
		asks(c, 1)
		if c.guests[0].bound() {
			t.Fatal("a lease although the REJECT stands")
		}
		sh(t, c, controller, cure.do)
		asks(c, 1)
		if !c.guests[0].bound() {
			t.Fatalf("no lease after %s", cure.do)
		}
		if r := one(t, c.Run, controller, ping("192.168.92.11")); r.Output.ExitCode != 0 {
			t.Errorf("a guest with a lease does not answer: %+v", r.Output)
		}
		sh(t, c, controller, cure.undo)
		if after, _ := c.Rules(controller); after != before {
			t.Errorf("the undo left other rules:\n%s", after)
		}
		c.mu.Lock()
		g := c.guests[0]
		g.act(c, g.renews) // a renewal nobody answers
		stillBound := g.bound()
		g.act(c, g.until)
		lost := !g.bound()
		c.mu.Unlock()
		if !stillBound || !lost {
			t.Errorf("with its renewal rejected: bound %t until the end, lost %t at the end", stillBound, lost)
		}
	}
}

func ping(address string) string {
	return "ip netns exec qdhcp-" + network + " ping -n -c 2 -i 0.01 -W 0.01 " + address
}

func TestNeighbours(t *testing.T) {
	c := still(t)
	neigh := "ip netns exec qdhcp-" + network + " ip -s neigh show "
	// web-2 holds an address: it answers ARP, and the REJECT eats the echo.
	if r := one(t, c.Run, controller, ping("192.168.92.13")); r.Output.ExitCode != 1 {
		t.Errorf("the echo was answered: %+v", r.Output)
	}
	if got := one(t, c.Run, controller, neigh+"192.168.92.13").Output.Stdout; !strings.Contains(got, "lladdr fa:16:3e:4b:10:13 used 0/0/0") || !strings.HasSuffix(got, "REACHABLE\n") {
		t.Errorf("web-2: %q", got)
	}
	one(t, c.Run, controller, ping("192.168.92.11"))
	if got := one(t, c.Run, controller, neigh+"192.168.92.11").Output.Stdout; strings.Contains(got, "lladdr") || !strings.HasSuffix(got, "FAILED\n") {
		t.Errorf("web-1, which has no address: %q", got)
	}
	if got := one(t, c.Run, controller, neigh+"192.168.92.77").Output.Stdout; got != "" {
		t.Errorf("an address nobody asked for: %q", got)
	}
}

func TestIptablesSaysNo(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"iptables -I FORWARD 9 -j ACCEPT", "Index of insertion too big"},
		{"iptables -I FORWARD 0 -j ACCEPT", "Index of insertion too big"},
		{"iptables -D FORWARD -j ACCEPT", "Bad rule"},
		{"iptables -D FORWARD 4", "Index of deletion too big"},
		{"iptables -A NOWHERE -j ACCEPT", "No chain/target/match"},
		{"iptables -P FORWARD MAYBE", "policy is ACCEPT or DROP"},
		{"iptables -A FORWARD -s", "before its last option"},
		{"iptables -Z FORWARD 1", "unknown option"},
		{"iptables -A", "no command specified"},
	} {
		t.Run(c.line, func(t *testing.T) {
			cloud := still(t)
			before, _ := cloud.Rules(controller)
			r := one(t, cloud.Change, controller, c.line)
			if r.Output.ExitCode == 0 || !strings.Contains(r.Output.Stderr, c.want) {
				t.Errorf("exit code %d, %q", r.Output.ExitCode, r.Output.Stderr)
			}
			if after, _ := cloud.Rules(controller); after != before {
				t.Error("the rules have changed all the same")
			}
		})
	}
}

func TestLinksSayNo(t *testing.T) {
	c := still(t)
	for line, want := range map[string]string{
		"ip link set dev eth9 up":                                       "Cannot find device",
		"ip link set dev tap004b787f-9b master eth0":                    "does not exist",
		"ip link add link eth3 name eth3.3092 type vlan id 3092":        "File exists",
		"ip link add link eth9 name eth9.1 type vlan id 1":              "Cannot find device",
		"ip link add link eth3 name eth3.x type vlan id 4095":           "id is invalid",
		"ip link del dev eth9":                                          "Cannot find device",
		"sed -i -e 1s/^/#/ /etc/nowhere":                                "can't read",
		"kill 1":                                                        "No such process",
		"cat /etc/nowhere":                                              "No such file",
		"ip netns exec qdhcp-x ip -d -s link show":                      "No such file",
		"ip netns exec qdhcp-" + network + " ip -s neigh show nonsense": "any valid prefix",
	} {
		if r := one(t, c.Change, controller, line); r.Err != nil || r.Output.ExitCode == 0 || !strings.Contains(strings.ToLower(r.Output.Stderr), strings.ToLower(want)) {
			t.Errorf("%s: exit code %d, %v, %q", line, r.Output.ExitCode, r.Err, r.Output.Stderr)
		}
	}
	sh(t, c, controller, "ip link set dev eth3 down")
	if c.machines[0].links.find("eth3.3092").up {
		t.Error("the VLAN stays up when its NIC goes down")
	}
	if r := one(t, c.Change, controller, "ip link set dev eth3.3092 up"); r.Output.ExitCode != 2 {
		t.Errorf("a VLAN comes up on a NIC that is down: %+v", r.Output)
	}
	if u := c.Unmodelled(); len(u) != 0 {
		t.Errorf("not understood: %q", u)
	}
}

// TestDriftIsNoticed shows that what the model does not have is said and kept.
func TestDriftIsNoticed(t *testing.T) {
	c := still(t)
	for _, line := range []string{"bridge fdb show", "ip -j link show", "iptables -P FORWARD DROP", "ip link set dev eth3 down", "sed -i -e 1s/^/#/ /etc/sysconfig/iptables", "cat", "kill 2118"} {
		r := one(t, c.Run, controller, line)
		if runners.KindOf(r.Err) != runners.MissingProgram || r.Output.ExitCode != 127 {
			t.Errorf("%s: %v, exit code %d", line, r.Err, r.Output.ExitCode)
		}
		if u := c.Unmodelled(); len(u) == 0 || u[len(u)-1] != "sudo -n "+line && !strings.Contains(u[len(u)-1], "sed") {
			t.Errorf("%s is not kept: %q", line, u)
		}
	}
	kept := len(c.Unmodelled())
	for _, line := range []string{"nft list ruleset", "iptables-nft-save -c"} {
		if r := one(t, c.Run, controller, line); runners.KindOf(r.Err) != runners.MissingProgram {
			t.Errorf("%s: %v", line, r.Err)
		}
	}
	if got := len(c.Unmodelled()); got != kept {
		t.Errorf("programs that need not be there count as drift: %q", c.Unmodelled()[kept:])
	}
	if _, err := c.Run(t.Context(), "controller09", nil); runners.KindOf(err) != runners.Unreachable {
		t.Errorf("unknown node: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Change(ended, controller, []runners.Probe{{Argv: []string{"kill", "2118"}, Sudo: true}}); err == nil || c.machines[0].space.dnsmasq == nil {
		t.Errorf("a cancelled change: %v", err)
	}
}

func TestRootIsNeeded(t *testing.T) {
	c := still(t)
	for _, argv := range [][]string{{"iptables-save"}, {"cat", "/etc/sysconfig/iptables"}, {"ip", "netns", "exec", "qdhcp-" + network, "ip", "-d", "-s", "link", "show"}, {"ip", "link", "set", "dev", "eth3", "down"}} {
		r, err := c.Change(t.Context(), controller, []runners.Probe{{Argv: argv}, {Argv: []string{"date", "+%s.%N"}}})
		if err != nil || r[0].Output.ExitCode == 0 || r[0].Err != nil {
			t.Errorf("%v without root: %v, %+v", argv, err, r[0])
		}
		if r[1].Err == nil {
			t.Errorf("what stands behind the failed %v was run", argv)
		}
	}
}

const webFilter = "udp and (port 67 or port 68) and udp[36:4] = 0xfa163e4b and udp[40:2] = 0x1011"

func TestCaptures(t *testing.T) {
	c := still(t)
	places := []place{
		{compute, "tap3d1c2f4a-0b", 0, 1},
		{compute, "eth3", 3092, 1},
		{compute, "tapb9e40d16-a2", 0, 0},
		{controller, "eth3", 3092, 1},
		{controller, "eth3.3092", 0, 1},
		{controller, bridge(), 0, 2},
		{controller, "tap004b787f-9b", 0, 2},
	}
	var streams []io.ReadCloser
	for _, p := range places {
		f, err := capture.Filter("fa:16:3e:4b:10:11", p.vlan)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Capture(t.Context(), p.node, runners.CaptureSpec{Device: p.device, Filter: f, MaxSeconds: 60})
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	asks(c, 1)
	for i, p := range places {
		if err := streams[i].Close(); err != nil {
			t.Fatal(err)
		}
		var frames []capture.Frame
		if err := capture.Read(streams[i], func(f capture.Frame) { frames = append(frames, f) }); err != nil {
			t.Fatal(err)
		}
		p.check(t, frames)
	}
	if len(c.streams) != 0 {
		t.Errorf("%d captures are left", len(c.streams))
	}
}

// A place is a hop, with the tag and the number of frames it must show of one
// DISCOVER and its OFFER.
type place struct {
	node, device string
	vlan, want   int
}

func (p place) check(t *testing.T, frames []capture.Frame) {
	t.Helper()
	if len(frames) != p.want {
		t.Errorf("%s/%s: %d frames, want %d: %v", p.node, p.device, len(frames), p.want, frames)
		return
	}
	if p.want > 0 {
		p.isDiscover(t, frames[0])
	}
	if p.want > 1 {
		p.isOffer(t, frames[1], frames[0].XID)
	}
}

func (p place) isDiscover(t *testing.T, f capture.Frame) {
	t.Helper()
	if f.Type != "Discover" || f.VLAN != p.vlan || f.Client != "fa:16:3e:4b:10:11" || f.Reply || f.DstMAC != "ff:ff:ff:ff:ff:ff" || f.Dst.String() != "255.255.255.255" {
		t.Errorf("%s/%s: %+v", p.node, p.device, f)
	}
}

func (p place) isOffer(t *testing.T, f capture.Frame, xid uint32) {
	t.Helper()
	if f.Type != "Offer" || !f.Reply || f.SrcMAC != dhcpMAC || f.Src.String() != dhcpAddress || f.Yours.String() != "192.168.92.11" || f.XID != xid {
		t.Errorf("%s/%s: %+v", p.node, p.device, f)
	}
}

func TestACaptureEnds(t *testing.T) {
	for name, end := range map[string]func(*Cloud, context.CancelFunc, io.Closer){
		"by its reader":    func(_ *Cloud, _ context.CancelFunc, s io.Closer) { _ = s.Close() },
		"with its context": func(_ *Cloud, cancel context.CancelFunc, _ io.Closer) { cancel() },
		"with the cloud":   func(c *Cloud, _ context.CancelFunc, _ io.Closer) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			c := still(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, err := c.Capture(ctx, compute, runners.CaptureSpec{Device: "eth3", Filter: webFilter, MaxSeconds: 60})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			read := make(chan error, 1)
			go func() {
				_, err := io.ReadAll(s)
				read <- err
			}()
			end(c, cancel, s)
			select {
			case err := <-read:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(10 * time.Second):
				t.Error("the stream did not end")
			}
		})
	}
}

func TestCapturesThatCannotBe(t *testing.T) {
	c := still(t)
	sh(t, c, controller, "ip link set dev eth3.3092 down")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, x := range []struct {
		ctx          context.Context //nolint:containedctx // a row of a table
		node, device string
		filter       string
		want         runners.Kind
	}{
		{t.Context(), controller, "eth9", webFilter, runners.NotFound},
		{t.Context(), controller, "eth3.3092", webFilter, runners.NotFound},
		{t.Context(), "controller09", "eth3", webFilter, runners.Unreachable},
		{t.Context(), controller, "eth3", "port 67 or port 68", runners.Invalid},
		{t.Context(), controller, "eth3", webFilter + " or arp", runners.Invalid},
		{ended, controller, "eth3", webFilter, runners.TooSlow},
	} {
		s, err := c.Capture(x.ctx, x.node, runners.CaptureSpec{Device: x.device, Filter: x.filter, MaxSeconds: 1})
		if s != nil || runners.KindOf(err) != x.want {
			t.Errorf("%s/%s %q: %v, want %v", x.node, x.device, x.filter, err, x.want)
		}
	}
}

func TestServersThatAreNotThere(t *testing.T) {
	c := still(t)
	_, err := c.FindServers(t.Context(), "web1")
	var near interface{ Nearest() []string }
	if runners.KindOf(err) != runners.NotFound || !errors.As(err, &near) || !slices.Equal(near.Nearest(), []string{"web-1", "web-2"}) {
		t.Errorf("%v", err)
	}
	if err := c.Do(t.Context(), runners.CloudCall{
		Op: runners.CloudAddDHCPNetwork, Args: map[string]string{"agent": "no-such-agent", "network": network},
	}); runners.KindOf(err) != runners.NotFound {
		t.Errorf("an agent that is not there: %v", err)
	}
}
