package commands

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"whybot/runners"
)

// bridgeLinks is a network node's bridge with the segment, the DHCP tap, and as many
// other taps as are wanted.
func bridgeLinks(others int, down bool) string {
	text := "2: brq91e78b9c-cf: <BROADCAST,UP,LOWER_UP> mtu 1500 state UP\n    bridge forward_delay 0 nf_call_iptables 0\n" +
		"3: eth3: <BROADCAST,UP,LOWER_UP> mtu 1500 state UP\n" +
		"4: eth3.3092@eth3: <BROADCAST,UP,LOWER_UP> mtu 1500 master brq91e78b9c-cf state UP\n" +
		"5: tap004b787f-9b@if2: <BROADCAST,UP,LOWER_UP> mtu 1500 master brq91e78b9c-cf state UP\n"
	flags := "BROADCAST,UP,LOWER_UP"
	if down {
		flags = "BROADCAST"
	}
	for i := range others {
		text += fmt.Sprintf("%d: tap%08d@if2: <%s> mtu 1500 master brq91e78b9c-cf state UP\n", 10+i, i, flags)
	}
	return text
}

// rejectRules is a listing with a REJECT in FORWARD that has counted so much.
func rejectRules(packets int) string {
	return fmt.Sprintf("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"+
		"[%d:%d] -A FORWARD -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n", packets, packets*328)
}

func readingOf(probes map[string]string) reading {
	r := reading{results: map[string]runners.Result{}}
	for name, text := range probes {
		r.results[name] = runners.Result{Probe: runners.Probe{Name: name}, Output: runners.Output{Stdout: text}}
	}
	return r
}

// clockAt is the clock of a node, in seconds since the first frame.
func clockAt(seconds float64) string {
	when := firstFrame.Add(time.Duration(seconds * float64(time.Second)))
	return fmt.Sprintf("%d.%09d\n", when.Unix(), when.Nanosecond())
}

// readTimes are when the two counter readings began and ended.
type readTimes struct{ from, fromEnd, to, toEnd float64 }

// weighed returns the tally of the first request crossing of controller01.
func weighed(t *testing.T, listing string, frames HopFrames, w readTimes, before, after string) (Tally, error) {
	t.Helper()
	p := webPass(t, "controller01")
	const node = "controller01"
	p.readings = map[string]reading{node: readingOf(map[string]string{
		"ip-link": listing, "iptables-save": before, "iptables-version": "iptables v1.4.21", "bridge-nf": "1\n", "ip-forward": "0\n", "nft-ruleset": "",
	})}
	p.readings[node].results["iptables-nft-save"] = runners.Result{Err: &runners.Error{Kind: runners.MissingProgram, Target: node}}
	p.Packets = &Packets{
		Seen:   map[Hop]HopFrames{},
		Before: map[string]reading{node: readingOf(map[string]string{"iptables-save": before, "clock-start": clockAt(w.from), "clock-end": clockAt(w.fromEnd)})},
		After:  map[string]reading{node: readingOf(map[string]string{"iptables-save": after, "clock-start": clockAt(w.to), "clock-end": clockAt(w.toEnd)})},
	}
	for _, c := range p.Crossings(p.Path.Branches[0]) {
		if c.Bridge.Node != node || c.Direction != Request {
			continue
		}
		p.Packets.Seen[c.Bridge] = frames
		f, err := p.Firewall(node)
		if err != nil {
			t.Fatal(err)
		}
		r := p.Rule(f, c)
		if !r.Verdict.Lost() {
			t.Fatalf("the rule does not drop the request: %+v", r)
		}
		return p.Tally(f, c, r.View, r.Decision.Ending)
	}
	t.Fatal("no request crosses the bridge of controller01")
	return Tally{}, nil
}

func TestTally(t *testing.T) {
	t.Parallel()
	around := readTimes{-2, -1, 10, 11}
	three := sees(3, 0, serverOf["controller01"]) // at 0 s, 1 s and 2 s
	for _, c := range []struct {
		name          string
		links         string
		frames        HopFrames
		window        readTimes
		grows         int
		least, most   uint64
		exact, covers bool
	}{
		{"exactly the frames lost", bridgeLinks(0, false), three, around, 3, 3, 3, true, true},
		{"other traffic met it too", bridgeLinks(0, false), three, around, 8, 3, 3, false, true},
		{"it counted less than was lost", bridgeLinks(0, false), three, around, 2, 3, 3, false, false},
		{"it counted nothing", bridgeLinks(0, false), three, around, 0, 3, 3, false, false},
		{"a broadcast leaves by every port", bridgeLinks(2, false), three, around, 9, 9, 9, true, true},
		{"one copy each is too few then", bridgeLinks(2, false), three, around, 3, 9, 9, false, false},
		{"a port that is down gets no copy", bridgeLinks(2, true), three, around, 3, 3, 3, true, true},
		{"a frame during the first reading", bridgeLinks(0, false), three, readTimes{-0.5, 0.5, 10, 11}, 2, 2, 3, true, true},
		{"a frame during the last reading", bridgeLinks(0, false), three, readTimes{-2, -1, 1.5, 2.5}, 3, 2, 3, true, true},
		{"replies are not requests", bridgeLinks(0, false), sees(3, 3, serverOf["controller01"]), around, 3, 3, 3, true, true},
		{"nothing lost, nothing counted is no proof", bridgeLinks(0, false), HopFrames{}, around, 0, 0, 0, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := weighed(t, c.links, c.frames, c.window, rejectRules(40), rejectRules(40+c.grows))
			if err != nil {
				t.Fatal(err)
			}
			if want := (Tally{Growth: uint64(c.grows), Least: c.least, Most: c.most}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if got.Exact() != c.exact || got.Covers() != c.covers {
				t.Errorf("exact %v, covers %v", got.Exact(), got.Covers())
			}
		})
	}
}

// What cannot be compared is an error, never a growth of zero.
func TestTallyOfWhatIsNotComparable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, after string }{
		{"the rule has gone", strings.Replace(rejectRules(43), "[43:14104] -A FORWARD -j REJECT --reject-with icmp-host-prohibited\n", "", 1)},
		{"the counters were reset", rejectRules(1)},
		{"the listing was cut", rejectRules(43)[:40]},
		{"the listing has no counters", strings.Replace(rejectRules(43), "[43:14104] ", "", 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got, err := weighed(t, bridgeLinks(0, false), sees(3, 0, serverOf["controller01"]), readTimes{-2, -1, 10, 11}, rejectRules(40), c.after); err == nil {
				t.Errorf("tally %+v", got)
			}
		})
	}
}

// Frames outside the window are left out, those at its ends are not.
func TestWithinKeepsWhatBothReadingsSaw(t *testing.T) {
	t.Parallel()
	frames := sees(3, 0, serverOf["controller01"]).Frames
	for _, c := range []struct {
		name     string
		from, to time.Time
		want     int
	}{
		{"all", firstFrame, firstFrame.Add(time.Hour), 3},
		{"from the second", firstFrame.Add(time.Second), firstFrame.Add(time.Hour), 2},
		{"to the second", firstFrame.Add(-time.Hour), firstFrame.Add(time.Second), 2},
		{"only the second", firstFrame.Add(time.Second), firstFrame.Add(time.Second), 1},
		{"none", firstFrame.Add(time.Hour), firstFrame.Add(2 * time.Hour), 0},
	} {
		if got := within(frames, c.from, c.to); len(got) != c.want {
			t.Errorf("%s: %d frames, want %d", c.name, len(got), c.want)
		}
	}
	if len(frames) != 3 || frames[0].At != firstFrame {
		t.Error("the frames themselves were changed")
	}
}
