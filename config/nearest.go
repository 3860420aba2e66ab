package config

// nearest returns the candidate that a person most likely meant by word: the
// one with the fewest typing slips between them, if there are few enough to
// call it a slip. Of equals, the first wins.
func nearest(word string, candidates []string) (string, bool) {
	best, fewest := "", 1+max(1, len(word)/3)
	for _, c := range candidates {
		if n := slips(word, c); n < fewest {
			best, fewest = c, n
		}
	}
	return best, best != ""
}

// slips counts the letters to add, drop or change, and the neighbours to swap,
// that turn a into b (the optimal string alignment distance).
func slips(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, above := []int(nil), make([]int, len(y)+1)
	for j := range above {
		above[j] = j
	}
	for i := range x {
		row := make([]int, len(y)+1)
		row[0] = i + 1
		for j := range y {
			change := above[j]
			if x[i] != y[j] {
				change++
			}
			row[j+1] = min(change, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above = above, row
	}
	return above[len(y)]
}
