package main

import (
	"encoding/json"
	"strings"
	"testing"

	"whybot/internal/cloudfake"
)

const question1 = "why can't web-1 get an IP"

func TestAskBadQuestions(t *testing.T) {
	s := newScene(t)
	for name, c := range map[string]struct {
		text, says string
	}{
		"empty":         {"", "ask what?"},
		"blank":         {" \t\n", "ask what?"},
		"far too long":  {"why can't web-1 get an IP " + strings.Repeat("é", 10_000), "at most 2000 are read"},
		"nonsense":      {"colourless green ideas sleep furiously", "no question in that"},
		"control bytes": {"\x00\x1b[2J\x07", "no question in that"},
		"only a shell":  {"$(reboot)", "no question in that"},
		"not UTF-8":     {"\xff\xfe\xfd", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.run("ask", c.text)
			r.want(t, exitUsage, "", c.says)
			if strings.ContainsAny(r.err, "\x1b\x00\x07") || len(r.err) > 500 {
				t.Errorf("it is repeated: %q", r.err)
			}
		})
	}
	if n := len(s.cloud.Requests()); n > 0 {
		t.Errorf("the cloud was asked %d times", n)
	}
}

// What looks like a shell's words is a name that no server has.
func TestAskWithShellWords(t *testing.T) {
	s := newScene(t)
	r := s.run("ask", "--json", "why can't", `"$(touch`, s.path("owned")+`)"`, "get an IP")
	if r.code == exitAnswered {
		t.Errorf("answered: %s", r.out)
	}
	r = s.run("ask", "why can't `$(reboot)` get an IP")
	if r.code == exitAnswered || strings.Contains(r.err, "Something went wrong") {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
	s.run("timeline").want(t, exitAnswered, "", "")
}

func TestAskWithoutNodes(t *testing.T) {
	s := newScene(t)
	r := s.run("ask", "--json", "--no-capture", question1)
	r.want(t, exitAnswered, "", "")
	var got struct {
		Incident string
		Question struct {
			Kind, Text string
			Subjects   map[string]string
		}
		Verdict struct{ State string }
		Path    []struct {
			Node, Device string
			Observed     bool
		}
		Fixes   []any
		Unknown []struct{ What, Why string }
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	// Nodes that could not be read are never an all-clear.
	if got.Verdict.State != "unknown" || len(got.Unknown) == 0 || len(got.Fixes) != 0 {
		t.Errorf("answered %s", r.out)
	}
	if got.Incident != "inc-1" || got.Question.Kind != "dhcp" || got.Question.Text != question1 || got.Question.Subjects["vm"] != "web-1" {
		t.Errorf("question %+v", got)
	}
	if len(got.Path) == 0 || got.Path[0].Node != "compute01" || got.Path[0].Device != "tap3d1c2f4a-0b" || got.Path[0].Observed {
		t.Errorf("path %+v", got.Path)
	}
	if !strings.Contains(r.out, "refused") {
		t.Errorf("it does not say why the nodes could not be read: %s", r.out)
	}
	text := s.run("ask", "--no-capture", question1)
	text.want(t, exitAnswered, "UNKNOWN", "")
	if strings.Contains(text.out, "\x1b") {
		t.Errorf("colour on what is no terminal: %q", text.out)
	}
	s.run("timeline").want(t, exitAnswered, "inc-2", "")
	s.run("timeline", "inc-1").want(t, exitAnswered, "verdict", "")
	s.run("timeline", "verify").want(t, exitAnswered, "every hash and link is right", "")
}

func TestAskThatCannotBeAnswered(t *testing.T) {
	s := newScene(t)
	s.run("ask", "why can't web-2 get an IP").want(t, exitFailed, "", "web-2")
	missing := s.run("ask", "--json", "why can't web-2 get an IP")
	missing.want(t, exitFailed, "", "Nearest names: web-1")
	if got := missing.object(t); got["code"] != "missing" || got["incident"] != "inc-2" || !strings.Contains(got["error"].(string), "web-2") {
		t.Errorf("object %v", got)
	}
	s.cloud.Inject(cloudfake.Fault{Service: "nova", Status: 503, Body: `{"sealed": "words"}`})
	broken := s.run("ask", "--json", question1)
	broken.want(t, exitFailed, "", "OpenStack could not be read")
	if got := broken.object(t); got["code"] != "outside" || strings.Contains(broken.out+broken.err, "sealed") {
		t.Errorf("object %v, stderr %s", got, broken.err)
	}
	// A kind that this version does not work on is refused before anything is asked.
	s.run("ask", "metadata service unreachable from web-1").want(t, exitFailed, "", "are not in it")
}

// A parsedLine is one line of parse's output, with what may be missing told
// apart from what is empty.
type parsedLine struct {
	Text     *string
	Kind     *string
	Subjects map[string]any
	AsksBack *bool `json:"asks_back"`
}

// parseLines runs parse and returns one object per question.
func parseLines(t *testing.T, questions []string) []parsedLine {
	t.Helper()
	r := runWith(t, strings.Join(questions, "\n"), nil, "parse", "--json")
	r.want(t, exitAnswered, "", "")
	lines := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
	if len(lines) != len(questions) {
		t.Fatalf("%d lines for %d questions", len(lines), len(questions))
	}
	got := make([]parsedLine, len(lines))
	for i, line := range lines {
		dec := json.NewDecoder(strings.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&got[i]); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if p := got[i]; p.Text == nil || *p.Text != questions[i] || p.Kind == nil || p.AsksBack == nil || p.Subjects == nil {
			t.Fatalf("%.80q came to %.200s", questions[i], line)
		}
	}
	return got
}

func TestParseKinds(t *testing.T) {
	wants := []struct {
		question, kind string
		asksBack       bool
	}{
		{question1, "dhcp", false},
		{"why can't web-1 and web-2 ping each other", "ping", false},
		{"what happened to web-1 yesterday", "history", false},
		{"why no ip", "dhcp", true},
		{"colourless green ideas", "none", false},
		{"", "none", false},
		{"$(reboot)", "none", false},
		{strings.Repeat("x", 100_000), "none", false},
		{"last without a newline", "none", false},
	}
	questions := make([]string, len(wants))
	for i, w := range wants {
		questions[i] = w.question
	}
	for i, got := range parseLines(t, questions) {
		if want := wants[i]; *got.Kind != want.kind || *got.AsksBack != want.asksBack {
			t.Errorf("%.80q: %s, asks back %t; want %s, %t", want.question, *got.Kind, *got.AsksBack, want.kind, want.asksBack)
		}
	}
}

func TestParseSubjects(t *testing.T) {
	got := parseLines(t, []string{question1, "why can't web-1 and web-2 ping each other", "what happened to web-1 yesterday"})
	if s := got[0].Subjects; s["vm"] != "web-1" || len(s) != 1 {
		t.Errorf("subjects %v", s)
	}
	if both, isBool := got[1].Subjects["both"].(bool); !both || !isBool {
		t.Errorf("subjects %v: both is no truth", got[1].Subjects)
	}
	if s := got[2].Subjects; s["target"] != "web-1" || s["when"] != "yesterday" {
		t.Errorf("subjects %v", s)
	}
}

func TestParseOfNothing(t *testing.T) {
	if empty := runWith(t, "", nil, "parse"); empty.code != exitAnswered || empty.out != "" {
		t.Errorf("no questions came to %d, %q", empty.code, empty.out)
	}
}
