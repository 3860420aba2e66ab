package netfilter

import (
	"fmt"
	"strings"
	"sync"
)

// A ruleReader reads the statements of one rule.
type ruleReader struct {
	table *Table
	rule  *Rule
	// spec and line are the rule's words, without and with what counters say.
	spec, line []string
	// short is without counters at all.
	short []string
	// done says that a verdict was read: the rule goes no further.
	done bool
	// doubted says that a statement may have ended the rule in a way that is
	// not known.
	doubted bool
}

// readRule reads a rule. What is not understood in it is kept as Unknown.
func readRule(o *nftRuleObject, t *Table, index int) *Rule {
	r := &ruleReader{table: t, rule: &Rule{
		Family: o.Family, Table: o.Table, Chain: o.Chain, Handle: max(1, o.Handle), Index: index,
	}}
	for _, x := range o.Expr {
		r.statement(x)
	}
	r.rule.short = strings.Join(r.short, " ")
	if o.Comment != "" {
		r.word(`comment "` + o.Comment + `"`)
	}
	if !r.done && r.doubted {
		r.rule.Target = Target{act: actOpaque, Text: "the statement above", why: "what comes of a statement in this rule is not known"}
	}
	r.rule.Spec = strings.Join(r.spec, " ")
	r.rule.line = fmt.Sprintf("%s # handle %d", strings.Join(r.line, " "), o.Handle)
	for _, w := range splitWords(r.rule.Spec) {
		r.rule.Words = append(r.rule.Words, w.text)
	}
	return r.rule
}

func (r *ruleReader) word(s string) {
	r.spec = append(r.spec, s)
	r.short = append(r.short, s)
	r.line = append(r.line, s)
}

// statementReaders are the readers of statements by name. They are made on
// first use: a statement may hold others.
var (
	statementReaders map[string]func(*ruleReader, any)
	makeReaders      sync.Once
)

func statements() map[string]func(*ruleReader, any) {
	return map[string]func(*ruleReader, any){
		"match": (*ruleReader).match, "vmap": (*ruleReader).vmap, "counter": (*ruleReader).counter,
		"accept": verdict("accept", actAccept), "drop": verdict("drop", actDrop), "return": verdict("return", actReturn),
		"continue": verdict("continue", actNothing), "reject": (*ruleReader).reject, "queue": (*ruleReader).queue,
		"jump": (*ruleReader).jump, "goto": (*ruleReader).jumpNoReturn,
		"mangle": (*ruleReader).mangle, "notrack": (*ruleReader).notrack,
		"set": (*ruleReader).update, "map": (*ruleReader).update, "xt": (*ruleReader).compat,
		"snat": (*ruleReader).snat, "dnat": (*ruleReader).dnat, "masquerade": (*ruleReader).masquerade,
		"redirect": (*ruleReader).redirect, "fwd": (*ruleReader).forward, "dup": (*ruleReader).duplicate,
		"log": (*ruleReader).log, "flow": (*ruleReader).flow, "limit": (*ruleReader).limit, "quota": (*ruleReader).quota,
		"ct count": (*ruleReader).connections, "tproxy": (*ruleReader).tproxy, "synproxy": (*ruleReader).synproxy,
		"ct helper": assignment("ct helper"), "ct timeout": assignment("ct timeout"), "ct expectation": assignment("ct expectation"),
		"secmark": assignment("meta secmark"), "last": (*ruleReader).last,
	}
}

func (r *ruleReader) statement(x any) {
	makeReaders.Do(func() { statementReaders = statements() })
	key, body := statementOf(x)
	if read := statementReaders[key]; read != nil {
		read(r, body)
		return
	}
	r.unknown(spaced(key, jsonText(body)), "this statement is not modelled")
	r.doubted = true
}

// unknown adds a match of which it is not known whether it matches.
func (r *ruleReader) unknown(text, why string, of ...operand) {
	r.word(text)
	r.add(text, &unknownCond{why: why, of: of})
}

func (r *ruleReader) add(text string, cond condition) {
	r.rule.Matches = append(r.rule.Matches, Match{text: text, cond: cond})
	// A counter in front of a match counts more than the rule matches.
	r.rule.Counted, r.rule.Packets, r.rule.Bytes = false, 0, 0
}

// effect adds something that the rule does to a packet at this place.
func (r *ruleReader) effect(bits change, mark *markChange) {
	r.rule.effects = append(r.rule.effects, effect{after: len(r.rule.Matches), bits: bits, mark: mark})
}

func (r *ruleReader) match(body any) {
	text := matchText(body)
	left := member(body, "left")
	cond := conditionOf(word1(body, "op"), left, member(body, "right"), r.table.sets)
	if cond == nil {
		r.unknown(text, "this comparison is not modelled", operandsOf(left)...)
		return
	}
	r.word(text)
	if word1(body, "op") == "!=" && isPlainPayload(left, member(body, "right")) {
		cond = r.mergeable(cond)
		if both, ok := cond.(*unequalRun); ok && len(both.parts) > 1 {
			last := &r.rule.Matches[len(r.rule.Matches)-1]
			last.text, last.cond = last.text+" "+text, both
			return
		}
	}
	r.add(text, cond)
}

func (r *ruleReader) counter(body any) {
	if name, ok := body.(string); ok {
		r.word(`counter name "` + name + `"`)
		return
	}
	packets, ok1 := integer(member(body, "packets"))
	bytes, ok2 := integer(member(body, "bytes"))
	r.spec = append(r.spec, "counter")
	if !ok1 || !ok2 {
		r.line = append(r.line, "counter")
		return
	}
	r.line = append(r.line, fmt.Sprintf("counter packets %d bytes %d", packets, bytes))
	r.rule.Counted, r.rule.Packets, r.rule.Bytes = true, packets, bytes
}

// end gives the rule its verdict.
func (r *ruleReader) end(t Target) {
	r.word(t.Text)
	r.done = true
	r.rule.Target = t
}

func verdict(name string, act action) func(*ruleReader, any) {
	return func(r *ruleReader, _ any) { r.end(Target{Name: name, Text: name, act: act}) }
}

func (r *ruleReader) jump(body any) { r.end(r.table.jump(body, false)) }

func (r *ruleReader) jumpNoReturn(body any) { r.end(r.table.jump(body, true)) }

// jump reads where a jump leads to.
func (t *Table) jump(body any, isGoto bool) Target {
	name := word1(body, "target")
	target := Target{Name: name, Goto: isGoto, Chain: t.byName[name], Text: "jump " + name, act: actCall}
	if isGoto {
		target.Text = "goto " + name
	}
	if target.Chain == nil {
		target.act, target.why = actOpaque, "the chain is not in the listing"
	}
	return target
}

func (r *ruleReader) vmap(body any) {
	key := member(body, "key")
	data := member(body, "data")
	text := mapText(body, "vmap")
	operands := operandsOf(key)
	set := rightSide(data, operands, r.table.sets)
	pairs := member(data, "set")
	if name, ok := data.(string); ok && set != nil {
		pairs = r.table.sets[strings.TrimPrefix(name, "@")].elems
	}
	list, ok := pairs.([]any)
	if set == nil || !ok || len(list) != len(set.elems) {
		r.end(Target{Text: text, act: actOpaque, why: "the verdict map is not in the listing"})
		return
	}
	cases := &verdictMap{key: &lookup{operands: operands, set: set}}
	for _, x := range list {
		cases.targets = append(cases.targets, r.table.verdictOf(x))
	}
	r.word(text)
	r.implied(text, &lookupCond{lookup: *cases.key})
	cases.match = &Match{text: text, cond: &lookupCond{lookup: *cases.key}}
	r.done = true
	r.rule.Target = Target{Name: "vmap", Text: text, act: actMap, cases: cases}
}

// verdictOf reads the verdict of a map's element.
func (t *Table) verdictOf(x any) *Target {
	pair, ok := x.([]any)
	if !ok || len(pair) != 2 {
		return &Target{Text: jsonText(x), act: actOpaque, why: "the verdict is not understood"}
	}
	name, body := statementOf(pair[1])
	target := Target{Name: name, Text: name}
	switch name {
	case "accept":
		target.act = actAccept
	case "drop":
		target.act = actDrop
	case "return":
		target.act = actReturn
	case "continue":
	case "queue":
		target.act = actHandOff
	case "jump", "goto":
		target = t.jump(body, name == "goto")
	default:
		target = Target{Text: jsonText(pair[1]), act: actOpaque, why: "the verdict is not understood"}
	}
	return &target
}

// rejects says which packets a rejection of a kind is for: nft checks it by
// matches that it does not list.
var rejects = map[string]operand{
	"icmp": {sel: payloadSelector("ip", "version")}, "icmpv6": {sel: payloadSelector("ip6", "version")},
	"tcp reset": {sel: payloadSelector("tcp", "flags")},
}

func (r *ruleReader) reject(body any) {
	kind, code := word1(body, "type"), word1(body, "expr")
	text := spaced("reject with", kind, code)
	family := r.rule.Family
	if kind == "" || code == "port-unreachable" && (kind == "icmpx" || kind == "icmp" && family == familyIP || kind == "icmpv6" && family == familyIP6) {
		text = "reject"
	}
	if o, ok := rejects[kind]; ok {
		r.implied(text, &hasCond{[]operand{o}})
	}
	r.end(Target{Name: "reject", Text: text, act: actReject})
}

func (r *ruleReader) queue(body any) {
	text := "queue"
	if flags := stringsOf(member(body, "flags")); len(flags) > 0 {
		text += " flags " + strings.Join(flags, ",")
	}
	if num := member(body, "num"); num != nil {
		text += " to " + exprText(num, nil)
	}
	r.end(Target{Name: "queue", Text: text, act: actHandOff})
}

func (r *ruleReader) notrack(any) {
	r.word("notrack")
	r.effect(changeCT, nil)
}
