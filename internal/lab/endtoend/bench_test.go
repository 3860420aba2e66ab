package endtoend

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"whybot/internal/lab"
)

// BenchmarkVerdict measures how long an operator waits: for the first sign of
// life, for what reading alone can tell, and for the verdict; and how long the
// same reading and listening takes by hand, one ssh after the other. It asserts
// no time.
func BenchmarkVerdict(b *testing.B) {
	for _, c := range []struct{ name, fault, state string }{
		{"healthy", "DHCP-01/decoy-behind-accept", "healthy"}, // its guest renews every few seconds
		{"DHCP-01", "DHCP-01/rhel-nft", "proven"},
	} {
		b.Run(c.name, func(b *testing.B) { benchVerdict(b, newStage(b, lab.Options{}, c.fault), c.state) })
	}
}

func benchVerdict(b *testing.B, s stage, state string) {
	b.Helper()
	w := newWhybot(b, s.Lab)
	var first, static, full, hand time.Duration
	for b.Loop() {
		first += firstLine(b, w)
		static += timed(b, w, "ask", "--json", "--no-capture", questionAbout(lab.Web1)).took
		r := timed(b, w, "ask", "--json", questionAbout(lab.Web1))
		full += r.took
		if a := decode[answer](b, r); a.Verdict.State != state {
			b.Fatalf("verdict %+v, want %s", a.Verdict, state)
		}
		hand += byHand(b, s)
	}
	ms := func(d time.Duration) float64 { return float64(d.Milliseconds()) / float64(b.N) }
	b.ReportMetric(ms(first), "ms/first-line")
	b.ReportMetric(ms(static), "ms/static")
	b.ReportMetric(ms(full), "ms/verdict")
	b.ReportMetric(ms(hand), "ms/by-hand")
	b.ReportMetric(hand.Seconds()/full.Seconds(), "by-hand/verdict")
	b.ReportMetric(0, "ns/op") // the sum of the four says nothing
}

func timed(b *testing.B, w whybot, args ...string) result {
	b.Helper()
	r := w.run(b.Context(), args...)
	if r.code != 0 {
		b.Fatalf("%q: exit %d\n%s%s", args, r.code, r.out, r.err)
	}
	return r
}

// firstLine asks at a terminal and returns when the first progress is shown.
func firstLine(b *testing.B, w whybot) time.Duration {
	b.Helper()
	master, slave := terminal(b)
	ctx, cancel := context.WithTimeout(b.Context(), callTimeout)
	defer cancel()
	cmd := w.command(ctx, "ask", "--no-capture", questionAbout(lab.Web1))
	cmd.Stderr = slave
	var out bytes.Buffer
	cmd.Stdout = &out
	start := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	said := bufio.NewReader(master)
	text, err := said.ReadString('O') // looking for web-1 in OpenStack
	took := time.Since(start)
	if err != nil || !strings.Contains(text, lab.Web1) {
		b.Errorf("the first progress is %q, %v", text, err)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatalf("%v: %s", err, out.String())
	}
	return took
}

// terminal opens a pseudo-terminal.
func terminal(b *testing.B) (master, slave *os.File) {
	b.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = master.Close() }) // nothing more is read of it
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		b.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		b.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = slave.Close() }) // nothing more is written to it
	return master, slave
}

// manual is what an operator who knows the path types for this question: the
// node's links and rules, dnsmasq and its files, the rules' counters before and
// after, and at every hop a capture that ends with two packets or after ten
// seconds. $1 is the ssh configuration.
const manual = `
on() { node=$1; shift; ssh -n -F "$ssh_config" "$node" "$@" >/dev/null 2>&1 || true; }
ssh_config=$1
for node in compute01 controller01; do
	on $node "ip -d link"
	on $node "bridge link"
	on $node "iptables-save -c"
	on $node "cat /proc/sys/net/bridge/bridge-nf-call-iptables"
done
on controller01 "ps axww | grep dnsmasq"
on controller01 "ip netns exec qdhcp-91e78b9c-cf41-4f6e-9d0a-5b1e6f7c2a30 ss -lun"
on controller01 "cat /var/lib/neutron/dhcp/91e78b9c-cf41-4f6e-9d0a-5b1e6f7c2a30/host"
for hop in compute01/tap3d1c2f4a-0b compute01/brq91e78b9c-cf compute01/eth3.3092 compute01/eth3 \
	controller01/eth3 controller01/eth3.3092 controller01/brq91e78b9c-cf controller01/tap004b787f-9b; do
	filter='udp and (port 67 or port 68)'
	case $hop in */eth3) filter="vlan and $filter" ;; esac
	on ${hop%/*} "timeout 10 tcpdump -c 2 -nne -i ${hop#*/} '$filter'"
done
on controller01 "iptables-save -c"
`

func byHand(b *testing.B, s stage) time.Duration {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	start := time.Now()
	out, err := exec.CommandContext(ctx, "sh", "-euc", manual, "sh", s.SSHConfig("root")).CombinedOutput()
	if err != nil {
		b.Fatalf("by hand: %v\n%s", err, out)
	}
	return time.Since(start)
}
