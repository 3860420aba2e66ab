package accuracy

import (
	"slices"
	"strings"

	"whybot/internal/lab"
)

// A Grade says how an answer compares with what was broken.
type Grade string

// Grades, from best to worst.
const (
	Exact     Grade = "exact"     // cause and edge as wanted, and as sure as it can be
	Hedged    Grade = "hedged"    // the right cause and edge, less sure than it could be
	Undecided Grade = "undecided" // unknown: no claim
	Guessed   Grade = "guessed"   // a wrong cause or edge, called probable
	Wrong     Grade = "wrong"     // a wrong cause or edge, called proven; or healthy, and it is not
	Failed    Grade = "failed"    // no answer at all
)

// gradeAnswer compares an answer with a fault.
func gradeAnswer(f lab.Fault, v Verdict) Grade {
	if f.Decoy() {
		return gradeDecoy(v)
	}
	switch v.State {
	case "unknown":
		return Undecided
	case "healthy":
		return Wrong
	}
	right := (v.Cause == f.Want.Cause || slices.Contains(f.Also, v.Cause)) && edgeFits(f.Want, v.Edge)
	switch {
	case right && (v.State == f.Want.State || v.State == "proven"):
		return Exact
	case right:
		return Hedged
	case v.State == "proven":
		return Wrong
	}
	return Guessed
}

// gradeDecoy judges an answer about a path on which nothing is lost.
func gradeDecoy(v Verdict) Grade {
	switch v.State {
	case "healthy":
		return Exact
	case "unknown":
		return Undecided
	case "proven":
		return Wrong
	}
	return Guessed
}

// edgeFits compares an edge with the fields of Want that are not empty.
func edgeFits(w lab.Want, e *Edge) bool {
	wanted := w.FromNode + w.FromDevice + w.ToNode + w.ToDevice + w.Direction
	if e == nil {
		return wanted == ""
	}
	fromNode, fromDevice, _ := strings.Cut(e.From, "/")
	toNode, toDevice, _ := strings.Cut(e.To, "/")
	for _, pair := range [][2]string{
		{w.FromNode, fromNode},
		{w.FromDevice, fromDevice},
		{w.ToNode, toNode},
		{w.ToDevice, toDevice},
		{w.Direction, e.Direction},
	} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	return true
}
