package endtoend

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"whybot/internal/lab"
	"whybot/runners"
	"whybot/runners/ssh"
)

// cutsOff are firewall changes that end SSH to a node, whatever the connection.
var cutsOff = map[string][]string{
	"all of tcp 22":  {"-p", "tcp", "-m", "tcp", "--dport", "22", "-j", "DROP"},
	"all there is":   {"-j", "DROP"},
	"refused":        {"-p", "tcp", "-m", "tcp", "--dport", "22", "-j", "REJECT", "--reject-with", "tcp-reset"},
	"new ones alone": {"-p", "tcp", "-m", "tcp", "--dport", "22", "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"},
}

// deadman is the time-out of a harmful fix, and promise the most that may pass
// until the node lets everybody in again.
const (
	deadman = time.Second
	promise = deadman + 5*time.Second
)

// A harmful firewall fix is undone by the node alone, a hundred times of a
// hundred; without arming, the node stays cut off; and a fix that does no harm
// is confirmed and stays.
func TestKernelDeadManSwitch(t *testing.T) { //nolint:tparallel // its scenes follow one another on one stage
	parallelStage(t, lab.Options{}, "").play(t,
		scene{"a hundred harmful fixes", hundredHarmful},
		scene{"without arming", neverArmed},
		scene{"a good fix", goodFix},
		scene{"as whyprobe, with the installed helper", asWhyprobe},
	)
}

// pool is a pool of a user whose dials are given up soon, and not so soon that a
// busy machine cannot answer.
func (s stage) pool(t *testing.T, user string) *ssh.Pool {
	t.Helper()
	o := ssh.Options{ConfigFile: s.SSHConfig(user), Dial: 1500 * time.Millisecond}
	if user == "whyprobe" {
		o.Fix = &ssh.Login{User: lab.FixUser, IdentityFile: s.FixKey()}
	}
	p, err := ssh.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// inputGuard is the listing of INPUT as it is now.
func (s stage) inputGuard(t *testing.T, machine string) runners.Listing {
	t.Helper()
	sum := sha256.Sum256([]byte(s.sh(t, machine, "iptables -w 5 -S INPUT")))
	return runners.Listing{Argv: []string{"iptables", "-w", "5", "-S", "INPUT"}, Sum: hex.EncodeToString(sum[:])}
}

// insertion puts a rule at the head of INPUT.
func (s stage) insertion(t *testing.T, machine, id string, token uint64, wait time.Duration, rule []string) runners.Commit {
	t.Helper()
	command := func(words ...string) [][]string {
		return [][]string{slices.Concat([]string{"iptables", "-w", "5"}, words, rule)}
	}
	return runners.Commit{
		ID: id, Token: token, Wait: wait, Guards: []runners.Listing{s.inputGuard(t, machine)},
		Steps: []runners.Reversible{{Do: command("-I", "INPUT", "1"), Undo: command("-D", "INPUT")}},
	}
}

func hundredHarmful(s stage) {
	t := s.t
	const turns = 34 // on each of three machines
	names := []string{"all of tcp 22", "all there is", "refused", "new ones alone"}
	var mu sync.Mutex
	undone, slowest := 0, time.Duration(0)
	var work sync.WaitGroup
	for _, machine := range s.machines() {
		p := s.pool(t, "root")
		work.Go(func() {
			for turn := range turns {
				took, err := s.harm(t, p, machine, fmt.Sprintf("fx-%d", turn), uint64(turn+1), cutsOff[names[turn%len(names)]])
				mu.Lock()
				if err == nil && took <= promise {
					undone++
				} else {
					t.Errorf("%s, %s: %v after %s", machine, names[turn%len(names)], err, took)
				}
				slowest = max(slowest, took)
				mu.Unlock()
			}
		})
	}
	work.Wait()
	all := turns * len(s.machines())
	if all < 100 || undone != all {
		t.Errorf("the node undid %d of %d", undone, all)
	}
	t.Logf("the node undid %d of %d by itself, the slowest %s after it was sent, with a time-out of %s", undone, all, slowest, deadman)
}

// harm makes one harmful change, fails to confirm it, and waits until the node
// lets a new connection in. It returns how long that took from the beginning.
func (s stage) harm(t *testing.T, p *ssh.Pool, machine, id string, token uint64, rule []string) (time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stageTimeout)
	defer cancel()
	before := s.sh(t, machine, "iptables -S INPUT")
	c := s.insertion(t, machine, id, token, deadman, rule)
	began := time.Now()
	answered := make(chan error, 1)
	go func() { // the answer may never come: the session is cut, too
		_, err := p.Commit(ctx, machine, c)
		answered <- err
	}()
	told := false // that the node has made it: on a busy machine it may be gone again before anybody looks
	for armed := false; !armed; armed = armed || strings.Contains(s.sh(t, machine, "iptables -S INPUT"), strings.Join(rule, " ")) {
		select {
		case err := <-answered:
			told, armed = true, err == nil
			if err != nil && runners.KindOf(err) != runners.Unknown {
				return time.Since(began), fmt.Errorf("the change was not made: %w", err)
			}
		default:
		}
		if time.Since(began) > promise {
			return time.Since(began), errors.New("the change was never seen")
		}
	}
	if st, err := p.Confirm(ctx, machine, id, token); err == nil {
		return time.Since(began), fmt.Errorf("confirmed although it cuts SSH: %+v", st)
	}
	var st runners.CommitStatus
	for {
		p.Forget(machine)
		var err error
		if st, err = p.CommitStatus(ctx, machine, id); err == nil && st.State != runners.CommitArmed {
			break
		}
		if time.Since(began) > stageTimeout/2 {
			return time.Since(began), fmt.Errorf("still cut off: %w", err)
		}
	}
	took := time.Since(began)
	if !told {
		<-answered
	}
	if after := s.sh(t, machine, "iptables -S INPUT"); after != before || st.State != runners.CommitRolledBack {
		return took, fmt.Errorf("%s, not as it was:\n%s", st.State, after)
	}
	return took, nil
}

// neverArmed is the negative control: the same change without a dead-man switch
// leaves the node cut off.
func neverArmed(s stage) {
	t := s.t
	p := s.pool(t, "root")
	for name, rule := range cutsOff {
		probe := runners.Probe{Name: "harm", Argv: slices.Concat([]string{"iptables", "-w", "5", "-I", "INPUT", "1"}, rule), Timeout: time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := p.Change(ctx, lab.Controller01, []runners.Probe{probe})
		cancel()
		t.Logf("%s: the session that made it was told: %v", name, err)
		time.Sleep(promise)
		p.Forget(lab.Controller01)
		if st, err := p.CommitStatus(t.Context(), lab.Controller01, "fx-0"); err == nil {
			t.Errorf("%s: SSH works, %+v: the hundred prove nothing", name, st)
		}
		s.sh(t, lab.Controller01, "iptables -D INPUT 1")
		p.Forget(lab.Controller01)
		if _, err := p.CommitStatus(t.Context(), lab.Controller01, "fx-0"); err != nil {
			t.Errorf("%s: SSH does not come back: %v", name, err)
		}
	}
}

func goodFix(s stage) {
	t := s.t
	p := s.pool(t, "root")
	rule := []string{"-s", "192.0.2.1/32", "-j", "DROP"}
	c := s.insertion(t, lab.Controller01, "fx-good", 1000, 2*deadman, rule)
	if st, err := p.Commit(t.Context(), lab.Controller01, c); err != nil || st.State != runners.CommitArmed {
		t.Fatalf("%+v, %v", st, err)
	}
	if st, err := p.Confirm(t.Context(), lab.Controller01, "fx-good", 1000); err != nil || st.State != runners.CommitConfirmed {
		t.Fatalf("%+v, %v", st, err)
	}
	time.Sleep(promise)
	if rules := s.sh(t, lab.Controller01, "iptables -S INPUT"); strings.Count(rules, strings.Join(rule, " ")) != 1 {
		t.Errorf("a confirmed fix did not stay:\n%s", rules)
	}
	if _, err := p.Commit(t.Context(), lab.Controller01, c); err == nil || !strings.Contains(err.Error(), "begun before and is confirmed") {
		t.Errorf("made again: %v", err)
	}
	s.sh(t, lab.Controller01, "iptables -D INPUT 1")
}

// asWhyprobe goes through sudo and the helper that is installed on the node.
// Whom sudo refuses it changes nothing.
func asWhyprobe(s stage) {
	t := s.t
	p := s.pool(t, "whyprobe")
	took, err := s.harm(t, p, lab.Controller01, "fx-sudo", 2000, cutsOff["all there is"])
	if err != nil || took > promise {
		t.Errorf("%v after %s", err, took)
	}
	c := s.insertion(t, lab.Controller01, "fx-nosudo", 2001, deadman, cutsOff["all there is"])
	before := s.sh(t, lab.Controller01, "iptables -S INPUT")
	if st, err := s.pool(t, "nosudo").Commit(t.Context(), lab.Controller01, c); runners.KindOf(err) != runners.Sudo || !strings.Contains(err.Error(), ssh.HelperPath) {
		t.Errorf("without sudo: %+v, %v", st, err)
	}
	if after := s.sh(t, lab.Controller01, "iptables -S INPUT"); after != before {
		t.Errorf("changed without sudo:\n%s", after)
	}
}
