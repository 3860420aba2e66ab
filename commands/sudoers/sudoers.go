// Package sudoers derives the rules of sudo that a node needs from what
// whybot's code runs there: it calls the probes, the captures and the steps
// with samples for the words that vary, and writes down what they make of them.
// Nothing here lists commands, so a new probe has its rule by itself; a word
// whose form is not known is an error that names who puts it there.
package sudoers

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/runners"
)

// A Source is all of whybot that runs something on nodes.
type Source struct {
	Diagnoses []*commands.Diagnosis
	Kinds     []*commands.StepKind
	// Capture says what a capture runs as root where user logs in.
	Capture func(user string, c runners.CaptureSpec) [][]string
	// Helper says how the helper on the node is called for a commit.
	Helper func(runners.Commit) ([][]string, error)
}

// Looking are the rules of the users who look at nodes.
func (s Source) Looking(users ...string) (Rules, error) {
	scopes, err := scopes()
	if err != nil {
		return nil, err
	}
	var c collector
	for _, scope := range scopes {
		c.sparse = sparse(scope)
		for _, d := range s.Diagnoses {
			if d.Probes != nil {
				c.probes(d.Name, d.Probes(scope))
			}
		}
		c.probes("every question", commands.OwnProbes(scope, argForms["address"].sample, argForms["bridge"].sample))
	}
	for _, k := range s.Kinds {
		for _, step := range stepsOf(k) {
			c.sparse = sparseStep(step)
			if k.Read != nil {
				c.probes(k.Name, k.Read(step))
			}
			if k.Guard != nil {
				c.probes(k.Name, k.Guard(step))
			}
		}
	}
	for _, user := range users {
		for _, argv := range s.Capture(user, runners.CaptureSpec{Device: argForms["device"].sample, Filter: filterForm.sample, MaxSeconds: 1}) {
			c.command("the packet stage", argv)
		}
	}
	return c.sorted(), c.err
}

// Changing are the rules of the user who changes nodes. A step with a guard is
// made by the helper, and taken back without it once it was confirmed.
func (s Source) Changing() (Rules, error) {
	var c collector
	for _, k := range s.Kinds {
		for _, step := range stepsOf(k) {
			c.sparse = sparseStep(step)
			if k.Guard == nil {
				c.actions(k.Name, k.Do(step))
			}
			c.actions(k.Name, k.Undo(step))
		}
	}
	calls, err := s.Helper(sampleCommit())
	if err != nil {
		return nil, fmt.Errorf("the helper's calls: %w", err)
	}
	for _, argv := range calls {
		c.command("every commit", argv)
	}
	return c.sorted(), c.err
}

// A collector makes rules of commands and keeps the first error.
type collector struct {
	rules Rules
	seen  map[string]bool
	err   error
	// sparse says that the commands to come are made without something that may
	// be missing: those which have a hole for it are not run then.
	sparse bool
}

// sorted are the rules by their programs, however they were come by.
func (c *collector) sorted() Rules {
	return slices.SortedFunc(slices.Values(c.rules), func(a, b *Rule) int {
		return cmp.Or(cmp.Compare(a.Example[0], b.Example[0]), cmp.Compare(a.words, b.words))
	})
}

func (c *collector) command(why string, argv []string) {
	key := why + "\x00" + strings.Join(argv, "\x00")
	if c.err != nil || c.seen[key] {
		return
	}
	c.rules, c.err = c.rules.add(argv, why)
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[key] = true
}

func (c *collector) probes(why string, probes []runners.Probe) {
	for _, p := range probes {
		if !p.Sudo || c.sparse && slices.Contains(p.Argv, "") {
			continue
		}
		c.command(why, p.Argv)
	}
}

func (c *collector) actions(why string, actions []commands.Action) {
	for _, a := range actions {
		if a.Call == nil {
			c.probes(why, []runners.Probe{a.Command})
		}
	}
}

// scopes are a node's parts in a question: every combination of what may be so
// and what may be there, with samples for the rest.
func scopes() ([]commands.Scope, error) {
	all := []commands.Scope{{}}
	for i, field := range reflect.VisibleFields(reflect.TypeFor[commands.Scope]()) {
		values, err := fieldValues(field)
		if err != nil {
			return nil, err
		}
		var more []commands.Scope
		for _, scope := range all {
			for _, v := range values {
				reflect.ValueOf(&scope).Elem().Field(i).Set(v)
				more = append(more, scope)
			}
		}
		all = more
	}
	return all, nil
}

// fieldValues are the values that a field of a scope is tried with.
func fieldValues(field reflect.StructField) ([]reflect.Value, error) {
	f, known := scopeForms[field.Name]
	var values []reflect.Value
	switch {
	case field.Type.Kind() == reflect.Bool:
		return []reflect.Value{reflect.ValueOf(false), reflect.ValueOf(true)}, nil
	case !known:
	case field.Type.Kind() == reflect.String:
		values = append(values, reflect.ValueOf(f.sample).Convert(field.Type))
	case field.Type == reflect.TypeFor[[]string]():
		values = append(values, reflect.ValueOf([]string{f.sample}))
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("commands.Scope has a field %s (%s), and commands/sudoers has no form for it: add one to scopeForms", field.Name, field.Type)
	}
	if slices.Contains(optionalScope, field.Name) {
		values = append(values, reflect.Zero(field.Type))
	}
	return values, nil
}

// stepsOf are the steps of a kind, made of samples: with every value of the
// arguments that are listed, and without each of those that may be empty.
func stepsOf(k *commands.StepKind) []commands.Step {
	f, known := wordForms[k.Name]
	words := []string{noWords}
	if known {
		words = strings.Fields(f.sample)
	}
	whole := map[string]string{}
	for name, f := range argForms {
		whole[name] = f.sample
	}
	maps.Copy(whole, switches)
	all := []map[string]string{whole}
	lists := listedArgs()
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		var more []map[string]string
		for _, args := range all {
			for _, v := range lists[name] {
				more = append(more, with(args, name, v))
			}
		}
		all = more
	}
	var steps []commands.Step
	for _, args := range all {
		steps = append(steps, commands.Step{Kind: k.Name, Node: scopeForms["Node"].sample, Args: args, Words: words})
		for _, name := range optionalArgs {
			steps = append(steps, commands.Step{Kind: k.Name, Node: scopeForms["Node"].sample, Args: with(args, name, ""), Words: words})
		}
	}
	return steps
}

func with(args map[string]string, name, value string) map[string]string {
	args = maps.Clone(args)
	args[name] = value
	return args
}

// sparse reports whether something that may be missing from a scope is.
func sparse(s commands.Scope) bool {
	return slices.ContainsFunc(optionalScope, func(name string) bool { return reflect.ValueOf(s).FieldByName(name).IsZero() })
}

// sparseStep is sparse of a step's arguments.
func sparseStep(s commands.Step) bool {
	return slices.ContainsFunc(optionalArgs, func(name string) bool { return s.Args[name] == "" })
}
