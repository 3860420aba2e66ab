package netfilter

import (
	"errors"
	"fmt"
	"strings"
)

// parseSpec reads the words of r.Spec into matches and a target.
func parseSpec(d *dialect, r *Rule, table *Table) error {
	s := &specParser{d: d, words: splitWords(r.Spec), rule: r}
	for _, w := range s.words {
		r.Words = append(r.Words, w.text)
	}
	for s.at < len(s.words) {
		if err := s.option(); err != nil {
			return err
		}
	}
	r.Target.resolve(d, table)
	d.imply(r)
	return nil
}

// errCut reports an option whose value is missing: the line was cut.
var errCut = errors.New("the rule ends before its last option is complete")

type specParser struct {
	d     *dialect
	words []word
	at    int
	rule  *Rule

	module  string   // the match extension whose options follow
	modules []string // all that were named so far
	proto   string   // the protocol as listed: its options need no -m
	target  bool     // options now belong to the target

	// open is the place in rule.Matches, from 1, of the opaque match that takes
	// the options of its extension; 0 when there is none.
	open int
}

// coreOptions maps the spellings of iptables' own options to one.
var coreOptions = map[string]string{
	"-p": "-p", "--protocol": "-p", "--proto": "-p",
	"-s": "-s", "--source": "-s", "--src": "-s",
	"-d": "-d", "--destination": "-d", "--dst": "-d",
	"-i": "-i", "--in-interface": "-i",
	"-o": "-o", "--out-interface": "-o",
	"-f": "-f", "--fragment": "-f",
	"-m": "-m", "--match": "-m",
	"-j": "-j", "--jump": "-j",
	"-g": "-g", "--goto": "-g",
}

// option reads one option with its negation and its values.
func (s *specParser) option() error {
	start := s.at
	negated := false
	if w := s.words[s.at]; !w.quoted && w.text == "!" {
		negated = true
		if s.at++; s.at == len(s.words) {
			return errCut
		}
	}
	flag := s.words[s.at]
	s.at++
	if flag.quoted || !strings.HasPrefix(flag.text, "-") {
		s.unknown(start)
		return nil
	}
	if s.d.options != nil {
		return s.plainOption(start, flag.text, negated)
	}
	core := coreOptions[flag.text]
	switch core {
	case "-m":
		return s.extension(start, negated)
	case "-j", "-g":
		return s.jump(start, negated, core == "-g")
	case "":
		return s.extensionOption(start, flag.text, negated)
	default:
		return s.coreMatch(start, core, negated)
	}
}

// value takes the next word. The old order "-s ! 10.0.0.1" is read too.
func (s *specParser) value(negated *bool) (string, error) {
	if s.at < len(s.words) && s.words[s.at].text == "!" && !s.words[s.at].quoted && !*negated {
		*negated = true
		s.at++
	}
	if s.at == len(s.words) {
		return "", errCut
	}
	s.at++
	return s.words[s.at-1].text, nil
}

func (s *specParser) coreMatch(start int, core string, negated bool) error {
	var cond condition
	if core == "-f" {
		cond = fragmentCond{}
	} else {
		v, err := s.value(&negated)
		if err != nil {
			return err
		}
		if core == "-p" {
			s.proto = v
		}
		cond = coreCondition(core, v)
	}
	s.open, s.target = 0, false
	s.add(start, negated, cond)
	return nil
}

func coreCondition(core, v string) condition {
	switch core {
	case "-p":
		return parseProto(v)
	case "-s":
		return parseAddresses(v, true)
	case "-d":
		return parseAddresses(v, false)
	case "-i":
		return ifaceCond{pattern: v}
	default:
		return ifaceCond{pattern: v, out: true}
	}
}

// add appends the match that the words from start up to here spell. A nil
// condition is a value that is not understood.
func (s *specParser) add(start int, negated bool, cond condition) {
	m := Match{text: rawText(s.words[start:s.at]), negated: negated, cond: cond}
	if cond == nil {
		m.cond, m.negated = opaqueCond{}, false
	}
	s.rule.Matches = append(s.rule.Matches, m)
}

func (s *specParser) extension(start int, negated bool) error {
	if negated {
		s.unknown(start)
		return nil
	}
	name, err := s.value(&negated)
	if err != nil {
		return err
	}
	s.module, s.target, s.open = name, false, 0
	s.modules = append(s.modules, name)
	if !modelled[name] {
		s.add(start, false, nil)
		s.open = len(s.rule.Matches)
	}
	return nil
}

func (s *specParser) jump(start int, negated, isGoto bool) error {
	name, err := s.value(&negated)
	if err != nil {
		return err
	}
	if negated || s.rule.Target.Name != "" {
		return fmt.Errorf("a rule has one target, this names another: %s", printable(name))
	}
	s.rule.Target = Target{Name: name, Goto: isGoto, words: s.words[start:s.at:s.at]}
	s.target = true
	return nil
}

// plainOption reads an option of a program that names no extensions.
func (s *specParser) plainOption(start int, flag string, negated bool) error {
	if flag == "-j" {
		return s.jump(start, negated, false)
	}
	if read, ok := s.d.options[flag]; ok {
		return s.read(&read, start, negated)
	}
	s.unknown(start)
	s.open = 0
	return nil
}

// extensionOption reads an option that belongs to the target or to a match
// extension.
func (s *specParser) extensionOption(start int, flag string, negated bool) error {
	if !s.target {
		if build := s.builder(flag); build != nil {
			return s.read(build, start, negated)
		}
	}
	if valueFollows[flag] {
		if s.at == len(s.words) {
			return errCut
		}
		s.at++
	}
	s.unknown(start)
	return nil
}

// read makes a match of an option and the values after it.
func (s *specParser) read(build *optionReader, start int, negated bool) error {
	var values []string
	for range build.values {
		v, err := s.value(&negated)
		if err != nil {
			return err
		}
		values = append(values, v)
	}
	s.open = 0
	s.add(start, negated, build.condition(values, negated))
	if build.ownNegation {
		s.rule.Matches[len(s.rule.Matches)-1].negated = false
	}
	return nil
}

// builder finds the reader of an option among the extensions of the rule: the
// last one named first, and the protocol's own, which needs no -m.
func (s *specParser) builder(flag string) *optionReader {
	if b, ok := optionReaders[s.module+" "+flag]; ok {
		return &b
	}
	for _, m := range s.modules {
		if b, ok := optionReaders[m+" "+flag]; ok {
			return &b
		}
	}
	if b, ok := optionReaders[s.proto+" "+flag]; ok {
		return &b
	}
	return nil
}

// valueFollows lists options, of extensions that are not modelled, whose value
// may itself look like an option.
var valueFollows = map[string]bool{
	"--log-prefix": true, "--nflog-prefix": true, "--string": true, "--hex-string": true,
	"--name": true, "--hashlimit-name": true, "--u32": true, "--bytecode": true, "--path": true,
}

// unknown keeps an option that is not modelled, with the values after it: as
// part of the target, or as a match whose answer is Unknown.
func (s *specParser) unknown(start int) {
	for s.at < len(s.words) {
		w := s.words[s.at]
		if !w.quoted && (w.text == "!" || strings.HasPrefix(w.text, "-")) {
			break
		}
		s.at++
	}
	if s.target {
		s.rule.Target.words = append(s.rule.Target.words, s.words[start:s.at]...)
		return
	}
	if s.open == 0 {
		s.add(start, false, nil)
		s.open = len(s.rule.Matches)
		return
	}
	m := &s.rule.Matches[s.open-1]
	m.text += " " + rawText(s.words[start:s.at])
}
