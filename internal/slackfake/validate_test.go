package slackfake_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"whybot/internal/slackfake"
)

func x(n int) string { return strings.Repeat("x", n) }

// blocks wraps blocks into a message with a text.
func blocks(list ...string) string {
	return `{"text":"A sentence.","blocks":[` + strings.Join(list, ",") + `]}`
}

func times(n int, item string) string {
	return strings.TrimSuffix(strings.Repeat(item+",", n), ",")
}

func button(extra string) string {
	return `{"type":"actions","elements":[{"type":"button","action_id":"a","text":{"type":"plain_text","text":"Go"}` + extra + `}]}`
}

func mrkdwnText(n int) string { return `{"type":"mrkdwn","text":"` + x(n) + `"}` }
func plainText(n int) string  { return `{"type":"plain_text","text":"` + x(n) + `"}` }

// TestLimits pairs each documented limit with a document just over it and one that just keeps it.
func TestLimits(t *testing.T) {
	confirm := func(title, text, label int) string {
		return fmt.Sprintf(`,"confirm":{"title":%s,"text":%s,"confirm":%s,"deny":%s}`, plainText(title), mrkdwnText(text), plainText(label), plainText(label))
	}
	cell := `{"type":"raw_text","text":"c"}`
	option := func(text, value int) string {
		return fmt.Sprintf(`{"text":%s,"value":"%s"}`, plainText(text), x(value))
	}
	menu := func(kind, options string) string {
		return `{"type":"actions","elements":[{"type":"` + kind + `","action_id":"a","options":[` + options + `]}]}`
	}
	cases := []struct{ name, good, bad, pointer, code string }{
		{"blocks", blocks(times(50, `{"type":"divider"}`)), blocks(times(51, `{"type":"divider"}`)), "/blocks", "too_many"},
		{"section text", blocks(`{"type":"section","text":` + mrkdwnText(3000) + `}`), blocks(`{"type":"section","text":` + mrkdwnText(3001) + `}`), "/blocks/0/text/text", "too_long"},
		{"empty text", blocks(`{"type":"section","text":` + mrkdwnText(1) + `}`), blocks(`{"type":"section","text":` + mrkdwnText(0) + `}`), "/blocks/0/text/text", "too_short"},
		{"runes", blocks(`{"type":"section","text":{"type":"mrkdwn","text":"` + strings.Repeat("网", 3000) + `"}}`), blocks(`{"type":"section","text":{"type":"mrkdwn","text":"` + strings.Repeat("网", 3001) + `"}}`), "/blocks/0/text/text", "too_long"},
		{"fields", blocks(`{"type":"section","fields":[` + times(10, mrkdwnText(2)) + `]}`), blocks(`{"type":"section","fields":[` + times(11, mrkdwnText(2)) + `]}`), "/blocks/0/fields", "too_many"},
		{"field", blocks(`{"type":"section","fields":[` + mrkdwnText(2000) + `]}`), blocks(`{"type":"section","fields":[` + mrkdwnText(2001) + `]}`), "/blocks/0/fields/0/text", "too_long"},
		{"header", blocks(`{"type":"header","text":` + plainText(150) + `}`), blocks(`{"type":"header","text":` + plainText(151) + `}`), "/blocks/0/text/text", "too_long"},
		{"header is plain", blocks(`{"type":"header","text":` + plainText(1) + `}`), blocks(`{"type":"header","text":` + mrkdwnText(1) + `}`), "/blocks/0/text/type", "invalid_value"},
		{"context", blocks(`{"type":"context","elements":[` + times(10, mrkdwnText(1)) + `]}`), blocks(`{"type":"context","elements":[` + times(11, mrkdwnText(1)) + `]}`), "/blocks/0/elements", "too_many"},
		{"button text", blocks(button(`,"text":` + plainText(75))), blocks(button(`,"text":` + plainText(76))), "/blocks/0/elements/0/text/text", "too_long"},
		{"button value", blocks(button(`,"value":"` + x(2000) + `"`)), blocks(button(`,"value":"` + x(2001) + `"`)), "/blocks/0/elements/0/value", "too_long"},
		{"button style", blocks(button(`,"style":"danger"`)), blocks(button(`,"style":"default"`)), "/blocks/0/elements/0/style", "invalid_value"},
		{"button label", blocks(button(`,"accessibility_label":"` + x(75) + `"`)), blocks(button(`,"accessibility_label":"` + x(76) + `"`)), "/blocks/0/elements/0/accessibility_label", "too_long"},
		{"action_id", blocks(button(`,"action_id":"` + x(255) + `"`)), blocks(button(`,"action_id":"` + x(256) + `"`)), "/blocks/0/elements/0/action_id", "too_long"},
		{"button url", blocks(button(`,"url":"https://a/` + x(2990) + `"`)), blocks(button(`,"url":"https://a/` + x(2991) + `"`)), "/blocks/0/elements/0/url", "too_long"},
		{"confirm title", blocks(button(confirm(100, 300, 30))), blocks(button(confirm(101, 300, 30))), "/blocks/0/elements/0/confirm/title/text", "too_long"},
		{"confirm text", blocks(button(confirm(100, 300, 30))), blocks(button(confirm(100, 301, 30))), "/blocks/0/elements/0/confirm/text/text", "too_long"},
		{"confirm label", blocks(button(confirm(1, 1, 30))), blocks(button(confirm(1, 1, 31))), "/blocks/0/elements/0/confirm/deny/text", "too_long"},
		{"confirm without deny", blocks(button(confirm(1, 1, 1))), blocks(button(`,"confirm":{"title":` + plainText(1) + `,"text":` + plainText(1) + `,"confirm":` + plainText(1) + `}`)), "/blocks/0/elements/0/confirm", "required"},
		{"block_id", blocks(`{"type":"divider","block_id":"` + x(255) + `"}`), blocks(`{"type":"divider","block_id":"` + x(256) + `"}`), "/blocks/0/block_id", "too_long"},
		{"block_id unique", blocks(`{"type":"divider","block_id":"a"}`, `{"type":"divider","block_id":"b"}`), blocks(`{"type":"divider","block_id":"a"}`, `{"type":"divider","block_id":"a"}`), "/blocks/1/block_id", "duplicate"},
		{"image alt", blocks(`{"type":"image","image_url":"https://a/b.png","alt_text":"` + x(2000) + `"}`), blocks(`{"type":"image","image_url":"https://a/b.png"}`), "/blocks/0", "required"},
		{"image source", blocks(`{"type":"image","slack_file":{"id":"F1"},"alt_text":"a"}`), blocks(`{"type":"image","alt_text":"a"}`), "/blocks/0", "required"},
		{"image url", blocks(`{"type":"image","image_url":"https://a/b","alt_text":"a"}`), blocks(`{"type":"image","image_url":"javascript:x","alt_text":"a"}`), "/blocks/0/image_url", "invalid_value"},
		{"select options", blocks(menu("static_select", times(100, option(1, 1)))), blocks(menu("static_select", times(101, option(1, 1)))), "/blocks/0/elements/0/options", "too_many"},
		{"option value", blocks(menu("static_select", option(75, 75))), blocks(menu("static_select", option(75, 76))), "/blocks/0/elements/0/options/0/value", "too_long"},
		{"overflow", blocks(menu("overflow", times(5, option(1, 1)))), blocks(menu("overflow", times(6, option(1, 1)))), "/blocks/0/elements/0/options", "too_many"},
		{"radio", blocks(menu("radio_buttons", times(10, option(1, 1)))), blocks(menu("radio_buttons", times(11, option(1, 1)))), "/blocks/0/elements/0/options", "too_many"},
		{"table rows", blocks(`{"type":"table","rows":[` + times(100, `[`+cell+`]`) + `]}`), blocks(`{"type":"table","rows":[` + times(101, `[`+cell+`]`) + `]}`), "/blocks/0/rows", "too_many"},
		{"table columns", blocks(`{"type":"table","rows":[[` + times(20, cell) + `]]}`), blocks(`{"type":"table","rows":[[` + times(21, cell) + `]]}`), "/blocks/0/rows/0", "too_many"},
		{"one table", blocks(`{"type":"table","rows":[[` + cell + `]]}`), blocks(times(2, `{"type":"table","rows":[[`+cell+`]]}`)), "/blocks", "too_many"},
		{"data_table caption", blocks(`{"type":"data_table","caption":"c","rows":[[` + cell + `],[` + cell + `]]}`), blocks(`{"type":"data_table","rows":[[` + cell + `],[` + cell + `]]}`), "/blocks/0", "required"},
		{"markdown", blocks(`{"type":"markdown","text":"` + x(9000) + `"}`), blocks(`{"type":"markdown","text":"` + x(12001) + `"}`), "/blocks/0/text", "too_long"},
		{"budget", blocks(times(5, `{"type":"section","text":`+mrkdwnText(2000)+`}`)), blocks(times(5, `{"type":"section","text":`+mrkdwnText(2001)+`}`)), "/blocks", "msg_blocks_too_long"},
		{"alert level", blocks(`{"type":"alert","level":"error","text":` + mrkdwnText(1) + `}`), blocks(`{"type":"alert","level":"bad","text":` + mrkdwnText(1) + `}`), "/blocks/0/level", "invalid_value"},
		{"unknown block", blocks(`{"type":"divider"}`), blocks(`{"type":"sektion"}`), "/blocks/0/type", "unknown_type"},
		{"unknown key", blocks(`{"type":"divider"}`), blocks(`{"type":"divider","colour":"red"}`), "/blocks/0/colour", "unknown_property"},
		{"unknown element", blocks(button("")), blocks(`{"type":"actions","elements":[{"type":"knob"}]}`), "/blocks/0/elements/0/type", "unknown_type"},
		{"emoji in mrkdwn", blocks(`{"type":"section","text":` + mrkdwnText(1) + `}`), blocks(`{"type":"section","text":{"type":"mrkdwn","text":"a","emoji":true}}`), "/blocks/0/text/emoji", "unknown_property"},
		{"empty section", blocks(`{"type":"section","text":` + mrkdwnText(1) + `}`), blocks(`{"type":"section"}`), "/blocks/0", "required"},
		{"same action twice", blocks(button("")), blocks(strings.Replace(button(""), `]}`, `,{"type":"button","action_id":"a","text":`+plainText(1)+`}]}`, 1)), "/blocks/0/elements/1/action_id", "duplicate"},
		{"rich text", blocks(`{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"web-1","style":{"code":true}}]}]}`), blocks(`{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"web-1","style":{"kode":true}}]}]}`), "/blocks/0/elements/0/elements/0/style/kode", "unknown_property"},
		{"unknown top key", blocks(`{"type":"divider"}`), `{"text":"a","blocs":[]}`, "/blocs", "unknown_property"},
		{"thread_ts is text", `{"text":"a","thread_ts":"1795435200.000000"}`, `{"text":"a","thread_ts":1795435200.000000}`, "/thread_ts", "invalid_value"},
		{"container", blocks(`{"type":"container","title":` + plainText(150) + `,"child_blocks":[{"type":"divider"}]}`), blocks(`{"type":"container","title":` + plainText(150) + `,"child_blocks":[{"type":"container"}]}`), "/blocks/0/child_blocks/0/type", "unknown_type"},
		{"not JSON", `{"text":"a"}`, `{"text":`, "", "invalid_json"},
		{"not an object", `{"text":"a"}`, `[]`, "", "wrong_type"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := slackfake.Validate([]byte(c.good)); len(got) != 0 {
				t.Errorf("a good message has problems: %v", got)
			}
			wantProblem(t, slackfake.Validate([]byte(c.bad)), c.pointer, c.code, false)
		})
	}
}

func wantProblem(t *testing.T, got []slackfake.Problem, pointer, code string, warning bool) {
	t.Helper()
	for _, p := range got {
		if p.Pointer == pointer && p.Code == code && p.Warning == warning {
			return
		}
	}
	t.Errorf("problems = %v, want %s at %q", got, code, pointer)
}

func TestWarnings(t *testing.T) {
	wantProblem(t, slackfake.Validate([]byte(`{"blocks":[{"type":"divider"}]}`)), "/text", "missing_text", true)
	wantProblem(t, slackfake.Validate([]byte(`{"text":"`+x(4001)+`"}`)), "/text", "text_will_be_split", true)
	two := `{"type":"actions","elements":[` + times(2, `{"type":"button","style":"primary","text":`+plainText(1)+`}`) + `]}`
	got := slackfake.Validate([]byte(blocks(two)))
	wantProblem(t, got, "/blocks/0/elements", "too_many_primary_buttons", true)
	wantProblem(t, got, "/blocks/0/elements/0", "missing_action_id", true)
}

func TestViewLimits(t *testing.T) {
	input := `{"type":"input","label":` + plainText(1) + `,"element":{"type":"plain_text_input","action_id":"a"}}`
	view := func(title int, extra string, list ...string) []byte {
		return []byte(fmt.Sprintf(`{"type":"modal","title":%s%s,"blocks":[%s]}`, plainText(title), extra, strings.Join(list, ",")))
	}
	submit := `,"submit":` + plainText(24)
	if got := slackfake.ValidateView(view(24, submit+`,"private_metadata":"`+x(3000)+`"`, input)); len(got) != 0 {
		t.Errorf("a good view has problems: %v", got)
	}
	wantProblem(t, slackfake.ValidateView(view(25, submit, input)), "/title/text", "too_long", false)
	wantProblem(t, slackfake.ValidateView(view(1, "", input)), "", "required", false)
	wantProblem(t, slackfake.ValidateView(view(1, `,"private_metadata":"`+x(3001)+`"`)), "/private_metadata", "too_long", false)
	wantProblem(t, slackfake.ValidateView(view(1, "", `{"type":"markdown","text":"a"}`)), "/blocks/0/type", "not_allowed_here", false)
	wantProblem(t, slackfake.ValidateView(view(1, "", times(101, `{"type":"divider"}`))), "/blocks", "too_many", false)
	wantProblem(t, slackfake.ValidateView([]byte(`{"type":"drawer"}`)), "/type", "unknown_type", false)
}

func TestBlocksValidateAnswersAsSlackDoes(t *testing.T) {
	f := newFixture(t)
	ask := func(args map[string]string) (answer struct {
		OK     bool                `json:"ok"`
		Error  string              `json:"error"`
		Errors []slackfake.Problem `json:"errors"`
	},
	) {
		t.Helper()
		body, err := json.Marshal(args)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(request(t, "POST", f.URL()+"blocks.validate", "application/json", string(body), "")), &answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if got := ask(map[string]string{"message": `{"blocks":[{"type":"divider"}]}`}); !got.OK {
		t.Fatalf("a message without text must pass here: %+v", got)
	}
	got := ask(map[string]string{"blocks": `[{"type":"section"}]`})
	if got.OK || got.Error != "invalid_blocks" || len(got.Errors) != 1 || got.Errors[0].Pointer != "/0" {
		t.Fatalf("answer %+v", got)
	}
	if got := ask(map[string]string{"view": `{"type":"modal"}`}); got.Error != "invalid_view" {
		t.Fatalf("answer %+v", got)
	}
	if got := ask(map[string]string{"view": `{}`, "message": `{}`}); got.Error != "invalid_arguments" {
		t.Fatalf("answer %+v", got)
	}
}

func TestMentionsAreFound(t *testing.T) {
	f := newFixture(t)
	body := `{"channel":"C0OPS","text":"<!here> &lt;!channel&gt; <@U1|x>","link_names":true,"blocks":[
		{"type":"section","text":{"type":"mrkdwn","text":"<!subteam^S1> http://bare.example ` + "`<!everyone>`" + `","verbatim":false}},
		{"type":"section","text":{"type":"plain_text","text":"<!channel> http://plain.example"}},
		{"type":"section","text":{"type":"mrkdwn","text":"http://quiet.example <#C1> <!date^1^{time}|now>","verbatim":true}},
		{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"broadcast","range":"here"},{"type":"user","user_id":"U2"},{"type":"text","text":"<!channel>"}]}]}]}`
	if answer := request(t, "POST", f.URL()+"chat.postMessage", "application/json", body, f.space.BotToken); !strings.Contains(answer, `"ok":true`) {
		t.Fatal(answer)
	}
	var got []string
	for _, m := range f.AllMentions() {
		got = append(got, fmt.Sprintf("%s %s %s", m.Pointer, m.Kind, m.Value))
	}
	want := []string{
		"/text broadcast here", "/text user U1",
		"/blocks/0/text/text usergroup S1", "/blocks/0/text/text broadcast everyone", "/blocks/0/text/text autolink http://bare.example",
		"/blocks/2/text/text channel C1",
		"/blocks/3/elements/0/elements/0 broadcast here", "/blocks/3/elements/0/elements/1 user U2",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("mentions:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
