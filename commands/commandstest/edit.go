package commandstest

import (
	"fmt"
	"strings"
)

// edit carries out the edits of a section, one a line.
func edit(text, edits string) (string, error) {
	for line := range strings.Lines(edits) {
		line = strings.TrimRight(line, "\n")
		if line == "" {
			continue
		}
		var err error
		if text, err = editOnce(text, line); err != nil {
			return "", fmt.Errorf("edit %q: %w", line, err)
		}
	}
	return text, nil
}

func editOnce(text, line string) (string, error) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "replace":
		before, after, ok := strings.Cut(rest, " => ")
		if !ok {
			return "", fmt.Errorf("it has no =>")
		}
		if n := strings.Count(text, before); n != 1 {
			return "", fmt.Errorf("%q stands there %d times", before, n)
		}
		return strings.Replace(text, before, after, 1), nil
	case "delete":
		return editLine(text, rest, func(string) string { return "" })
	case "begin":
		return rest + "\n" + text, nil
	case "insert":
		at := strings.LastIndex(rest, " after ")
		if at < 0 {
			return "", fmt.Errorf("it does not say after what")
		}
		return editLine(text, rest[at+len(" after "):], func(found string) string { return found + rest[:at] + "\n" })
	}
	return "", fmt.Errorf("it begins with no known word")
}

// editLine replaces the one line that has word in it.
func editLine(text, word string, with func(string) string) (string, error) {
	var b strings.Builder
	n := 0
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			n++
			line = with(line)
		}
		b.WriteString(line)
	}
	if n != 1 {
		return "", fmt.Errorf("%d lines have %q", n, word)
	}
	return b.String(), nil
}
