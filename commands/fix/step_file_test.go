package fix_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/node"
	"whybot/runners"
)

const (
	ruleFile = "/etc/iptables/rules.v4"
	dropLine = "-A FORWARD -j REJECT --reject-with icmp-host-prohibited"
)

// planComment plans the edit of a rule file of this text, and aims the step at
// a real file.
func planComment(t *testing.T, text, file string) (commands.Step, error) {
	t.Helper()
	m := newMachine()
	m.outputs[node.RuleFileProbe(ruleFile).Name] = runners.Output{Stdout: text}
	steps, err := fix.CommentRule.Plan(passOver(t, m, newCloud()), commands.Suggestion{
		Fix: fix.CommentRule, Node: controller, Args: map[string]string{"file": ruleFile, "line": dropLine},
	})
	if err != nil {
		return commands.Step{}, err
	}
	if len(steps) != 1 || steps[0].Args["file"] != ruleFile {
		t.Fatalf("steps %+v", steps)
	}
	steps[0].Args["file"] = file
	return steps[0], nil
}

// onDisk runs a command of a step for real, without sudo.
func onDisk(t fataler, argv []string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v: %s", argv, err, stderr.String())
	}
	return string(out)
}

func fileState(t fataler, k *commands.StepKind, s commands.Step) commands.StepState {
	t.Helper()
	probes := k.Read(s)
	got, _ := k.State(s, []runners.Result{{Probe: probes[0], Output: runners.Output{Stdout: onDisk(t, probes[0].Argv)}}})
	return got
}

func TestCommentRuleOnARealFile(t *testing.T) {
	k := kindOf(t, "comment-line")
	for name, text := range map[string]string{
		"ordinary":              "# boot\n*filter\n:FORWARD ACCEPT [0:0]\n" + dropLine + "\nCOMMIT\n",
		"no newline at the end": "*filter\n" + dropLine,
		"indented":              "*filter\n\t " + dropLine + " \nCOMMIT\n",
		"carriage returns":      "*filter\r\n" + dropLine + "\r\nCOMMIT\r\n",
		"a longer rule besides": "*filter\n" + dropLine + " -m comment\n" + dropLine + "\nCOMMIT\n",
		"commented out before":  "*filter\n#whybot# " + dropLine + "\n" + dropLine + "\nCOMMIT\n",
		"umlauts":               "# für später\n" + dropLine + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), `it's a "rules".v4`)
			if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
				t.Fatal(err)
			}
			if os.Getuid() == 0 {
				if err := os.Chown(file, 4321, 1234); err != nil {
					t.Fatal(err)
				}
			}
			mode := statOf(t, file)
			s, err := planComment(t, text, file)
			if err != nil {
				t.Fatal(err)
			}
			if got := fileState(t, k, s); got != commands.StepPending {
				t.Fatalf("as planned it is %s", got)
			}
			onDisk(t, k.Do(s)[0].Command.Argv)
			if got := fileState(t, k, s); got != commands.StepDone {
				t.Errorf("made it is %s: the plan's hash is not that of what sed wrote", got)
			}
			edited := contents(t, file)
			if strings.Count(edited, "#whybot# ") != strings.Count(text, "#whybot# ")+1 || len(edited) != len(text)+len("#whybot# ") {
				t.Errorf("edited to %q", edited)
			}
			if got := statOf(t, file); got != mode {
				t.Errorf("mode and owner are %v, were %v", got, mode)
			}
			if got := contents(t, file+".whybot-bak"); got != text {
				t.Errorf("the copy reads %q", got)
			}
			onDisk(t, k.Undo(s)[0].Command.Argv)
			if got := contents(t, file); got != text || statOf(t, file) != mode || fileState(t, k, s) != commands.StepPending {
				t.Errorf("taken back it reads %q, %v", got, statOf(t, file))
			}
		})
	}
}

type ownership struct {
	mode     os.FileMode
	uid, gid uint32
}

func statOf(t *testing.T, file string) ownership {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("%T", info.Sys())
	}
	return ownership{info.Mode(), sys.Uid, sys.Gid}
}

func contents(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCommentRuleNeedsExactlyOneLine(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"none":                  {"*filter\nCOMMIT\n", "0 times"},
		"only commented":        {"# " + dropLine + "\n", "0 times"},
		"only a part of a line": {dropLine + " -m comment --comment x\n", "0 times"},
		"two":                   {dropLine + "\n  " + dropLine + "\n", "2 times"},
		"empty":                 {"", "0 times"},
	} {
		_, err := planComment(t, c.text, "x")
		if err == nil {
			t.Errorf("%s: planned", name)
			continue
		}
		refusal(t, err, commands.CodeInvalid, c.says)
	}
	for name, out := range map[string]runners.Output{
		"not there": {ExitCode: 1, Stderr: "cat: No such file"}, "cut": {Stdout: dropLine + "\n", Truncated: true},
	} {
		m := newMachine()
		m.outputs[node.RuleFileProbe(ruleFile).Name] = out
		_, err := fix.CommentRule.Plan(passOver(t, m, newCloud()), commands.Suggestion{Node: controller, Args: map[string]string{"file": ruleFile, "line": dropLine}})
		if err == nil {
			t.Errorf("%s: planned", name)
			continue
		}
		refusal(t, err, commands.CodeMissing, "could not be read")
	}
}

func TestCommentLineState(t *testing.T) {
	k := kindOf(t, "comment-line")
	s := commands.Step{Args: map[string]string{"file": ruleFile, "line": "1", "before": strings.Repeat("a", 64), "after": strings.Repeat("b", 64)}}
	for stdout, want := range map[string]commands.StepState{
		strings.Repeat("a", 64) + "  " + ruleFile + "\n":          commands.StepPending,
		strings.Repeat("b", 64) + "  " + ruleFile + "\n":          commands.StepDone,
		`\` + strings.Repeat("b", 64) + `  /etc/odd\nname` + "\n": commands.StepDone,
		strings.Repeat("c", 64) + "  " + ruleFile + "\n":          commands.StepChanged,
		strings.Repeat("a", 63) + "  " + ruleFile + "\n":          commands.StepChanged,
		"": commands.StepChanged,
	} {
		got, seen := k.State(s, []runners.Result{{Output: runners.Output{Stdout: stdout}}})
		if got != want || !strings.Contains(seen, ruleFile) {
			t.Errorf("%q: %s (%s), want %s", stdout, got, seen, want)
		}
	}
}

// Any file in which the line stands once is edited and restored byte for byte.
func TestCommentLineIsTakenBack(t *testing.T) {
	k := kindOf(t, "comment-line")
	file := filepath.Join(t.TempDir(), "rules.v4")
	lines := []string{"*filter", "COMMIT", "", "# x", "#whybot# -A FORWARD -j DROP", "\t", `-A INPUT -m comment --comment "a & b / c \\ d" -j ACCEPT`}
	seen := 0
	rapid.Check(t, func(rt *rapid.T) {
		if seen++; seen > 60 {
			return // each run starts six processes
		}
		above := rapid.SliceOfN(rapid.SampledFrom(lines), 0, 12).Draw(rt, "above")
		below := rapid.SliceOfN(rapid.SampledFrom(lines), 0, 12).Draw(rt, "below")
		text := strings.Join(append(append(above, dropLine), below...), "\n") + rapid.SampledFrom([]string{"", "\n"}).Draw(rt, "end")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			rt.Fatalf("%v", err)
		}
		s, err := planComment(t, text, file)
		if err != nil {
			rt.Fatalf("%v", err)
		}
		onDisk(rt, k.Do(s)[0].Command.Argv)
		if got := fileState(rt, k, s); got != commands.StepDone {
			rt.Fatalf("made it is %s", got)
		}
		onDisk(rt, k.Undo(s)[0].Command.Argv)
		if got := contents(t, file); got != text {
			rt.Fatalf("taken back it reads %q", got)
		}
	})
}
