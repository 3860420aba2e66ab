package main

import (
	"strings"
	"testing"
	"time"

	"whybot/commands"
)

func TestFixShow(t *testing.T) {
	s := newScene(t)
	p := s.propose(nil)
	s.run("fix", "show", p.ID).want(t, exitAnswered, "ip link set dev eth3 up", "")
	got := s.run("fix", "show", p.ID, "--json").object(t)
	if got["id"] != p.ID || got["state"] != "proposed" || got["class"] != "F1" || got["persistent"] != false {
		t.Errorf("object %v", got)
	}
	s.run("fix", "show", "fx-none").want(t, exitFailed, "", `There is no fix "fx-none"`)
	none := s.run("fix", "show", "fx-\x1b[31mnone", "--json")
	none.want(t, exitFailed, "", "There is no fix")
	if strings.Contains(none.err, "\x1b") || none.object(t)["state"] != "refused" {
		t.Errorf("%q, %q", none.out, none.err)
	}
}

// Without a person to ask, what changes something must be told so.
func TestFixNeedsAYes(t *testing.T) {
	s := newScene(t)
	p := s.propose(nil)
	for _, args := range [][]string{{"apply", p.ID}, {"undo", p.ID}, {"apply", p.ID, "--json"}, {"apply", p.ID, "--yes=false"}} {
		s.run(append([]string{"fix"}, args...)...).want(t, exitUsage, "", "needs --yes")
	}
	if got := s.stored(p.ID); got.State != commands.Proposed || len(got.Approved) != 0 {
		t.Errorf("stored as %q, approved by %v", got.State, got.Approved)
	}
}

func TestFixRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		config string
		edit   func(*commands.Proposal)
		args   string
		says   string
		stored commands.ProposalState
	}{
		{"the node does not answer", "", nil, "apply --yes", "Nothing was changed", commands.Refused},
		{"expired", "", func(p *commands.Proposal) { p.Expires = time.Now().Add(-time.Minute) }, "apply --yes", "has expired", commands.Expired},
		{"somebody was faster", "", func(p *commands.Proposal) { p.State = commands.Verified }, "apply --yes", "cured the fault", commands.Verified},
		{"never applied", "", nil, "undo --yes", "has not been applied", commands.Proposed},
		{"the terminal may not", "approvals: {terminal: deny}\n", nil, "apply --yes --as carol", "carol may not approve in the terminal", commands.Proposed},
		{"this name may not", "approvals: {terminal: [alice]}\n", nil, "apply --as carol --yes", "approvals.terminal in", commands.Proposed},
		{"the asker may not", "approvals: {asker_may_approve: false}\n", nil, "apply --as alice --yes", "Whoever asked", commands.Proposed},
		{"not even decline", "approvals: {terminal: deny}\n", nil, "decline", "may not approve", commands.Proposed},
		{"the stored plan was edited", "", func(p *commands.Proposal) { p.Steps[0].Args["device"] = "eth0" }, "apply --yes", "not the one that was shown", commands.Proposed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t)
			s.configure(c.config)
			p := s.propose(c.edit)
			args := strings.Fields("fix " + c.args)
			args = append(args[:2], append([]string{p.ID, "--json"}, args[2:]...)...)
			r := s.run(args...)
			r.want(t, exitFailed, "", c.says)
			got := r.object(t)
			if got["id"] != p.ID || !strings.Contains(got["error"].(string), c.says) {
				t.Errorf("object %v", got)
			}
			if c.name != "the stored plan was edited" && got["state"] != "refused" {
				t.Errorf("state %v", got["state"])
			}
			if now := s.stored(p.ID); now.State != c.stored {
				t.Errorf("stored as %q, want %q", now.State, c.stored)
			}
		})
	}
}

// Who approves is recorded as said, without what would spoil a line.
func TestFixDecline(t *testing.T) {
	s := newScene(t)
	p := s.propose(nil)
	s.run("fix", "decline", p.ID, "--as", "dave\x1b[31m", "--reason", "eth3 is down\non purpose").want(t, exitAnswered, "DECLINED", "")
	if got := s.stored(p.ID); got.State != commands.Declined {
		t.Errorf("stored as %q", got.State)
	}
	r := s.run("timeline", p.Incident)
	words := strings.Join(strings.Fields(r.out), " ")
	if r.code != exitAnswered || !strings.Contains(words, "declined dave[31m (terminal): "+p.Title+": eth3 is down on purpose") || strings.Contains(r.out, "\x1b") {
		t.Errorf("timeline %q", r.out)
	}
	s.run("fix", "decline", p.ID).want(t, exitFailed, "", "was declined")
}

// One approval of two is not what was asked for, and says so.
func TestFixFirstOfTwoApprovals(t *testing.T) {
	s := newScene(t)
	p := s.propose(func(p *commands.Proposal) { p.Approvals = 2 })
	r := s.run("fix", "apply", p.ID, "--yes", "--as", "bob", "--json")
	r.want(t, exitFailed, "", "")
	if got := s.stored(p.ID); got.State != commands.Proposed || len(got.Approved) != 1 || got.Approved[0].ID != "bob" {
		t.Errorf("stored %+v", got)
	}
}

func TestPersonAtTheTerminal(t *testing.T) {
	e := environment{environ: []string{"SUDO_USER=erin"}}
	if who := e.person(""); who.Via != "terminal" || who.ID != "erin" {
		t.Errorf("behind sudo: %+v", who)
	}
	if who := e.person("frank"); who.ID != "frank" {
		t.Errorf("--as: %+v", who)
	}
	if who := (environment{}).person(""); who.ID == "" {
		t.Errorf("nobody: %+v", who)
	}
	if who := e.person(strings.Repeat("x", 200)); len(who.ID) > 70 {
		t.Errorf("a name of %d bytes", len(who.ID))
	}
}

// What is refused still says which fix it was.
func TestFixRefusedNamesTheFix(t *testing.T) {
	for name, edit := range map[string]func(*commands.Proposal){
		"applied before":       func(p *commands.Proposal) { p.State = commands.Verified },
		"plan was edited":      func(p *commands.Proposal) { p.Steps[0].Args["device"] = "eth0" },
		"node does not answer": nil,
	} {
		s := newScene(t)
		p := s.propose(edit)
		if got := s.run("fix", "apply", p.ID, "--yes", "--json").object(t); got["title"] != p.Title || got["state"] != "refused" {
			t.Errorf("%s: title %q, state %q", name, got["title"], got["state"])
		}
	}
}

// What a former run left half-made is never begun again, and never undone
// blindly.
func TestFixOfAHalfMadeProposal(t *testing.T) {
	for _, verb := range []string{"apply", "undo"} {
		s := newScene(t)
		p := s.propose(func(p *commands.Proposal) { p.State = commands.Applying })
		s.run("fix", verb, p.ID, "--yes").want(t, exitFailed, "", "This fix ")
		if got := s.stored(p.ID); got.State != commands.Applying && got.State != commands.Undecided {
			t.Errorf("%s: stored as %q although the node does not answer", verb, got.State)
		}
		s.run("timeline", "verify").want(t, exitAnswered, "every hash and link is right", "")
	}
}
