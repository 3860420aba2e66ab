package commandstest

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"whybot/commands"
)

// A Fixture is a small world and what whybot must say of it.
type Fixture struct {
	// Comment is what stands above the first section.
	Comment string

	path     string
	archive  *archive // its own sections, as in the file
	cloud    cloudFacts
	down     map[string]string            // node -> name of the failure
	now      map[string]map[string]string // node -> probe -> section
	after    map[string]map[string]string // the same, after the packet stage
	captures []captureSection             // the last that fits counts
	question string
	kind     commands.Kind // of the question; empty for one about DHCP
	options  []string
	want     []string
}

// Load reads the fixture at file over the base at base.
func Load(base, file string) (*Fixture, error) {
	below, err := readArchive(base)
	if err != nil {
		return nil, err
	}
	own, err := readArchive(file)
	if err != nil {
		return nil, err
	}
	f := &Fixture{
		Comment: strings.TrimSpace(own.comment), path: file, archive: own, cloud: cloudFacts{},
		down: map[string]string{}, now: map[string]map[string]string{}, after: map[string]map[string]string{},
	}
	between, err := own.bases(filepath.Dir(base))
	if err != nil {
		return nil, err
	}
	for _, a := range slices.Concat([]*archive{below}, between, []*archive{own}) {
		for _, s := range a.sections {
			if err := f.Set(s.name, s.text); err != nil {
				return nil, fmt.Errorf("%s: section %s: %w", file, s.name, err)
			}
		}
	}
	return f, nil
}

// Nodes returns the nodes the fixture knows, sorted.
func (f *Fixture) Nodes() []string { return slices.Sorted(maps.Keys(f.now)) }

// Probes returns the names of the probes that nodeName answers, sorted.
func (f *Fixture) Probes(nodeName string) []string { return slices.Sorted(maps.Keys(f.now[nodeName])) }

// Set changes the fixture as if the section stood at its end.
func (f *Fixture) Set(name, text string) error {
	kind, rest, _ := strings.Cut(name, "/")
	nodeName, what, _ := strings.Cut(rest, "/")
	switch kind {
	case "over": // has been read
	case "cloud":
		return f.cloud.merge(text)
	case "question":
		f.question = strings.TrimSpace(text)
	case "kind":
		f.kind = commands.Kind(strings.TrimSpace(text))
	case "options":
		f.options = strings.Fields(text)
	case "want":
		f.want = lines(text)
	case "node":
		return f.setNode(nodeName, text)
	case "probe", "change", "probe2", "change2":
		return f.setProbe(kind, nodeName, what, text)
	case "capture":
		section, err := parseCapture(nodeName, what, text)
		f.captures = append(f.captures, section)
		return err
	default:
		return fmt.Errorf("no section is called that")
	}
	return nil
}

// setProbe sets or edits what a probe prints, at first or afterwards.
func (f *Fixture) setProbe(kind, nodeName, probe, text string) error {
	target := f.now
	if strings.HasSuffix(kind, "2") {
		target = f.after
	}
	if strings.HasPrefix(kind, "change") {
		before, ok := f.now[nodeName][probe]
		if !ok {
			return fmt.Errorf("there is no such probe to change")
		}
		var err error
		if text, err = edit(before, text); err != nil {
			return err
		}
	}
	if _, err := parseReply(text); err != nil {
		return err
	}
	if target[nodeName] == nil {
		target[nodeName] = map[string]string{}
	}
	target[nodeName][probe] = text
	return nil
}

// setNode makes a node fail as a whole, or makes one like another.
func (f *Fixture) setNode(nodeName, text string) error {
	first, edits, _ := strings.Cut(text, "\n")
	key, value, _ := strings.Cut(first, ": ")
	switch key {
	case "error":
		_, err := parseKind(value)
		f.down[nodeName] = value
		return err
	case "like":
		f.now[nodeName] = map[string]string{}
		for probe, body := range f.now[value] {
			for line := range strings.Lines(edits) {
				before, after, ok := strings.Cut(strings.TrimSpace(line), " => ")
				if !ok {
					return fmt.Errorf("%q has no =>", line)
				}
				body = strings.ReplaceAll(body, before, after)
			}
			f.now[nodeName][probe] = body
		}
		return nil
	}
	return fmt.Errorf("it says neither error nor like")
}

// answer returns what a probe on a node comes to, and whether the fixture says.
func (f *Fixture) answer(nodeName, probe string, after bool) (reply, bool, error) {
	text, ok := f.after[nodeName][probe]
	if !after || !ok {
		text, ok = f.now[nodeName][probe]
	}
	r, err := parseReply(text)
	return r, ok, err
}

// capture returns the section for a hop, and whether the fixture has one.
func (f *Fixture) capture(nodeName, device string) (captureSection, bool) {
	for _, s := range slices.Backward(f.captures) {
		if matches(s.node, nodeName) && matches(s.device, device) {
			return s, true
		}
	}
	return captureSection{}, false
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// has reports whether an option is set.
func (f *Fixture) has(option string) bool { return slices.Contains(f.options, option) }

// Rewrite puts want into the fixture's file.
func (f *Fixture) Rewrite(want []string) error {
	text := strings.Join(want, "\n") + "\n"
	at := slices.IndexFunc(f.archive.sections, func(s section) bool { return s.name == "want" })
	if at < 0 {
		f.archive.sections = append(f.archive.sections, section{name: "want", text: text})
	} else {
		f.archive.sections[at].text = text
	}
	return os.WriteFile(f.path, []byte(f.archive.String()), 0o600)
}

// lines returns the lines of text that are not empty.
func lines(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
}
