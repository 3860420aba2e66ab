package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// document reads the YAML text. The tree is walked by hand rather than decoded
// into structs, because a decoder stops at its first error and keeps no places.
func (l *loader) document(src []byte) {
	src = bytes.TrimPrefix(src, []byte("\ufeff")) // a byte order mark would become part of the first key
	tree, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		l.syntax(src, err)
		return
	}
	l.readable = true
	var docs []*ast.DocumentNode
	for _, d := range tree.Docs {
		if d.Body != nil && d.Body.Type() != ast.CommentType {
			docs = append(docs, d)
		}
	}
	if len(docs) == 0 {
		l.readable = false // else every required key would be missing too
		l.add(Problem{Line: 1, Column: 1, What: "is empty", Cure: "start from whybot.example.yaml"})
		return
	}
	root, ok := docs[0].Body.(ast.MapNode)
	if !ok {
		l.readable = false
		at := placeOf(docs[0].Body)
		l.add(Problem{
			Line: at.line, Column: at.column, What: "is " + nameOf(docs[0].Body) + ", not sections with keys",
			Cure: "start from whybot.example.yaml",
		})
		return
	}
	l.section("", root)
	if len(docs) > 1 {
		at := placeOf(docs[1].Body)
		l.add(Problem{
			Line: at.line, Column: at.column, What: "a second document begins",
			Cure: "keep one document a file: remove the --- and what follows",
		})
	}
}

// syntax reports text that is not YAML. The parser's own words are kept to
// those that quote nothing from the file, which may hold a misplaced secret.
func (l *loader) syntax(src []byte, err error) {
	if l.tabs(src) {
		return
	}
	p := Problem{Line: 1, Column: 1, What: "is not YAML", Cure: "check the quotes, brackets and indentation there"}
	if syntax, ok := errors.AsType[yaml.Error](err); ok && syntax.GetToken() != nil {
		at := syntax.GetToken().Position
		p.Line, p.Column = at.Line, at.Column
		if m := syntax.GetMessage(); !strings.ContainsAny(m, `"`) {
			p.What = "is not YAML: " + m
		}
	}
	l.add(p)
}

// tabs reports every line that is indented with a tab, and whether there is one.
func (l *loader) tabs(src []byte) bool {
	found := false
	for i, line := range bytes.Split(src, []byte("\n")) {
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if column := bytes.IndexByte(indent, '\t'); column >= 0 {
			found = true
			l.add(Problem{Line: i + 1, Column: column + 1, What: "a tab in the indentation", Cure: "indent with spaces"})
		}
	}
	return found
}

// section reads the keys of a mapping.
func (l *loader) section(prefix string, m ast.MapNode) {
	for it := m.MapRange(); it.Next(); {
		at := placeOf(it.Key())
		name, ok := it.Key().(*ast.StringNode)
		if !ok {
			l.blameAt(at, prefix, fault{"a key that is not plain text", "write name: value"})
			continue
		}
		if strings.Contains(name.Value, ".") {
			l.blameAt(at, printable(name.Value), fault{"a key with a dot in it", "indent the last word under the section's name"})
			continue
		}
		path := strings.TrimPrefix(prefix+"."+name.Value, ".")
		if first, twice := l.places[path]; twice {
			l.blameAt(at, path, fault{fmt.Sprintf("is given twice, first in line %d", first.line), "keep one"})
			continue
		}
		l.key(path, at, it.Value())
	}
}

// key reads one key and its value.
func (l *loader) key(path string, at place, value ast.Node) {
	if f := l.learn(path, at); f != nil {
		l.broken[path] = true
		l.blameAt(at, printable(path), *f)
		return
	}
	_, known := l.settings[path]
	known = known || slices.Contains(l.sections, path)
	if !known {
		l.broken[path] = true
		l.blameAt(at, printable(path), l.unknown(path))
		return
	}
	l.places[path] = at
	switch value.(type) {
	case nil, *ast.NullNode:
		l.blame(path, fault{"has no value", "give it one or remove the line"})
		return
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		l.places[path] = placeOf(value)
		l.blame(path, fault{"uses a YAML anchor, alias or tag", "write the value out"})
		return
	}
	if slices.Contains(l.sections, path) {
		if m, ok := value.(ast.MapNode); ok {
			l.section(path, m)
			return
		}
		l.blame(path, fault{fmt.Sprintf("is %s, not a section", nameOf(value)), "indent its keys under it"})
		return
	}
	l.places[path] = placeOf(value)
	l.value(l.settings[path], value)
}

// value hands a node to the setting it is for.
func (l *loader) value(s setting, node ast.Node) {
	if seq, ok := node.(*ast.SequenceNode); ok && s.many != nil {
		l.list(s, seq)
		return
	}
	got, ok := scalar(node)
	if !ok || s.one == nil || !fits(s.shape, node) {
		l.blame(s.path, misfit(s, node))
		return
	}
	l.take(s, got)
}

// list hands the elements of a sequence to a setting.
func (l *loader) list(s setting, seq *ast.SequenceNode) {
	var values []string
	for _, node := range seq.Values {
		v, f := element(s, node, values)
		if f != nil {
			l.broken[s.path] = true
			l.blameAt(placeOf(node), s.path, *f)
			continue
		}
		values = append(values, v)
	}
	if l.broken[s.path] {
		return
	}
	if f := s.many(values); f != nil {
		l.blame(s.path, *f)
	}
}

// element reads one element of a list; before are those ahead of it.
func element(s setting, node ast.Node, before []string) (string, *fault) {
	v, ok := scalar(node)
	switch {
	case !ok || !fits(text, node):
		return "", &fault{"has an element that is " + nameOf(node) + ", not text", "put quotes around it if it is meant as text"}
	case looksLikeSecret(v):
		return "", &fault{"has an element that looks like a secret", "remove it"}
	case slices.Contains(before, v):
		return "", &fault{fmt.Sprintf("has %q twice", v), "keep one"}
	}
	return v, s.item(v)
}

// scalar returns the text of a node that holds one value.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimRight(n.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return node.GetToken().Value, true
	}
	return "", false
}

// fits reports whether a node is of the YAML type that the shape asks for: "64"
// in quotes is not a number, and 5 is not a duration.
func fits(want shape, node ast.Node) bool {
	switch node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return want == text || want == duration
	case *ast.IntegerNode:
		return want == number
	case *ast.BoolNode:
		return want == boolean
	}
	return false
}

// misfit says that a node is not of the type that a setting takes.
func misfit(s setting, node ast.Node) fault {
	f := fault{what: fmt.Sprintf("is %s, not %s", nameOf(node), s.shape), cure: "write " + string(s.shape)}
	_, single := scalar(node)
	switch {
	case s.shape == list:
		f.cure = "write it as a list: [a, b]"
	case s.shape == text && single:
		f.cure = "put quotes around it if it is meant as text"
	case s.shape == text:
		f.cure = "write one value"
	case s.shape == duration && node.Type() == ast.IntegerType:
		f.cure = "add the unit: " + node.GetToken().Value + "s for seconds"
	case s.shape == number && node.Type() == ast.StringType:
		f.cure = "write a whole number without quotes"
	}
	return f
}

// nameOf says what a node is, in words for a person.
func nameOf(node ast.Node) string {
	switch node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "a true/false value"
	case *ast.NullNode:
		return "nothing"
	case *ast.SequenceNode:
		return "a list"
	case ast.MapNode:
		return "a section"
	}
	return "a YAML anchor, alias or tag"
}

func placeOf(node ast.Node) place {
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		node = m.Values[0].Key // a block mapping's own token is its first colon
	}
	var t *token.Token
	if node != nil {
		t = node.GetToken()
	}
	if t == nil || t.Position == nil {
		return place{line: 1, column: 1}
	}
	return place{line: t.Position.Line, column: t.Position.Column}
}
