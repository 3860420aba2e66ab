package store

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestFoldIsEqualFold(t *testing.T) {
	name := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune("kKKsSſßẞiIİıåÅÅ-1"))))
	rapid.Check(t, func(t *rapid.T) {
		a := name.Draw(t, "a")
		b := rapid.OneOf(name, rapid.Just(strings.ToUpper(a)), rapid.Just(strings.ToLower(a))).Draw(t, "b")
		if got := fold(a) == fold(b); got != strings.EqualFold(a, b) {
			t.Fatalf("fold says %v of %q and %q", got, a, b)
		}
	})
}

func TestStampSortsAsTime(t *testing.T) {
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns"))
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := moment.Draw(t, "a"), moment.Draw(t, "b")
		if got := bytes.Compare(stamp(a), stamp(b)); got != a.Compare(b) {
			t.Fatalf("%v and %v compare as %d", a, b, got)
		}
	})
}
