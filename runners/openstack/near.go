package openstack

import (
	"cmp"
	"slices"
	"strings"
)

// maxNear is how many names a person still reads.
const maxNear = 5

// nearest returns the names that look most like ref: few letters apart, or one
// within the other.
func nearest(ref string, names []string) []string {
	type candidate struct {
		name  string
		apart int
	}
	wanted := strings.ToLower(ref)
	limit := max(2, len([]rune(ref))/3)
	var near []candidate
	for _, spelt := range names {
		name := strings.ToLower(spelt)
		if name == "" {
			continue // a volume without a name, or a server in a cell that is down
		}
		apart := distance(wanted, name)
		if apart <= limit || strings.Contains(name, wanted) || strings.Contains(wanted, name) {
			near = append(near, candidate{spelt, apart})
		}
	}
	slices.SortFunc(near, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.apart, b.apart), cmp.Compare(a.name, b.name))
	})
	near = slices.Compact(near) // namesakes in several projects
	var best []string
	for _, n := range near[:min(maxNear, len(near))] {
		best = append(best, n.name)
	}
	return best
}

// distance counts the letters to insert, delete or replace between a and b.
func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range to {
			replace := diagonal
			if x != y {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(to)]
}
