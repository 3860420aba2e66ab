package differential

import (
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	good := Tally{RuleSets: 3, Packets: 18, Verdicts: 20, Unknown: 1, Opaque: 1, OpaqueVerdicts: 4, Lost: 9, Counters: 50, Grown: 12, LostBy: map[string]int{"policy": 9}}
	r := Report{Options: Options{Seed: 7, Workers: 2}, Families: map[string]Tally{"iptables-nft": good}, Total: good, Took: 3 * time.Second}
	if err := r.Err(); err != nil {
		t.Errorf("a good run: %v", err)
	}
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| rule sets | 3 |", "| **disagreements** | **0** |", "| iptables-nft | 3 | 18 | 20 | 45.0 % | 0.0 % |", "| policy | 9 |", "| first seed | 7 |"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
	for name, change := range map[string]func(*Tally){
		"disagree":             func(t *Tally) { t.Disagreements = 1 },
		"of the verdicts open": func(t *Tally) { t.Unknown = 3 },
		"nothing was compared": func(t *Tally) { t.Grown = 0 },
	} {
		bad := good
		change(&bad)
		r := Report{Families: map[string]Tally{"iptables-nft": bad}, Total: bad}
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error that says %q, got %v", name, err)
		}
	}
}

func TestJobs(t *testing.T) {
	jobs, err := Options{RuleSets: 47, Families: []string{"iptables-nft", "iptables-legacy"}, Seed: 5}.jobs()
	if err != nil {
		t.Fatal(err)
	}
	seeds := map[string]uint64{}
	total := 0
	for _, j := range jobs {
		if next, ok := seeds[j.family.name]; ok && next != j.first || !ok && j.first != 5 {
			t.Errorf("%s goes on at seed %d, want %d", j.family.name, j.first, next)
		}
		seeds[j.family.name] = j.first + uint64(j.count)
		total += j.count
	}
	if total != 47 || len(seeds) != 2 {
		t.Errorf("%d rule sets of %d families", total, len(seeds))
	}
	if _, err := (Options{Families: []string{"ipfw"}}).jobs(); err == nil || !strings.Contains(err.Error(), "iptables-nft") {
		t.Errorf("an unknown family: %v", err)
	}
}
