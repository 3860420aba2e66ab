package fix_test

import (
	"slices"
	"strings"
	"testing"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/runners"
)

// TestSecurityStep: a policy is changed from exactly what it was, and taken back to
// exactly that; anything else is somebody's change.
func TestSecurityStep(t *testing.T) {
	t.Parallel()
	all := fix.Kinds()
	kind := all[slices.IndexFunc(all, func(k *commands.StepKind) bool { return k.Name == "vswitch-security" })]
	was := runners.VSecurity{Inherited: true, Forged: new(false)}
	to := runners.VSecurity{Forged: new(true)}
	s := commands.Step{Kind: kind.Name, Args: map[string]string{
		"kind": runners.VDistributedGroup, "id": "dvportgroup-7", "from": was.JSON(), "to": to.JSON(), "version": "3", "shown": "do", "unshown": "undo",
	}}
	if kind.Ref(s) != (runners.CloudRef{Kind: runners.VDistributedGroup, ID: "dvportgroup-7"}) {
		t.Errorf("%+v", kind.Ref(s))
	}
	for policy, want := range map[string]commands.StepState{
		was.JSON(): commands.StepPending, to.JSON(): commands.StepDone, "": commands.StepChanged,
		runners.VSecurity{Forged: new(true), Promiscuous: new(true)}.JSON(): commands.StepChanged,
		runners.VSecurity{Forged: new(false)}.JSON():                        commands.StepChanged,
	} {
		if got, seen := kind.Compare(s, runners.CloudObject{runners.VObjectSecurity: policy}); got != want || seen == "" {
			t.Errorf("%s: %s (%s), want %s", policy, got, seen, want)
		}
	}
	do, undo := kind.Do(s)[0], kind.Undo(s)[0]
	if do.String() != "do" || do.Call.Args["from"] != was.JSON() || do.Call.Args["to"] != to.JSON() || do.Call.Args["version"] != "3" {
		t.Errorf("%+v", do.Call)
	}
	// The version has moved on by the change itself.
	if undo.String() != "undo" || undo.Call.Args["from"] != to.JSON() || undo.Call.Args["to"] != was.JSON() || undo.Call.Args["version"] != "" {
		t.Errorf("%+v", undo.Call)
	}
	if !strings.Contains(was.JSON(), "inherited") || strings.Contains(to.JSON(), "inherited") {
		t.Errorf("%s and %s look alike", was.JSON(), to.JSON())
	}
}
