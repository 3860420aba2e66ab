package netfilter

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// What is in this file writes expressions the way "nft list ruleset" prints
// them: the text is shown as evidence beside what an operator sees there.

// exprText writes an expression; k is the kind of its values, nil when it has
// none.
func exprText(x any, k *kind) string {
	switch x := x.(type) {
	case string:
		return k.quote(x)
	case json.Number:
		return k.numeral(x)
	case bool:
		if x {
			return "exists"
		}
		return "missing"
	case []any:
		return listText(x, k, ",")
	case map[string]any:
		return objectText(x, k)
	default:
		return jsonText(x)
	}
}

func (k *kind) quote(s string) string {
	if k == nil || !k.quoted || strings.HasPrefix(s, "@") || s == "*" {
		return s
	}
	return `"` + s + `"`
}

func (k *kind) numeral(n json.Number) string {
	v, err := strconv.ParseUint(n.String(), 10, 64)
	switch {
	case err != nil || k == nil:
		return n.String()
	case k.digits > 0:
		return showHex(k.digits)(number(v))
	case k == kindSeconds:
		return seconds(v)
	default:
		return n.String()
	}
}

// seconds writes a time as nft does.
func seconds(n uint64) string {
	var b strings.Builder
	for _, unit := range []struct {
		name string
		of   uint64
	}{{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}} {
		if n >= unit.of {
			fmt.Fprintf(&b, "%d%s", n/unit.of, unit.name)
			n %= unit.of
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

func jsonText(x any) string {
	b, err := json.Marshal(x)
	if err != nil {
		return "?"
	}
	return string(b)
}

func listText(list []any, k *kind, separator string) string {
	parts := make([]string, len(list))
	for i, x := range list {
		parts[i] = exprText(x, k)
	}
	return strings.Join(parts, separator)
}

// kindsOf are the kinds of a key's parts.
func kindsOf(key any) []*kind {
	operands := operandsOf(key)
	kinds := make([]*kind, len(operands))
	for i, o := range operands {
		kinds[i] = o.sel.kind
	}
	return kinds
}

// expressionWriters are the writers of expressions by name. They are made on
// first use: an expression holds others.
var (
	expressionWriters map[string]func(any, *kind) string
	makeWriters       sync.Once
)

func writers() map[string]func(any, *kind) string {
	return map[string]func(any, *kind) string{
		"meta":    func(b any, _ *kind) string { return metaSelector(word1(b, "key")).text },
		"payload": func(b any, _ *kind) string { return payloadText(b) },
		"ct":      func(b any, _ *kind) string { return ctSelector(word1(b, "key"), word1(b, "dir")).text },
		"fib": func(b any, _ *kind) string {
			return fibSelector(word1(b, "result"), stringsOf(member(b, "flags"))).text
		},
		"rt":         func(b any, _ *kind) string { return spaced("rt", word1(b, "family"), word1(b, "key")) },
		"socket":     func(b any, _ *kind) string { return "socket " + word1(b, "key") },
		"osf":        func(b any, _ *kind) string { return "osf " + word1(b, "key") },
		"exthdr":     func(b any, _ *kind) string { return exthdrText(b) },
		"tcp option": func(b any, _ *kind) string { return spaced("tcp option", word1(b, "name"), word1(b, "field")) },
		"numgen":     func(b any, _ *kind) string { return spaced("numgen", word1(b, "mode")) + modText(b) },
		"symhash":    func(b any, _ *kind) string { return "symhash" + modText(b) },
		"jhash":      func(b any, _ *kind) string { return jhashText(b) },
		"range":      func(b any, k *kind) string { return joined(b, k, "-") },
		"|":          func(b any, k *kind) string { return joined(b, k, " | ") },
		"&":          func(b any, k *kind) string { return joined(b, k, " & ") },
		"^":          func(b any, k *kind) string { return joined(b, k, " ^ ") },
		"<<":         func(b any, k *kind) string { return joined(b, k, " << ") },
		">>":         func(b any, k *kind) string { return joined(b, k, " >> ") },
		"concat":     func(b any, k *kind) string { return joined(b, k, " . ") },
		"prefix": func(b any, k *kind) string {
			return exprText(member(b, "addr"), k) + "/" + exprText(member(b, "len"), nil)
		},
		"set":      func(b any, k *kind) string { return setText(b, []*kind{k}) },
		"elem":     func(b any, k *kind) string { return elemText(b, k) },
		"map":      func(b any, _ *kind) string { return mapText(b, "map") },
		"jump":     func(b any, _ *kind) string { return "jump " + word1(b, "target") },
		"goto":     func(b any, _ *kind) string { return "goto " + word1(b, "target") },
		"accept":   func(any, *kind) string { return "accept" },
		"drop":     func(any, *kind) string { return "drop" },
		"return":   func(any, *kind) string { return "return" },
		"continue": func(any, *kind) string { return "continue" },
	}
}

func objectText(m map[string]any, k *kind) string {
	makeWriters.Do(func() { expressionWriters = writers() })
	key, body := statementOf(m)
	if write := expressionWriters[key]; write != nil {
		return write(body, k)
	}
	return jsonText(m)
}

// member takes a member out of an object.
func member(x any, key string) any {
	m, _ := x.(map[string]any)
	return m[key]
}

// word1 takes a string out of an object.
func word1(x any, key string) string {
	s, _ := member(x, key).(string)
	return s
}

// spaced joins the words that are not empty.
func spaced(words ...string) string {
	kept := words[:0:0]
	for _, w := range words {
		if w != "" {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, " ")
}

func joined(x any, k *kind, separator string) string {
	list, _ := x.([]any)
	return listText(list, k, separator)
}

func payloadText(b any) string {
	if base := word1(b, "base"); base != "" {
		return fmt.Sprintf("@%s,%s,%s", base, exprText(member(b, "offset"), nil), exprText(member(b, "len"), nil))
	}
	return spaced(word1(b, "protocol"), word1(b, "field"))
}

func exthdrText(b any) string {
	if field := word1(b, "field"); field != "" {
		return spaced(word1(b, "name"), field)
	}
	return "exthdr " + word1(b, "name")
}

func modText(b any) string {
	s := " mod " + exprText(member(b, "mod"), nil)
	if offset, ok := integer(member(b, "offset")); ok && offset != 0 {
		s += fmt.Sprintf(" offset %d", offset)
	}
	return s
}

func jhashText(b any) string {
	s := "jhash " + exprText(member(b, "expr"), nil) + " mod " + exprText(member(b, "mod"), nil)
	if seed, ok := integer(member(b, "seed")); ok {
		s += fmt.Sprintf(" seed 0x%x", seed)
	}
	return s
}

// setText writes an anonymous set, whose keys have the given kinds, or the name
// of a set.
func setText(x any, kinds []*kind) string {
	if name, ok := x.(string); ok {
		return name
	}
	if s, ok := member(x, "set").([]any); ok {
		x = s
	}
	list, _ := x.([]any)
	parts := make([]string, len(list))
	for i, e := range list {
		if pair, ok := e.([]any); ok && len(pair) == 2 {
			parts[i] = keyText(pair[0], kinds) + " : " + exprText(pair[1], nil)
			continue
		}
		parts[i] = keyText(e, kinds)
	}
	if len(parts) == 0 {
		return "{ }"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// keyText writes the key of an element, part by part.
func keyText(x any, kinds []*kind) string {
	if e := member(x, "elem"); e != nil {
		return keyText(member(e, "val"), kinds) + elemNotes(e)
	}
	parts, ok := member(x, "concat").([]any)
	if !ok || len(parts) != len(kinds) {
		return exprText(x, kinds[0])
	}
	words := make([]string, len(parts))
	for i, p := range parts {
		words[i] = exprText(p, kinds[i])
	}
	return strings.Join(words, " . ")
}

func elemText(b any, k *kind) string { return exprText(member(b, "val"), k) + elemNotes(b) }

func elemNotes(b any) string {
	var s string
	for _, note := range []string{"timeout", "expires"} {
		if n, ok := integer(member(b, note)); ok {
			s += " " + note + " " + seconds(n)
		}
	}
	if c := word1(b, "comment"); c != "" {
		s += ` comment "` + c + `"`
	}
	return s
}

// mapText writes a lookup in a map.
func mapText(b any, word string) string {
	key := member(b, "key")
	return exprText(key, nil) + " " + word + " " + setText(member(b, "data"), kindsOf(key))
}

// matchText writes a comparison.
func matchText(b any) string {
	left, right, op := member(b, "left"), member(b, "right"), word1(b, "op")
	kinds := kindsOf(left)
	if masked, ok := member(left, "&").([]any); ok && len(masked) == 2 && kinds[0] == kindTCPFlags {
		not := ""
		if op == "!=" {
			not = "!= "
		}
		return exprText(masked[0], nil) + " " + not + flagsText(right) + " / " + flagsText(masked[1])
	}
	words := []string{exprText(left, kinds[0])}
	_, binary := left.(map[string]any)
	binary = binary && (member(left, "&") != nil || member(left, "|") != nil || member(left, "^") != nil)
	if op != "in" && (op != "==" || binary) {
		words = append(words, op)
	}
	switch list, ok := right.([]any); {
	case ok && op == "!=":
		words = append(words, listText(list, kinds[0], " | "))
	case member(right, "set") != nil:
		words = append(words, setText(right, kinds))
	default:
		words = append(words, keyText(right, kinds))
	}
	return strings.Join(words, " ")
}

// flagsText writes TCP flags that belong together.
func flagsText(x any) string {
	if list, ok := member(x, "|").([]any); ok {
		x = list
	}
	return exprText(x, kindTCPFlags)
}
