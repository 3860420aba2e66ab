package accuracy

import (
	"slices"
	"strings"
	"testing"

	"whybot/internal/lab"
)

func fault(t *testing.T, name string) lab.Fault {
	t.Helper()
	fs, err := lab.FindFaults(name)
	if err != nil || len(fs) != 1 {
		t.Fatalf("%s: %d faults, %v", name, len(fs), err)
	}
	return fs[0]
}

func TestGradeAnswer(t *testing.T) {
	edge := func(from, to, direction string) *Edge { return &Edge{from, to, direction} }
	right := edge("controller01/brq91e78b9c-cf", "controller01/eth3.3092", "reply")
	for _, c := range []struct {
		name, fault string
		verdict     Verdict
		want        Grade
	}{
		{"as wanted", "DHCP-01/rhel-nft", Verdict{State: "proven", Cause: "DHCP-01", Edge: right}, Exact},
		{"surer than could be asked for", "DHCP-41/nova-chains", Verdict{State: "proven", Cause: "DHCP-41", Edge: edge("compute01/brq91e78b9c-cf", "compute01/tap3d1c2f4a-0b", "reply")}, Exact},
		{"not sure", "DHCP-01/rhel-nft", Verdict{State: "probable", Cause: "DHCP-01", Edge: right}, Hedged},
		{"no claim", "DHCP-01/rhel-nft", Verdict{State: "unknown"}, Undecided},
		{"no claim, though a cause is named", "DHCP-01/rhel-nft", Verdict{State: "unknown", Cause: "DHCP-02"}, Undecided},
		{"all clear", "DHCP-01/rhel-nft", Verdict{State: "healthy"}, Wrong},
		{"another cause", "DHCP-01/rhel-nft", Verdict{State: "proven", Cause: "DHCP-02", Edge: right}, Wrong},
		{"another cause, perhaps", "DHCP-01/rhel-nft", Verdict{State: "probable", Cause: "DHCP-02", Edge: right}, Guessed},
		{"another node", "DHCP-01/rhel-nft", Verdict{State: "proven", Cause: "DHCP-01", Edge: edge("compute01/brq91e78b9c-cf", "compute01/eth3.3092", "reply")}, Wrong},
		{"the other direction", "DHCP-01/rhel-nft", Verdict{State: "proven", Cause: "DHCP-01", Edge: edge(right.From, right.To, "request")}, Wrong},
		{"no edge where one is wanted", "DHCP-01/rhel-nft", Verdict{State: "proven", Cause: "DHCP-01"}, Wrong},
		{"either node", "DHCP-01/both-controllers", Verdict{State: "proven", Cause: "DHCP-01", Edge: edge("controller02/brq91e78b9c-cf", "controller02/eth3.3092", "reply")}, Exact},
		{"a cause that the catalogue allows as well", "DHCP-02/reject-before-neutron", Verdict{State: "proven", Cause: "DHCP-01", Edge: edge("controller01/brq91e78b9c-cf", "controller01/tap004b787f-9b", "request")}, Exact},
		{"no edge wanted", "DHCP-42/silent", Verdict{State: "proven", Cause: "DHCP-42"}, Exact},
		{"decoy quiet", "DHCP-01/decoy-behind-accept", Verdict{State: "healthy"}, Exact},
		{"decoy undecided", "DHCP-01/decoy-behind-accept", Verdict{State: "unknown"}, Undecided},
		{"decoy taken for a fault", "DHCP-01/decoy-behind-accept", Verdict{State: "proven", Cause: "DHCP-01"}, Wrong},
		{"decoy perhaps a fault", "DHCP-01/decoy-behind-accept", Verdict{State: "probable", Cause: "DHCP-01"}, Guessed},
	} {
		if got := gradeAnswer(fault(t, c.fault), c.verdict); got != c.want {
			t.Errorf("%s: graded %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSummaryErrNamesEveryOffence(t *testing.T) {
	decoy, broken := fault(t, "DHCP-01/decoy-behind-accept"), fault(t, "DHCP-01/rhel-nft")
	fine := append(slices.Repeat([]Result{{Fault: broken, Grade: Exact}}, 30), []Result{
		{Fault: broken, Grade: Exact, Fixes: []FixResult{{Name: "a", Cured: true, UndoOffered: true, Undone: true}, {Name: "b", Cured: true}}},
		{Fault: broken, Grade: Undecided},
		{Fault: decoy, Grade: Exact},
	}...)
	if err := Summarize(fine, nil).Err(); err != nil {
		t.Errorf("a good run fails: %v", err)
	}
	for _, c := range []struct {
		say string
		bad Result
	}{
		{"wrong with confidence", Result{Fault: broken, Grade: Wrong}},
		{"without an answer", Result{Fault: broken, Grade: Failed}},
		{"decoys not quiet", Result{Fault: decoy, Grade: Guessed}},
		{"decoys not quiet", Result{Fault: decoy, Grade: Exact, Answer: Answer{Fixes: []Fix{{ID: "fx-1"}}}}},
		{"did not cure", Result{Fault: broken, Grade: Exact, Fixes: []FixResult{{Name: "a"}}}},
		{"offered for what was not broken", Result{Fault: decoy, Grade: Exact, Answer: Answer{Fixes: []Fix{{ID: "fx-1"}}}}},
		{"offered for what was not broken", Result{Fault: broken, Grade: Guessed, Answer: Answer{Fixes: []Fix{{ID: "fx-1"}}}}},
		{"not undone", Result{Fault: broken, Grade: Exact, Fixes: []FixResult{{Name: "a", Cured: true, UndoOffered: true}}}},
	} {
		err := Summarize(append(fine[:len(fine):len(fine)], c.bad), nil).Err()
		if err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%+v: Err() = %v, want %q", c.bad.Grade, err, c.say)
		}
	}
	undecided := append(fine[:len(fine):len(fine)], slices.Repeat([]Result{{Fault: broken, Grade: Undecided}}, 3)...)
	if err := Summarize(undecided, nil).Err(); err == nil || !strings.Contains(err.Error(), "cause and edge right of 88.6 %") {
		t.Errorf("31 of 35 named: Err() = %v", err)
	}
	for _, bad := range []PairResult{
		{FirstGrade: Exact, SecondGrade: Undecided},
		{FirstGrade: Wrong, SecondGrade: Exact},
		{FirstGrade: Exact, SecondGrade: Exact, Problem: "no lease"},
	} {
		if err := Summarize(fine, []PairResult{bad}).Err(); err == nil || !strings.Contains(err.Error(), "1 pairs of faults not told apart") {
			t.Errorf("%+v: Err() = %v", bad, err)
		}
	}
	if err := Summarize(fine, []PairResult{{FirstGrade: Exact, SecondGrade: Hedged}}).Err(); err != nil {
		t.Errorf("a good pair fails: %v", err)
	}
}

func TestWriteIsDeterministicAndKeepsItsTables(t *testing.T) {
	results := []Result{
		{
			Fault: fault(t, "DHCP-01/rhel-nft"), Grade: Exact,
			Answer: Answer{TookMS: 1200, Verdict: Verdict{State: "proven", Cause: "DHCP-01", Edge: &Edge{"a/b", "c/d", "reply"}}},
			Fixes:  []FixResult{{Name: "evil|`x`\n<b>", Class: "F1", Cured: true, UndoOffered: true, Problem: "undo|failed"}},
		},
		{Fault: fault(t, "DHCP-01/decoy-behind-accept"), Grade: Exact, Answer: Answer{TookMS: 800, Verdict: Verdict{State: "healthy"}}},
		{Fault: fault(t, "DHCP-09/one-controller"), Grade: Failed, Problem: "exit status 1"},
	}
	pairs := []PairResult{{
		Pair: lab.Pairs()[0], FirstGrade: Exact, First: Answer{Verdict: Verdict{State: "proven", Cause: "DHCP-16"}}, FirstCure: "enslave (not-cured)",
		SecondGrade: Undecided, Second: Answer{Verdict: Verdict{State: "unknown"}}, SecondCure: byHand, Problem: "no | lease",
	}}
	var a, b strings.Builder
	if err := Write(&a, results, pairs); err != nil {
		t.Fatal(err)
	}
	if err := Write(&b, results, pairs); err != nil || a.String() != b.String() {
		t.Errorf("two writes of the same results differ (%v)", err)
	}
	for _, want := range []string{
		"| faults answered exactly (state, cause, edge) | 1 of 2 |",
		"| **wrong with confidence** | **0** |",
		"| decoys quiet | 1 of 1 |",
		"| **cause and edge right** | **50.0 %** |",
		"| pairs of faults told apart | 0 of 1 |",
		"| DHCP-01 | 1 | 1 | 0 | 0 | 0 | 1 of 1 | 1200 | 1200 |",
		"| DHCP-09 | 1 | 0 | 0 | 0 | 1 | 0 of 0 | 0 | 0 |",
		`| DHCP-16/guest-tap-out + DHCP-01/rhel-nft | exact: proven DHCP-16 | enslave (not-cured) | undecided: unknown | by hand | no \| lease |`,
		"| fixes undone, of those with an undo | 0 of 1 |",
		"| time to verdict, worst | 1200 ms |",
		"| | (no answer) | DHCP-01 | healthy |\n|---|---|---|---|",
		"| **DHCP-01** | | 1 | |",
		"| **DHCP-09** | 1 | | |",
		`| DHCP-01/rhel-nft | evil\|'x' &lt;b> | F1 | yes | **no** | undo\|failed |`,
		"| DHCP-01/rhel-nft | REJECT in FORWARD of the network node, in /etc/sysconfig/iptables too | proven DHCP-01 | a/b → c/d (reply) | exact | 1200 |",
	} {
		if !strings.Contains(a.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, a.String())
		}
	}
}
