package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Problem is one thing that is wrong with the configuration.
type Problem struct {
	// File is the configuration file, or "environment".
	File string
	// Line and Column count from 1. They are 0 when the problem is in no line:
	// the file cannot be read, or the value came from the environment.
	Line, Column int
	// Path is the key, such as "ssh.fan_out", or the environment variable.
	// Empty when the problem is the file itself.
	Path string
	// What says what is wrong, and Cure what to do about it.
	What, Cure string
}

// String returns the problem on one line: `file:line:col: path: what; cure`.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.What)
	if p.Cure != "" {
		b.WriteString("; " + p.Cure)
	}
	return b.String()
}

// Problems is everything that is wrong with a configuration, in the order of
// the file; what came from the environment is last. It is never empty.
type Problems []Problem

// Error returns one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// environment stands for the file of what was set by a variable.
const environment = "environment"

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(rank(a), rank(b)),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path),
		)
	})
}

func rank(p Problem) int {
	if p.File == environment {
		return 1
	}
	return 0
}

// A fault is a Problem that does not know its place yet.
type fault struct{ what, cure string }
