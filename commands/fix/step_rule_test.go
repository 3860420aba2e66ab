package fix_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/netfilter"
	"whybot/runners"
)

var narrow = strings.Fields("-m physdev --physdev-out tap004b787f-9b --physdev-is-bridged -j ACCEPT")

func insertAt(position string, before []string) commands.Step {
	s := commands.Step{Kind: "insert-rule", Node: controller, Words: narrow, Args: map[string]string{
		"binary": "iptables", "chain": "FORWARD", "position": position, "before": "",
	}}
	if before != nil {
		s.Args["before"] = "-A FORWARD " + specText(before)
	}
	return s
}

func TestInsertRuleState(t *testing.T) {
	k := kindOf(t, "insert-rule")
	docker := strings.Fields("-j DOCKER-USER")
	for _, c := range []struct {
		name  string
		step  commands.Step
		rules [][]string
		want  commands.StepState
	}{
		{"as planned", insertAt("2", reject), [][]string{established, reject}, commands.StepPending},
		{"made", insertAt("2", reject), [][]string{established, narrow, reject}, commands.StepDone},
		{"made somewhere else", insertAt("2", reject), [][]string{established, reject, narrow}, commands.StepDone},
		{"there twice", insertAt("2", reject), [][]string{narrow, narrow, reject}, commands.StepChanged},
		{"one step of the plan above it is made", insertAt("2", reject), [][]string{established, docker, reject}, commands.StepPending},
		{"the rule below has moved down", insertAt("1", reject), [][]string{established, docker, reject}, commands.StepChanged},
		{"the rule below has moved up", insertAt("2", reject), [][]string{reject}, commands.StepChanged},
		{"the rule below is gone", insertAt("2", reject), [][]string{established, established}, commands.StepChanged},
		{"the chain is empty", insertAt("1", reject), nil, commands.StepChanged},
		{"appended to an empty chain", insertAt("", nil), nil, commands.StepPending},
		{"appended", insertAt("", nil), [][]string{reject, narrow}, commands.StepDone},
		{"a position that is none", insertAt("0", reject), [][]string{reject}, commands.StepChanged},
		{"a position that is no number", insertAt("1; reboot", reject), [][]string{reject}, commands.StepChanged},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine()
			m.rules = c.rules
			if got := m.state(t, k, c.step); got != c.want {
				t.Errorf("state %s, want %s", got, c.want)
			}
		})
	}
}

// rest is what a plan remembers of the chain besides the rule at position.
func rest(t fataler, listing string, position int) string {
	t.Helper()
	rules, err := netfilter.Parse(listing)
	if err != nil {
		t.Fatalf("%v", err)
	}
	chain := rules.Chain("filter", "FORWARD")
	return fix.RestOf(chain, chain.Rules[position-1])
}

func TestDeleteRuleState(t *testing.T) {
	k := kindOf(t, "delete-rule")
	planned := newMachine()
	planned.rules = [][]string{established, reject, narrow}
	step := commands.Step{Kind: "delete-rule", Node: controller, Words: reject}
	for _, c := range []struct {
		name  string
		chain string
		rules [][]string
		want  commands.StepState
	}{
		{"as planned", "FORWARD", [][]string{established, reject, narrow}, commands.StepPending},
		{"made", "FORWARD", [][]string{established, narrow}, commands.StepDone},
		{"there twice", "FORWARD", [][]string{established, reject, reject}, commands.StepChanged},
		{"moved", "FORWARD", [][]string{reject, established, narrow}, commands.StepChanged},
		{"made, and the others changed places", "FORWARD", [][]string{narrow, established}, commands.StepChanged},
		{"gone with another", "FORWARD", [][]string{established}, commands.StepChanged},
		{"gone and another came", "FORWARD", [][]string{established, narrow, established}, commands.StepChanged},
		{"no such chain", "DOCKER-USER", nil, commands.StepChanged},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine()
			m.rules = c.rules
			s := step
			s.Args = map[string]string{"binary": "iptables", "chain": c.chain, "position": "2", "rest": rest(t, planned.listing(), 2)}
			if got := m.state(t, k, s); got != c.want {
				t.Errorf("state %s, want %s", got, c.want)
			}
		})
	}
}

// What cannot be read is neither pending nor done.
func TestRuleStateOfAnUnreadableListing(t *testing.T) {
	m := newMachine()
	m.rules = [][]string{established, reject}
	whole := m.listing()
	steps := []commands.Step{
		insertAt("2", reject), insertAt("", nil),
		{Kind: "delete-rule", Node: controller, Words: reject, Args: map[string]string{"binary": "iptables", "chain": "FORWARD", "position": "2", "rest": rest(t, whole, 2)}},
		// A listing without the rule would look as if it had been deleted.
		{Kind: "delete-rule", Node: controller, Words: narrow, Args: map[string]string{"binary": "iptables", "chain": "FORWARD", "position": "1", "rest": rest(t, whole, 1)}},
	}
	for name, out := range map[string]runners.Output{
		"failed":            {Stdout: whole, ExitCode: 4},
		"truncated":         {Stdout: whole, Truncated: true},
		"cut":               {Stdout: whole[:len(whole)-60]},
		"rubbish":           {Stdout: "iptables-save: Permission denied\n"},
		"not iptables' own": {Stdout: "# Table `filter' is incompatible, use 'nft' tool.\n"},
	} {
		for _, s := range steps {
			m.outputs["rules"] = out
			if got := m.state(t, kindOf(t, s.Kind), s); got != commands.StepChanged {
				t.Errorf("%s listing: %s is %s", name, s.Kind, got)
			}
		}
	}
}

func TestRuleCommands(t *testing.T) {
	insert, remove := kindOf(t, "insert-rule"), kindOf(t, "delete-rule")
	deletion := commands.Step{Node: controller, Words: []string{"-m", "comment", "--comment", "it's $(reboot); here", "-j", "DROP"}, Args: map[string]string{
		"binary": "iptables-legacy", "chain": "FORWARD", "position": "3",
	}}
	spec := strings.Join(narrow, " ")
	for _, c := range []struct {
		actions []commands.Action
		want    string
	}{
		{insert.Do(insertAt("2", reject)), "iptables -w 5 -I FORWARD 2 " + spec},
		{insert.Do(insertAt("", nil)), "iptables -w 5 -A FORWARD " + spec},
		{insert.Undo(insertAt("2", reject)), "iptables -w 5 -D FORWARD " + spec},
		{remove.Do(deletion), `iptables-legacy -w 5 -D FORWARD -m comment --comment 'it'\''s $(reboot); here' -j DROP`},
		{remove.Undo(deletion), `iptables-legacy -w 5 -I FORWARD 3 -m comment --comment 'it'\''s $(reboot); here' -j DROP`},
	} {
		if len(c.actions) != 1 || c.actions[0].String() != c.want || !c.actions[0].Command.Sudo {
			t.Errorf("%+v, want %s", c.actions, c.want)
		}
	}
	if read := remove.Read(deletion); len(read) != 1 || !slices.Equal(read[0].Argv, []string{"iptables-legacy-save"}) || !read[0].Sudo {
		t.Errorf("reads %+v", read)
	}
}

// drawRule returns a rule as it may stand in FORWARD.
func drawRule(t *rapid.T) []string {
	return rapid.SampledFrom([][]string{
		reject, established,
		strings.Fields("-j DROP"),
		strings.Fields("-j neutron-linuxbri-FORWARD"),
		strings.Fields("-i docker0 ! -o docker0 -j ACCEPT"),
		strings.Fields("-s 10.0.0.0/8 -p udp -m udp --dport 67:68 -j DROP"),
		strings.Fields("-m physdev --physdev-in tap3d1c2f4a-0b --physdev-is-bridged -j ACCEPT"),
		{"-m", "comment", "--comment", "the operator's rule, \"do not touch\"", "-j", "DROP"},
	}).Draw(t, "rule")
}

// Every insertion is taken back exactly, wherever it went, and only what is as
// it was planned is ever called pending.
func TestInsertRuleIsTakenBack(t *testing.T) {
	k := kindOf(t, "insert-rule")
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine()
		m.rules = rapid.SliceOfN(rapid.Custom(drawRule), 0, 8).Draw(t, "rules")
		step := insertAt("", nil)
		if len(m.rules) > 0 && rapid.Bool().Draw(t, "above a rule") {
			i := rapid.IntRange(0, len(m.rules)-1).Draw(t, "index")
			step = insertAt(strconv.Itoa(i+1), m.rules[i])
		}
		roundTrip(t, m, k, step)
	})
}

// The same for a deletion; a rule that is not the only one of its text is
// never deleted.
func TestDeleteRuleIsTakenBack(t *testing.T) {
	k := kindOf(t, "delete-rule")
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine()
		m.rules = rapid.SliceOfN(rapid.Custom(drawRule), 1, 8).Draw(t, "rules")
		i := rapid.IntRange(0, len(m.rules)-1).Draw(t, "index")
		step := commands.Step{Kind: k.Name, Node: controller, Words: m.rules[i], Args: map[string]string{
			"binary": "iptables", "chain": "FORWARD", "position": strconv.Itoa(i + 1), "rest": rest(t, m.listing(), i+1),
		}}
		same := 0
		for _, r := range m.rules {
			if slices.Equal(r, m.rules[i]) {
				same++
			}
		}
		if same > 1 {
			if got := m.state(t, k, step); got != commands.StepChanged {
				t.Fatalf("one of %d equal rules is %s", same, got)
			}
			return
		}
		roundTrip(t, m, k, step)
	})
}

func roundTrip(t *rapid.T, m *machine, k *commands.StepKind, step commands.Step) {
	before := m.listing()
	if got := m.state(t, k, step); got != commands.StepPending {
		t.Fatalf("as planned it is %s", got)
	}
	m.carryOut(t, k.Do(step))
	if m.listing() == before {
		t.Fatalf("nothing has changed")
	}
	if got := m.state(t, k, step); got != commands.StepDone {
		t.Fatalf("made it is %s", got)
	}
	m.carryOut(t, k.Undo(step))
	if after := m.listing(); after != before {
		t.Fatalf("taken back it reads\n%s\nwas\n%s", after, before)
	}
	if got := m.state(t, k, step); got != commands.StepPending {
		t.Fatalf("taken back it is %s", got)
	}
}

// Whatever somebody does to the chain between a change and its undo: when the
// state still says done, taking back restores the chain that it would have
// been without whybot.
func TestUndoOfARuleAfterForeignEdits(t *testing.T) {
	k := kindOf(t, "delete-rule")
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine()
		rules := rapid.SliceOfNDistinct(rapid.Custom(drawRule), 1, 6, func(r []string) string { return strings.Join(r, " ") }).Draw(t, "rules")
		i := rapid.IntRange(0, len(rules)-1).Draw(t, "index")
		m.rules = slices.Clone(rules)
		step := commands.Step{Kind: k.Name, Node: controller, Words: rules[i], Args: map[string]string{
			"binary": "iptables", "chain": "FORWARD", "position": strconv.Itoa(i + 1), "rest": rest(t, m.listing(), i+1),
		}}
		m.carryOut(t, k.Do(step))
		for range rapid.IntRange(0, 2).Draw(t, "edits") {
			if len(m.rules) > 0 && rapid.Bool().Draw(t, "remove") {
				at := rapid.IntRange(0, len(m.rules)-1).Draw(t, "at")
				m.rules = slices.Delete(m.rules, at, at+1)
			} else {
				m.rules = slices.Insert(m.rules, rapid.IntRange(0, len(m.rules)).Draw(t, "at"), rapid.Custom(drawRule).Draw(t, "new"))
			}
		}
		left := len(m.rules)
		if m.state(t, k, step) != commands.StepDone {
			return
		}
		m.carryOut(t, k.Undo(step))
		if len(m.rules) != left+1 || m.state(t, k, step) != commands.StepPending {
			t.Fatalf("taken back: %q", m.rules)
		}
	})
}

// Two directions of one fix stand at one position.
func TestTwoInsertionsAtOnePosition(t *testing.T) {
	k := kindOf(t, "insert-rule")
	m := newMachine()
	m.rules = [][]string{established, reject}
	before := m.listing()
	first, second := insertAt("2", reject), insertAt("2", reject)
	second.Words = strings.Fields("-m physdev --physdev-in tap004b787f-9b --physdev-is-bridged -j ACCEPT")
	for _, s := range []commands.Step{first, second} {
		if got := m.state(t, k, s); got != commands.StepPending {
			t.Fatalf("%q is %s", s.Words, got)
		}
		m.carryOut(t, k.Do(s))
	}
	if !slices.Equal(m.rules[3], reject) || m.state(t, k, first) != commands.StepDone || m.state(t, k, second) != commands.StepDone {
		t.Errorf("made: %q", m.rules)
	}
	m.carryOut(t, k.Undo(second))
	m.carryOut(t, k.Undo(first))
	if m.listing() != before {
		t.Errorf("taken back: %q", m.rules)
	}
}
