package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"whybot/runners"
)

// captureUntilKilled is another process of whybot, for a test to kill.
func captureUntilKilled(config, filter string) {
	p, err := New(Options{ConfigFile: config})
	if err == nil {
		_, err = p.Capture(context.Background(), "n", runners.CaptureSpec{Device: "lo", Filter: filter, MaxSeconds: 60})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("armed")
	select {}
}

// uniqueFilter captures the packets of one UDP port of our own.
func uniqueFilter(t testing.TB) (filter string, port int) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	port = c.LocalAddr().(*net.UDPAddr).Port
	return fmt.Sprintf("udp and dst port %d and dst host 127.0.0.1", port), port
}

// tcpdumps lists the processes whose command line holds filter and whose
// program is tcpdump, timeout or sudo.
func tcpdumps(t testing.TB, filter string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it ended
		}
		line := strings.ReplaceAll(string(b), "\x00", " ")
		first, _, _ := strings.Cut(line, " ")
		switch filepath.Base(first) {
		case "tcpdump", "timeout", "sudo", "sh":
			if strings.Contains(line, filter) {
				found = append(found, line)
			}
		}
	}
	return found
}

func eventuallyNone(t testing.TB, filter string) {
	t.Helper()
	var left []string
	for range 80 {
		if left = tcpdumps(t, filter); len(left) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("left behind: %q", left)
}

func send(t testing.TB, port int, payload string) {
	t.Helper()
	c, err := net.Dial("udp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(payload)); err != nil {
		t.Fatal(err)
	}
}

// readUntil reads c until it holds payload.
func readUntil(t testing.TB, c io.Reader, payload string) []byte {
	t.Helper()
	var all []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(all, []byte(payload)) {
		n, err := c.Read(buf)
		all = append(all, buf[:n]...)
		if err != nil {
			t.Fatalf("capture ended before the packet: %v", err)
		}
	}
	return all
}

func TestCaptureSeesPacketsAndStopsAtOnce(t *testing.T) {
	needs(t, "tcpdump")
	p := lab(t)
	filter, port := uniqueFilter(t)
	c, err := p.Capture(budget(t), "n", runners.CaptureSpec{Device: "lo", Filter: filter, MaxSeconds: 30})
	if err != nil {
		t.Fatal(err)
	}
	if len(tcpdumps(t, filter)) == 0 {
		t.Error("no tcpdump runs: the search for leftovers would find nothing either")
	}
	send(t, port, "hello whybot")
	all := readUntil(t, c, "hello whybot")
	if !bytes.HasPrefix(all, []byte{0xd4, 0xc3, 0xb2, 0xa1}) {
		t.Errorf("not a pcap stream: % x", all[:4])
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	eventuallyNone(t, filter)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read after close: %v", err)
	}
	if r := run(t, p, sh("", "echo same connection")); r[0].Err != nil {
		t.Error(r[0].Err)
	}
}

func TestCaptureEndsWithItsTime(t *testing.T) {
	needs(t, "tcpdump")
	filter, _ := uniqueFilter(t)
	c, err := lab(t).Capture(budget(t), "n", runners.CaptureSpec{Device: "lo", Filter: filter, MaxSeconds: 1})
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil || len(all) != 24 {
		t.Errorf("%d bytes, %v; want the 24 of an empty pcap", len(all), err)
	}
	_ = c.Close()
	eventuallyNone(t, filter)
}

func TestCaptureEndsWithTheContext(t *testing.T) {
	needs(t, "tcpdump")
	filter, _ := uniqueFilter(t)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := lab(t).Capture(ctx, "n", runners.CaptureSpec{Device: "lo", Filter: filter, MaxSeconds: 60})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Error(err)
	}
	eventuallyNone(t, filter)
	_ = c.Close()
}

func TestCaptureLeavesNothingWhenWhybotIsKilled(t *testing.T) {
	needs(t, "tcpdump")
	s := newSite(t)
	d := startSSHD(t, s)
	s.node("n", d.addr, d.key.signer.PublicKey())
	killCapturer(t, s.write())
}

// killCapturer starts a capture in another process and kills that.
func killCapturer(t *testing.T, config string) {
	t.Helper()
	filter, _ := uniqueFilter(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "WHYBOT_TEST_CAPTURE_CONFIG="+config, "WHYBOT_TEST_CAPTURE_FILTER="+filter)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 200)
	n, _ := out.Read(said)
	running := len(tcpdumps(t, filter))
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if string(said[:n]) != "armed\n" || running == 0 {
		t.Fatalf("the capture did not start: %q, %d processes", said[:n], running)
	}
	eventuallyNone(t, filter)
}

func TestCaptureOfALostConnectionIsAnError(t *testing.T) {
	needs(t, "tcpdump")
	s := newSite(t)
	d := startSSHD(t, s)
	proxy := newProxy(t, d.addr)
	s.node("n", proxy.addr, d.key.signer.PublicKey())
	p := s.pool()
	filter, _ := uniqueFilter(t)
	c, err := p.Capture(budget(t), "n", runners.CaptureSpec{Device: "lo", Filter: filter, MaxSeconds: 60})
	if err != nil {
		t.Fatal(err)
	}
	proxy.cut()
	_, err = io.Copy(io.Discard, c)
	wantKind(t, err, runners.Unreachable)
	_ = c.Close()
	eventuallyNone(t, filter)
}

func TestCaptureSaysWhyItCannot(t *testing.T) {
	needs(t, "tcpdump", "ip")
	p := lab(t)
	for name, tc := range map[string]struct {
		spec runners.CaptureSpec
		kind runners.Kind
	}{
		"no device":      {runners.CaptureSpec{Device: "wb-none0", MaxSeconds: 5}, runners.NotFound},
		"no namespace":   {runners.CaptureSpec{Device: "lo", Namespace: "wb-no-such-ns", MaxSeconds: 5}, runners.NotFound},
		"bad filter":     {runners.CaptureSpec{Device: "lo", Filter: "udp and and", MaxSeconds: 5}, runners.Invalid},
		"option filter":  {runners.CaptureSpec{Device: "lo", Filter: "-z reboot", MaxSeconds: 5}, runners.Invalid},
		"no seconds":     {runners.CaptureSpec{Device: "lo"}, runners.Invalid},
		"NUL":            {runners.CaptureSpec{Device: "l\x00", MaxSeconds: 5}, runners.Invalid},
		"option as name": {runners.CaptureSpec{Device: "lo", Namespace: "-all", MaxSeconds: 5}, runners.Invalid},
	} {
		c, err := p.Capture(budget(t), "n", tc.spec)
		if c != nil || runners.KindOf(err) != tc.kind {
			t.Errorf("%s: %v, want %v", name, err, tc.kind)
		}
		if e, ok := errors.AsType[*runners.Error](err); ok && e.Hint == "" {
			t.Errorf("%s: no hint: %v", name, err)
		}
	}
}

func TestCaptureInANamespace(t *testing.T) {
	needs(t, "tcpdump", "ip")
	ns := fmt.Sprintf("wbssh-%d", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, NOTHING WAS TESTED: cannot make a network namespace: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	if out, err := exec.Command("ip", "-n", ns, "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	c, err := lab(t).Capture(budget(t), "n", runners.CaptureSpec{Device: "lo", Filter: "udp port 5353", Namespace: ns, MaxSeconds: 20})
	if err != nil {
		t.Fatal(err)
	}
	py := `printf whybot-in-ns > /dev/udp/127.0.0.1/5353`
	if out, err := exec.Command("ip", "netns", "exec", ns, "bash", "-c", py).CombinedOutput(); err != nil {
		t.Errorf("%v %s", err, out)
	}
	readUntil(t, c, "whybot-in-ns")
	_ = c.Close()
}

func TestCaptureIsCutAtItsLimit(t *testing.T) {
	needs(t, "tcpdump")
	filter, port := uniqueFilter(t)
	c, err := lab(t).Capture(budget(t), "n", runners.CaptureSpec{Device: "lo", Filter: filter, MaxSeconds: 60})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(budget(t))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		conn, err := net.Dial("udp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			return
		}
		defer conn.Close()
		payload := make([]byte, 40000)
		for ctx.Err() == nil {
			_, _ = conn.Write(payload)
			time.Sleep(500 * time.Microsecond)
		}
	}()
	n, err := io.Copy(io.Discard, c)
	cancel()
	<-sent
	if n != MaxCapture || err != nil || !c.Truncated() {
		t.Errorf("%d bytes, %v, truncated %v", n, err, c.Truncated())
	}
	_ = c.Close()
	eventuallyNone(t, filter)
}
