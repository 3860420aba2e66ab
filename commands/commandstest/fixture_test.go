package commandstest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"whybot/commands"
	"whybot/commands/capture"
	"whybot/runners"
)

func fixtureOf(t *testing.T, own string) (*Fixture, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"base.txtar": small, "own.txtar": own} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(filepath.Join(dir, "base.txtar"), filepath.Join(dir, "own.txtar"))
}

const small = `A base.
-- cloud --
server: web-1 id=1 status=ACTIVE host=compute01
port: id=3d1c2f4a-0b mac=fa:16:3e:4b:10:11 ip=192.168.92.11 host=compute01 vif=bridge
network: payments-net id=91e78b9c type=vlan physnet=physnet1 segment=3092
dhcp: id=004b787f-9b mac=fa:16:3e:0d:9b:02 ip=192.168.92.2 host=controller01
-- probe/compute01/list --
one
two
three
-- capture/*/* --
+1 discover
`

// A slip in a fixture is an error that names the place, never another world.
func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, own, want string }{
		{"an unknown section", "-- probes/compute01/list --\n", "no section is called that"},
		{"an unknown key of the cloud", "-- cloud --\ngateway: r1\n", "nothing the cloud has"},
		{"an unknown word of the cloud", "-- cloud --\nport: id=1 colour=red\n", `no word "colour=red"`},
		{"a change of nothing", "-- change/compute01/other --\ndelete one\n", "no such probe"},
		{"text that is not there", "-- change/compute01/list --\nreplace four => five\n", "0 times"},
		{"text that is there twice", "-- change/compute01/list --\nreplace o => 0\n", "2 times"},
		{"a line that is not one", "-- change/compute01/list --\ndelete e\n", "2 lines"},
		{"an edit without a verb", "-- change/compute01/list --\none\n", "no known word"},
		{"an unknown failure", "-- probe/compute01/list --\nerror: bored\n", `"bored"`},
		{"an unknown failure of a node", "-- node/compute01 --\nerror: bored\n", `"bored"`},
		{"an exit code in words", "-- probe/compute01/list --\nexit: one\n", "one"},
		{"a frame without a time", "-- capture/*/* --\ndiscover\n", "not a frame"},
		{"a frame before the start", "-- capture/*/* --\n+-1 discover\n", "a time"},
		{"a word of no meaning behind a frame", "-- capture/*/* --\n+1 offer by 10.0.0.1\n", "no by"},
		{"half a pair behind a frame", "-- capture/*/* --\n+1 offer from\n", "not a frame"},
		{"an address that is none", "-- capture/*/* --\n+1 offer gives web-1\n", "web-1"},
		{"a checksum of no kind", "-- capture/*/* --\n+1 offer sum odd\n", "no sum odd"},
		{"an unknown frame", "-- capture/*/* --\n+1 release\n", `"release"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := fixtureOf(t, c.own)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "own.txtar") {
				t.Errorf("err = %v, want %q and the file in it", err, c.want)
			}
		})
	}
}

func TestProbesNowAndAfter(t *testing.T) {
	t.Parallel()
	f, err := fixtureOf(t, `-- change/compute01/list --
replace two => 2
insert 2.5 after 2
delete one
begin exit: 3
-- change2/compute01/list --
replace three => 4
-- node/compute02 --
like: compute01
three => 3
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		node  string
		after bool
		want  string
	}{{"compute01", false, "2\n2.5\nthree\n"}, {"compute01", true, "2\n2.5\n4\n"}, {"compute02", false, "2\n2.5\n3\n"}, {"compute02", true, "2\n2.5\n3\n"}} {
		r, ok, err := f.answer(c.node, "list", c.after)
		if err != nil || !ok || r.output.Stdout != c.want || r.output.ExitCode != 3 || r.fails != runners.Unknown {
			t.Errorf("%s, after %v: %+v %v %v", c.node, c.after, r, ok, err)
		}
	}
	if _, ok, _ := f.answer("compute01", "other", false); ok {
		t.Error("a probe was answered that no section has")
	}
}

// What the fake tcpdump writes is what whybot's own reader makes of it.
func TestFramesAreRead(t *testing.T) {
	t.Parallel()
	f, err := fixtureOf(t, "-- capture/compute01/eth3 --\n+1 discover\n+1.5 offer\n+2 renew\n+2.5 ack from 192.168.92.2 sum good\n+3 nak sum bad\n"+
		"+4 offer from 192.168.92.250@52:54:00:9c:3e:07 gives 192.168.92.201 sum good\n")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := f.capture("compute01", "eth3")
	records, err := newWorld(f, nil).frames(s, envelope{vlan: 3092})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Unix(1_795_000_000, 0)
	stream := bytes.Clone(pcapHeader)
	for _, r := range records {
		stream = append(stream, pcapRecord(begin.Add(r.at), r.frame)...)
	}
	var got []string
	if err := capture.Read(bytes.NewReader(stream), func(f capture.Frame) {
		if f.VLAN != 3092 || f.Client != "fa:16:3e:4b:10:11" {
			t.Errorf("frame %+v", f)
		}
		got = append(got, f.Type+" "+f.SrcMAC+" "+f.DstMAC+" "+f.Src.String()+" "+f.Dst.String()+" "+f.At.Sub(begin).String()+" "+string(f.Checksum))
		if f.SrcMAC == "52:54:00:9c:3e:07" && f.Yours.String() != "192.168.92.201" {
			t.Errorf("the other server gives %s", f.Yours)
		}
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Discover fa:16:3e:4b:10:11 ff:ff:ff:ff:ff:ff 0.0.0.0 255.255.255.255 1s ",
		"Offer fa:16:3e:0d:9b:02 fa:16:3e:4b:10:11 192.168.92.2 192.168.92.11 1.5s ",
		"Request fa:16:3e:4b:10:11 fa:16:3e:0d:9b:02 192.168.92.11 192.168.92.2 2s ",
		"Ack fa:16:3e:0d:9b:02 fa:16:3e:4b:10:11 192.168.92.2 192.168.92.11 2.5s good",
		"Nak fa:16:3e:0d:9b:02 ff:ff:ff:ff:ff:ff 192.168.92.2 255.255.255.255 3s bad",
		"Offer 52:54:00:9c:3e:07 fa:16:3e:4b:10:11 192.168.92.250 192.168.92.11 4s good",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Diff takes a part of a text, demands everything else, and misses nothing.
func TestDiff(t *testing.T) {
	t.Parallel()
	a := commands.Answer{
		Verdict: commands.Verdict{State: commands.Unclear}, Unknown: []commands.Blind{{What: "controller01: iptables-save", Why: "sudo refused"}},
		Findings: []commands.Finding{{Cause: "DHCP-09", State: commands.Probable, Node: "controller01"}},
	}
	for _, c := range []struct{ name, want, diff string }{
		{"all of it", "state: unknown\nfinding: DHCP-09 probable on controller01\nunknown: iptables-save: sudo", ""},
		{"not wanted", "state: unknown\nunknown: sudo", "+ finding: DHCP-09 probable on controller01"},
		{"not there", "state: unknown\nfinding: DHCP-09 probable on controller01\nunknown: sudo\nfix: link-up", "- fix: link-up"},
		{"a part of what must be whole", "state: unknown\nfinding: DHCP-09\nunknown: sudo", "- finding: DHCP-09\n+ finding: DHCP-09 probable on controller01"},
		{"one wanted twice", "state: unknown\nfinding: DHCP-09 probable on controller01\nunknown: sudo\nunknown: sudo", "- unknown: sudo"},
	} {
		f, err := fixtureOf(t, "-- want --\n"+c.want+"\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(f.Diff(a), "\n"); got != c.diff {
			t.Errorf("%s: %q, want %q", c.name, got, c.diff)
		}
	}
}

// Rewriting a fixture changes its want section and nothing else.
func TestRewrite(t *testing.T) {
	t.Parallel()
	own := "What it shows.\n-- options --\nno-echo\n-- want --\nstate: healthy\n"
	f, err := fixtureOf(t, own)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Rewrite([]string{"state: unknown", "missing: sight"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(own, "state: healthy", "state: unknown\nmissing: sight", 1); string(got) != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
