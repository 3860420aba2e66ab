package commandstest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// An archive is a file of several, in the txtar format: a comment, then
// sections that begin with a line `-- NAME --`.
type archive struct {
	comment  string
	sections []section
}

type section struct{ name, text string }

func readArchive(file string) (*archive, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("fixture: %w", err)
	}
	a := &archive{}
	into := &a.comment
	for line := range strings.Lines(string(data)) {
		if name, ok := marker(line); ok {
			a.sections = append(a.sections, section{name: name})
			into = &a.sections[len(a.sections)-1].text
			continue
		}
		*into += line
	}
	return a, nil
}

// bases reads the archives that a's sections name as its further bases.
func (a *archive) bases(dir string) ([]*archive, error) {
	var all []*archive
	for _, s := range a.sections {
		name, ok := strings.CutPrefix(s.name, "over/")
		if !ok {
			continue
		}
		b, err := readArchive(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

// marker returns the name in a line that begins a section.
func marker(line string) (string, bool) {
	line = strings.TrimSpace(line)
	name, ok := strings.CutPrefix(line, "-- ")
	name, closed := strings.CutSuffix(name, " --")
	return strings.TrimSpace(name), ok && closed && strings.TrimSpace(name) != ""
}

// String is the archive as it stands in a file.
func (a *archive) String() string {
	var b strings.Builder
	b.WriteString(a.comment)
	for _, s := range a.sections {
		fmt.Fprintf(&b, "-- %s --\n%s", s.name, s.text)
	}
	return b.String()
}
