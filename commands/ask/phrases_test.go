package ask_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"whybot/commands"
	"whybot/commands/ask"
)

// A phrase is one line of a phrase file: text, label and subjects.
type phrase struct {
	text     string
	kind     commands.Kind
	subjects map[string]string
}

var kinds = map[string]commands.Kind{
	"vm_no_ip":           commands.KindDHCP,
	"ping_fail":          commands.KindPing,
	"console_fail":       commands.KindConsole,
	"volume_leftover":    commands.KindVolumeLeft,
	"volume_undeletable": commands.KindVolumeStuck,
	"metadata_fail":      commands.KindMetadata,
	"history":            commands.KindHistory,
	"help":               commands.KindHelp,
	"none":               commands.KindNone,
}

// helpTexts are labelled "none" in the phrase file, as the labels have no
// class for them.
var helpTexts = map[string]bool{"help": true, "what can you do?": true}

func readPhrases(t *testing.T, path string) []phrase {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []phrase
	for lines := bufio.NewScanner(f); lines.Scan(); {
		cols := strings.Split(lines.Text(), "\t")
		if len(cols) != 3 {
			t.Fatalf("%s: want 3 columns: %q", path, lines.Text())
		}
		kind, ok := kinds[cols[1]]
		if !ok {
			t.Fatalf("%s: unknown label %q", path, cols[1])
		}
		if helpTexts[cols[0]] {
			kind = commands.KindHelp
		}
		var raw map[string]any
		if err := json.Unmarshal([]byte(cols[2]), &raw); err != nil {
			t.Fatalf("%s: %q: %v", path, cols[0], err)
		}
		p := phrase{text: cols[0], kind: kind, subjects: map[string]string{}}
		for role, value := range raw {
			p.subjects[role] = fmt.Sprint(value)
		}
		out = append(out, p)
	}
	return out
}

// mustBeExact are the kinds whose every phrase has to come out right, subjects
// included. For the others a share is enough.
var mustBeExact = map[commands.Kind]bool{
	commands.KindDHCP: true, commands.KindHelp: true, commands.KindNone: true,
}

func TestPhrases(t *testing.T) {
	for _, path := range []string{"testdata/phrases-dev.tsv", "testdata/phrases-heldout.tsv", "testdata/phrases-heldout-2.tsv"} {
		t.Run(path, func(t *testing.T) { checkPhrases(t, readPhrases(t, path)) })
	}
}

func checkPhrases(t *testing.T, phrases []phrase) {
	t.Helper()
	kindRight, exact := 0, 0
	for _, p := range phrases {
		q := ask.Parse(p.text)
		sameKind, same := q.Kind == p.kind, maps.Equal(q.Subjects, p.subjects)
		if sameKind {
			kindRight++
		}
		if sameKind && same {
			exact++
			continue
		}
		report := t.Logf
		if mustBeExact[p.kind] || q.Kind == commands.KindDHCP {
			report = t.Errorf
		}
		report("%q:\n got %s %v\nwant %s %v", p.text, q.Kind, q.Subjects, p.kind, p.subjects)
	}
	t.Logf("%d phrases: kind right %d, exact %d", len(phrases), kindRight, exact)
	if kindRight*100 < len(phrases)*97 || exact*100 < len(phrases)*92 {
		t.Errorf("of %d phrases, %d have the right kind (want 97 %%) and %d are exact (want 92 %%)", len(phrases), kindRight, exact)
	}
}
