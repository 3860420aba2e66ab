package netfilter

import (
	"encoding/json"
	"fmt"
	"strings"
)

// mangle reads a statement that changes the packet.
func (r *ruleReader) mangle(body any) {
	key, v := member(body, "key"), member(body, "value")
	kinds := kindsOf(key)
	r.needs(spaced(exprText(key, nil), "set", exprText(v, kinds[0])), key, v)
	switch {
	case word1(member(key, "meta"), "key") == "mark":
		r.effect(changeMark, markExpression(v))
	case word1(member(key, "meta"), "key") == "pkttype":
		r.effect(changeType, nil)
	case word1(member(key, "meta"), "key") == "broute":
		r.unknownAction("frames that are routed instead of bridged are not modelled")
	default:
		r.effect(rewrites(word1(member(key, "payload"), "protocol"), word1(member(key, "payload"), "field")), nil)
	}
}

// rewrites says what changes when a rule writes a field of a header.
func rewrites(proto, field string) change {
	switch {
	case proto == "ether" || proto == "vlan" || proto == "arp":
		return changeMAC
	case strings.HasPrefix(field, "s"):
		return changeSrc
	case strings.HasPrefix(field, "d") && field != "dscp":
		return changeDst
	default:
		return 0
	}
}

// markExpression reads what a mark is set to; nil when it depends on more than
// the mark it was.
func markExpression(x any) *markChange {
	if n, ok := integer(x); ok {
		return &markChange{flip: uint32(n & (1<<32 - 1))}
	}
	if word1(member(x, "meta"), "key") == "mark" {
		return &markChange{keep: ^uint32(0)}
	}
	operator, body := statementOf(x)
	sides, _ := body.([]any)
	if len(sides) != 2 {
		return nil
	}
	left := markExpression(sides[0])
	n, ok := integer(sides[1])
	if left == nil || !ok {
		return nil
	}
	bits := uint32(n & (1<<32 - 1))
	switch operator {
	case "&":
		return &markChange{left.keep & bits, left.flip & bits}
	case "|":
		return &markChange{left.keep &^ bits, left.flip | bits}
	case "^":
		return &markChange{left.keep, left.flip ^ bits}
	default:
		return nil
	}
}

// needs adds a statement that takes effect only if the packet has what it
// reads and the maps it looks into hold the keys: else the rule ends there.
func (r *ruleReader) needs(text string, expressions ...any) {
	for _, x := range expressions {
		switch key, body := statementOf(x); key {
		case "map":
			r.inMap(text, body)
		case "payload", "ct", "concat", "fib":
			r.implied(text, &hasCond{operandsOf(x)})
		default:
		}
	}
	r.word(text)
}

func (r *ruleReader) inMap(text string, body any) {
	operands := operandsOf(member(body, "key"))
	if set := rightSide(member(body, "data"), operands, r.table.sets); set != nil {
		r.implied(text, &lookupCond{lookup: lookup{operands: operands, set: set}})
		return
	}
	r.implied(text, &unknownCond{why: "the map is not in the listing", of: operands})
}

// implied adds a match that the rule's text does not show as one. A counter in
// front of it counts what came that far.
func (r *ruleReader) implied(text string, cond condition) {
	r.rule.Matches = append(r.rule.Matches, Match{text: text, cond: cond, implied: true})
}

func (r *ruleReader) unknownAction(why string) {
	r.add(r.spec[len(r.spec)-1], &unknownCond{why: why})
	r.doubted = true
}

// update reads a statement that adds to a set or deletes from it.
func (r *ruleReader) update(body any) {
	elem := member(body, "elem")
	key := keyOf(elem)
	name := word1(body, "set")
	if name == "" {
		name = word1(body, "map")
	}
	inner := exprText(key, nil)
	if e := member(elem, "elem"); e != nil {
		inner += elemNotes(e)
	}
	if data := member(body, "data"); data != nil {
		inner += " : " + exprText(data, nil)
	}
	stmts, _ := member(body, "stmt").([]any)
	for _, s := range stmts {
		inner += " " + statementText(s)
	}
	text := fmt.Sprintf("%s %s { %s }", word1(body, "op"), name, inner)
	set := r.table.sets[strings.TrimPrefix(name, "@")]
	switch {
	case len(stmts) > 0:
		r.unknown(text, "how much was counted for this packet's key is not known", operandsOf(key)...)
	case set == nil || set.full():
		r.unknown(text, "whether the set has room is not known", operandsOf(key)...)
	default:
		r.needs(text, key)
	}
	r.effect(changeSet, nil)
}

// statementText writes a statement inside of another.
func statementText(x any) string {
	r := &ruleReader{table: &Table{}, rule: &Rule{}}
	r.statement(x)
	return strings.Join(r.line, " ")
}

// compat reads what iptables-nft keeps: nft lists only the name of it.
func (r *ruleReader) compat(body any) {
	kind, name := word1(body, "type"), word1(body, "name")
	text := spaced("xt", kind, name)
	switch {
	case kind == "match" && name == "comment":
		r.word(text)
	case kind == "target":
		r.word(text)
		r.done = true
		r.rule.Target = Target{Name: name, Text: text, act: actOpaque, why: "nft does not show what this target does: list it with iptables-nft-save"}
	default:
		r.unknown(text, "nft does not show what this matches: list it with iptables-nft-save")
		r.doubted = r.doubted || kind != "match"
	}
}

func (r *ruleReader) snat(body any) { r.translate("snat", body, changeSrc) }

func (r *ruleReader) dnat(body any) { r.translate("dnat", body, changeDst) }

func (r *ruleReader) masquerade(body any) { r.translate("masquerade", body, changeSrc) }

func (r *ruleReader) redirect(body any) { r.translate("redirect", body, changeDst) }

// translate reads a nat statement: it accepts, with an address rewritten.
func (r *ruleReader) translate(name string, body any, bits change) {
	addr, port := member(body, "addr"), member(body, "port")
	family := word1(body, "family")
	text := spaced(name, family, destination(addr, port), strings.Join(stringsOf(member(body, "flags")), ","))
	switch family {
	case familyIP:
		r.implied(text, &hasCond{[]operand{rejects["icmp"]}})
	case familyIP6:
		r.implied(text, &hasCond{[]operand{rejects["icmpv6"]}})
	}
	r.needs(text, addr, port)
	r.done = true
	r.rule.Target = Target{Name: name, Text: text, act: actAccept, does: effect{bits: bits}}
}

// destination writes where a nat statement leads to.
func destination(addr, port any) string {
	if addr == nil && port == nil {
		return ""
	}
	text := "to "
	if addr != nil {
		host := exprText(addr, nil)
		if port != nil && strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		text += host
	}
	if port != nil {
		text += ":" + exprText(port, nil)
	}
	return text
}

func (r *ruleReader) synproxy(body any) {
	text := "synproxy"
	for _, option := range []string{"mss", "wscale"} {
		if v := member(body, option); v != nil {
			text += " " + option + " " + exprText(v, nil)
		}
	}
	r.unknown(spaced(text, strings.Join(stringsOf(member(body, "flags")), " ")), "what the SYN proxy does with the packet is not known")
	r.doubted = true
}

func (r *ruleReader) tproxy(body any) {
	r.unknown(spaced("tproxy", word1(body, "family"), destination(member(body, "addr"), member(body, "port"))),
		"whether a program listens there is not known")
}

// forward reads a statement that sends the frame out by another device.
func (r *ruleReader) forward(body any) {
	text := `fwd to "` + word1(body, "dev") + `"`
	if addr := member(body, "addr"); addr != nil {
		text = "fwd " + spaced(word1(body, "family"), "to", exprText(addr, nil), "device", kindName.quote(word1(body, "dev")))
	}
	r.end(Target{Name: "fwd", Text: text, act: actHandOff, why: "the frame leaves by another device here"})
}

func (r *ruleReader) duplicate(body any) {
	addr, dev := member(body, "addr"), word1(body, "dev")
	text := "dup to " + exprText(addr, nil)
	switch {
	case r.rule.Family == familyNetdev:
		text = "dup to " + exprText(addr, kindName)
	case dev != "":
		text += ` device "` + dev + `"`
	}
	r.needs(text, addr)
}

func (r *ruleReader) flow(body any) {
	r.word(spaced("flow", word1(body, "op"), word1(body, "flowtable")))
}

func (r *ruleReader) log(body any) {
	text := "log"
	for _, option := range []string{"prefix", "group", "snaplen", "queue-threshold", "level", "flags"} {
		switch v := member(body, option).(type) {
		case nil:
		case string:
			if option == "prefix" {
				v = `"` + v + `"`
			}
			text += " " + option + " " + v
		case []any:
			text += " " + option + " " + strings.Join(stringsOf(v), ",")
		default:
			text += " " + option + " " + exprText(v, nil)
		}
	}
	r.word(text)
}

func (r *ruleReader) last(any) { r.word("last") }

// assignment reads a statement that gives the connection or packet an object.
func assignment(name string) func(*ruleReader, any) {
	return func(r *ruleReader, body any) {
		s, _ := body.(string)
		r.word(name + ` set "` + s + `"`)
	}
}

// limitDefaultBurst is not listed.
const limitDefaultBurst = 5

func (r *ruleReader) limit(body any) {
	const why = "how much traffic there was lately is not known"
	if name, ok := body.(string); ok {
		r.unknown(`limit name "`+name+`"`, why)
		return
	}
	text := "limit rate "
	if inv, _ := member(body, "inv").(bool); inv {
		text += "over "
	}
	text += exprText(member(body, "rate"), nil)
	if unit := word1(body, "rate_unit"); unit != "" && unit != "packets" {
		text += " " + unit
	}
	text += "/" + word1(body, "per")
	unit := word1(body, "burst_unit")
	burst, ok := integer(member(body, "burst"))
	switch {
	case !ok || burst == 0:
	case unit != "" && unit != "packets":
		text += fmt.Sprintf(" burst %d %s", burst, unit)
	case burst != limitDefaultBurst:
		text += fmt.Sprintf(" burst %d packets", burst)
	}
	r.unknown(text, why)
}

func (r *ruleReader) quota(body any) {
	const why = "how much of the quota is used up is not known"
	if name, ok := body.(string); ok {
		r.unknown(`quota name "`+name+`"`, why)
		return
	}
	over := ""
	if inv, _ := member(body, "inv").(bool); inv {
		over = "over"
	}
	r.unknown(spaced("quota", over, exprText(member(body, "val"), nil), word1(body, "val_unit")), why)
}

func (r *ruleReader) connections(body any) {
	over := ""
	if inv, _ := member(body, "inv").(bool); inv {
		over = "over"
	}
	count := json.Number("0")
	if n, ok := member(body, "val").(json.Number); ok {
		count = n
	}
	r.unknown(spaced("ct count", over, count.String()), "how many connections there are is not known")
}
