package ask_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"whybot/commands"
	"whybot/commands/ask"
)

func TestNamesAreKeptAsTyped(t *testing.T) {
	cases := []struct{ text, vm string }{
		{"Web-1 has no ip", "Web-1"},
		{"WEB–1 has no ip", "WEB–1"}, // an en dash inside a name is the name's
		{"web-1—no ip", "web-1"},     // an em dash is not
		{"`web-1` has no ip", "web-1"},
		{"```web-1``` has no ip", "web-1"},
		{"*web-1* has no ip", "web-1"},
		{"(web-1) has no ip", "web-1"},
		{"ｗｅｂ－１ 没有 ip", "web-1"},
		{"web-1's ip is missing", "web-1"},
		{"web-1’s ip is missing", "web-1"},
		{"'app server 7' has no ip", "app server 7"},
		{"「测试 主机 1」没有IP", "测试 主机 1"},
		{"o'brien-test has no ip", "o'brien-test"},
		{"r&amp;d-vm-3 has no ip", "r&d-vm-3"},
		{"<https://db.prod.io/|db.prod.io> has no ip", "db.prod.io"},
		{"<http://db.prod.io> has no ip", "db.prod.io"},
		{"<mailto:root@web-1.example.org|root@web-1.example.org> has no ip", "web-1.example.org"},
		{"虚机web-1拿不到ip", "web-1"},
		{"为什么生产-订单-02拿不到ip", "生产-订单-02"},
		{"云主机生产-订单-02没有分配到IP", "生产-订单-02"},
		{"web_生产-1 没有 ip", "web_生产-1"},
		{"bastion has no ip", "bastion"},
		{"why can't my vm get an ip", ""},
		{"carol's vm has no ip", ""},
		{"web-1; $(reboot) has no ip", "web-1"},
		{"we\u200bb-1 has no \u202eip", "web-1"},
	}
	for _, c := range cases {
		q := ask.Parse(c.text)
		if q.Kind != commands.KindDHCP || q.Subjects["vm"] != c.vm {
			t.Errorf("Parse(%q) = %s %q, want dhcp vm=%q", c.text, q.Kind, q.Subjects, c.vm)
		}
		if q.Text != c.text {
			t.Errorf("Parse(%q).Text = %q: not as typed", c.text, q.Text)
		}
	}
}

func TestAsksBack(t *testing.T) {
	cases := []struct {
		text string
		kind commands.Kind
		back bool
	}{
		{"no ip", commands.KindDHCP, true},
		{"web-1 no ip", commands.KindDHCP, false},
		{"web-1 can't ping", commands.KindPing, true},
		{"can't ping db-1", commands.KindPing, true},
		{"web-1 can't ping db-1", commands.KindPing, false},
		{"console is black", commands.KindConsole, true},
		{"console web-1", commands.KindConsole, false},
		{"can't delete the volume", commands.KindVolumeStuck, true},
		{"残留卷 vol-1", commands.KindVolumeLeft, false},
		{"after deleting the vm its volume is still there", commands.KindVolumeLeft, true},
		{"web-1 can't reach metadata", commands.KindMetadata, false},
		{"ping", commands.KindNone, false},
		{"help", commands.KindHelp, false},
		{"inc-12", commands.KindHistory, false},
	}
	for _, c := range cases {
		if q := ask.Parse(c.text); q.Kind != c.kind || q.AsksBack != c.back {
			t.Errorf("Parse(%q) = %s, asks back %t; want %s, %t", c.text, q.Kind, q.AsksBack, c.kind, c.back)
		}
	}
}

// What is over, asked for or only mentioned must not start a diagnosis.
func TestNothingToDo(t *testing.T) {
	for _, text := range []string{
		"", " ", "\x00\x07", "\xff\xfe", "?", "ping", "$(reboot)", "`rm -rf /`", "no problem",
		"web-1 has an ip again", "the ip problem on web-1 is solved", "web-1 no longer has ip issues",
		"does web-1 have an ip?", "what is the ip of web-1?", "web-1 has no floating ip",
		"don't delete vol-1", "先别删 vol-1", "can't delete vm web-1", "web-1 有没有 ip", "web-1 拿到ip了",
	} {
		if q := ask.Parse(text); q.Kind != commands.KindNone {
			t.Errorf("Parse(%q) = %s, want none", text, q.Kind)
		}
	}
}

// Trouble that comes after good news is trouble.
func TestStillBroken(t *testing.T) {
	for _, text := range []string{
		"web-1 was fixed yesterday but has no ip again",
		"web-1 is not fixed, still no ip",
		"don't know why web-1 has no ip",
		"web-1 has no ip, thanks",
		"web-1 昨天好了，今天又拿不到ip",
	} {
		if q := ask.Parse(text); q.Kind != commands.KindDHCP {
			t.Errorf("Parse(%q) = %s, want dhcp", text, q.Kind)
		}
	}
}

// A leading mention is the bot; people elsewhere stay people, and nobody can
// type a mention or a marked span.
func TestMentions(t *testing.T) {
	cases := []struct{ text, user string }{
		{"<@U0WHYBOT> which fixes did <@U024BE7LH> apply", "U024BE7LH"},
		{"which fixes did <@U024BE7LH|alice> apply", "U024BE7LH"},
		{"which fixes did &lt;@U024BE7LH&gt; apply", ""},
		{"which fixes did \uE000U024BE7LH\uE002 apply", ""},
	}
	for _, c := range cases {
		if q := ask.Parse(c.text); q.Kind != commands.KindHistory || q.Subjects["user"] != c.user {
			t.Errorf("Parse(%q) = %s %v, want history with user %q", c.text, q.Kind, q.Subjects, c.user)
		}
	}
}

// repeated are texts that are bad for a parser that looks back or far ahead.
var repeated = []string{
	"web-1 can't get an ip ", "<", "<@", "\"", "'a ", "`", "a", "不", "生-", "a-生", "生产-", "-", "1.", "a:", ":", "&lt;",
	"&amp;", "拿不到ip", "not ", "after delete ", "x-1 ", "\xff", "\x00", "\u0301", "\ufdfa", "don't ", "no longer problem ",
	"$(reboot)", "。", "->", "'s", "ping web-1 from ",
}

func TestAnyTextIsAccepted(t *testing.T) {
	const runes = 10_000
	for _, piece := range repeated {
		q := ask.Parse(repeat(piece, runes))
		checkQuestion(t, q)
	}
}

func repeat(piece string, runes int) string {
	return strings.Repeat(piece, runes/utf8.RuneCountInString(piece)+1)
}

func checkQuestion(t *testing.T, q commands.Question) {
	t.Helper()
	if q.Subjects == nil {
		t.Errorf("Parse(%.60q): nil subjects", q.Text)
	}
	for role, value := range q.Subjects {
		if value == "" || !utf8.ValidString(value) || strings.ContainsFunc(value, isHidden) {
			t.Errorf("Parse(%.60q): %s is %.60q", q.Text, role, value)
		}
	}
	if _, err := json.Marshal(q); err != nil {
		t.Errorf("Parse(%.60q): %v", q.Text, err)
	}
}

// isHidden finds the runes by which one name passes for another.
func isHidden(r rune) bool {
	return r < ' ' || r == 0x7f || r >= '\u200b' && r <= '\u200f' || r >= '\u202a' && r <= '\u202e' || r >= '\ue000' && r <= '\uf8ff'
}

// Ten times the text may take ten times the time, with room for noise, but not
// a hundred times.
func TestLinearTime(t *testing.T) {
	const small, large, most = 10_000, 100_000, 70
	for _, piece := range repeated {
		short, long := repeat(piece, small), repeat(piece, large)
		if ratio := float64(fastest(long)) / float64(fastest(short)); ratio > most {
			t.Errorf("%q: %d runes take %.0f times as long as %d", piece, large, ratio, small)
		}
	}
}

func fastest(text string) time.Duration {
	best := time.Hour
	for range 3 {
		start := time.Now()
		ask.Parse(text)
		best = min(best, time.Since(start))
	}
	return best
}

func FuzzParse(f *testing.F) {
	for _, s := range repeated {
		f.Add(s)
	}
	for _, s := range []string{
		"<@U0WHYBOT> why no ip on `web-1`", "“测试 主机 1” 拿不到地址", "web-1 can’t ping db-1", "生产-订单-02 连不上 生产-库-01",
		"what changed on vol-1 between 2026-11-01 and 2026-11-05", "nov 3rd", "inc 12", "<mailto:a@b|a@b> 200G disk since 9am",
		"fd00:10::15/64 169.254.x.x fa:16:3e:00:00:01",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q := ask.Parse(text)
		checkQuestion(t, q)
		if q.Text != text {
			t.Errorf("text changed: %q", q.Text)
		}
		again := ask.Parse(text)
		if q.Kind != again.Kind || !maps.Equal(q.Subjects, again.Subjects) {
			t.Errorf("Parse(%q) differs from itself: %v, %v", text, q, again)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"english", "hey can someone check why jenkins-agent-12 isn’t getting an ip — started after the host reboot"},
		{"chinese", "web-1重启之后ip丢了，里面ifconfig看不到"},
		{"long", repeat("web-1 can't get an ip ", 10_000)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				ask.Parse(c.text)
			}
		})
	}
}
