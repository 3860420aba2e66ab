package commands

import (
	"context"
	"strings"
	"testing"
)

func sound(name string) *Diagnosis {
	return &Diagnosis{
		Name: name, Title: "Something is wrong", Doc: "Told from what looks alike.", Explains: []Kind{KindDHCP},
		Run: func(context.Context, *Pass) error { return nil },
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := Validate([]*Diagnosis{sound("DHCP-01"), sound("DHCP-02")}); err != nil {
		t.Errorf("a sound catalogue: %v", err)
	}
	for _, c := range []struct {
		name, want string
		spoil      func(d *Diagnosis)
	}{
		{"no id", "not a catalogue id", func(d *Diagnosis) { d.Name = "dhcp-1" }},
		{"an id with more behind it", "not a catalogue id", func(d *Diagnosis) { d.Name = "DHCP-011" }},
		{"no title", "1 to 70", func(d *Diagnosis) { d.Title = "" }},
		{"a long title", "1 to 70", func(d *Diagnosis) { d.Title = strings.Repeat("x", 71) }},
		{"no doc", "undocumented", func(d *Diagnosis) { d.Doc = "" }},
		{"nothing explained", "explains no kind", func(d *Diagnosis) { d.Explains = nil }},
		{"nothing to run", "nothing to run", func(d *Diagnosis) { d.Run = nil }},
		{"twice", "there twice", func(d *Diagnosis) { d.Name = "DHCP-01" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bad := sound("DHCP-02")
			c.spoil(bad)
			err := Validate([]*Diagnosis{sound("DHCP-01"), bad})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want %q", err, c.want)
			}
		})
	}
	if err := Validate([]*Diagnosis{nil}); err == nil {
		t.Error("a nil diagnosis was taken")
	}
}
