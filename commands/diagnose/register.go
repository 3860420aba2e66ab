package diagnose

import (
	"cmp"
	"slices"

	"whybot/commands"
)

var all []*commands.Diagnosis

// alongTheWay are the kinds of question about frames that pass bridges and wires:
// what stops one kind of frame there may stop any.
var alongTheWay = []commands.Kind{commands.KindDHCP, commands.KindPing}

// register adds a diagnosis: `var X = register(...)` in its own file is all
// there is to adding one.
func register(d *commands.Diagnosis) *commands.Diagnosis {
	all = append(all, d)
	return d
}

// All returns every diagnosis, by name.
func All() []*commands.Diagnosis {
	return slices.SortedFunc(slices.Values(all), func(a, b *commands.Diagnosis) int { return cmp.Compare(a.Name, b.Name) })
}
