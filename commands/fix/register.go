package fix

import (
	"cmp"
	"slices"

	"whybot/commands"
)

var (
	fixes []*commands.Fix
	kinds []*commands.StepKind
)

// register adds a fix at package initialisation: one `var X = register(...)`
// in the fix's own file is all there is to adding one.
func register(f *commands.Fix) *commands.Fix {
	fixes = append(fixes, f)
	return f
}

func registerKind(k *commands.StepKind) *commands.StepKind {
	kinds = append(kinds, k)
	return k
}

// All returns every fix, by name.
func All() []*commands.Fix {
	return slices.SortedFunc(slices.Values(fixes), func(a, b *commands.Fix) int { return cmp.Compare(a.Name, b.Name) })
}

// Kinds returns every kind of step, by name.
func Kinds() []*commands.StepKind {
	return slices.SortedFunc(slices.Values(kinds), func(a, b *commands.StepKind) int { return cmp.Compare(a.Name, b.Name) })
}
