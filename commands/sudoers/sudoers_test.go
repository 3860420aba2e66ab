package sudoers_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"whybot/commands"
	"whybot/commands/diagnose"
	"whybot/commands/fix"
	"whybot/commands/sudoers"
	"whybot/runners"
)

// source is all there is, with a capture and a helper that are short to read.
func source() sudoers.Source {
	return sudoers.Source{
		Diagnoses: diagnose.All(), Kinds: fix.Kinds(),
		Capture: func(user string, c runners.CaptureSpec) [][]string {
			return [][]string{{"tcpdump", "-i", c.Device, "-Z", user, "--", c.Filter}}
		},
		Helper: func(c runners.Commit) ([][]string, error) {
			return [][]string{{"/usr/local/sbin/whybot-commit", "status", c.ID}}, nil
		},
	}
}

func rules(t *testing.T) (look, change sudoers.Rules) {
	t.Helper()
	look, err := source().Looking("whybot")
	if err != nil {
		t.Fatal(err)
	}
	if change, err = source().Changing(); err != nil {
		t.Fatal(err)
	}
	return look, change
}

const networkID = "91e78b9c-cf00-4000-8000-000000000001"

func TestRulesAllowWhatIsRunAndNothingBesides(t *testing.T) {
	look, change := rules(t)
	for _, c := range []struct {
		rules   sudoers.Rules
		command string
		allowed bool
	}{
		{look, "iptables-save -c", true},
		{look, "iptables-save", true},
		{look, "iptables-save -f /etc/passwd", false},
		{look, "iptables-save -c -c", false},
		{look, "nft -j list ruleset", true},
		{look, "nft flush ruleset", false},
		{look, "cat /etc/sysconfig/iptables", true},
		{look, "cat /etc/shadow", false},
		{look, "cat /var/lib/neutron/dhcp/" + networkID + "/host", true},
		{look, "cat /var/lib/neutron/dhcp/" + networkID + "/../../../../etc/shadow", false},
		{look, "cat /var/lib/neutron/dhcp/" + networkID + "/host /etc/shadow", false},
		{look, "ip netns exec qdhcp-" + networkID + " ping -n -c 2 -i 0.3 -W 1 fd00::7", true},
		{look, "ip netns exec qdhcp-" + networkID + " sh", false},
		{look, "ip netns exec evil ping -n -c 2 -i 0.3 -W 1 fd00::7", false},
		{look, "ip netns exec qrouter-" + networkID + " ss -H -l -w -n -p", true},
		{look, "iptables -w 5 -S", true},
		{look, "iptables -w 5 -D FORWARD -j DROP", false},
		{look, "tcpdump -i eth3.3092 -Z whybot -- ether host fa:16:3e:00:00:01", true},
		{look, "tcpdump -i eth3.3092 -Z root -- udp", false},
		{look, "tcpdump -i -w -Z whybot -- udp", false},
		{look, "/usr/local/sbin/whybot-commit status fx-1", false},
		{change, "/usr/local/sbin/whybot-commit status fx-1", true},
		{change, "/usr/local/sbin/whybot-commit rollback fx-1", false},
		{change, "iptables-save -c", false},
		{change, "iptables -w 5 -D FORWARD -m physdev --physdev-in tap1 -j ACCEPT", true},
		{change, "iptables -w 5 -D FORWARD -M /tmp/x -j ACCEPT", false},
		{change, "ip link set dev tap3d1c2f4a-0b nomaster", true},
		{change, "ip link set dev tap3d1c2f4a-0b master brq91e78b9c-cf", true},
		{change, "ip link set dev tap3d1c2f4a-0b netns 1", false},
		{change, "systemctl restart neutron-linuxbridge-agent", true},
		{change, "systemctl restart sshd", false},
		{change, "sed -i.whybot-bak -e 12s/^/#whybot# / /etc/sysconfig/iptables", true},
		{change, "sed -i.whybot-bak -e 12s/^/#whybot# / /etc/passwd", false},
		{change, `nft insert rule inet firewalld filter_FORWARD position 12 iifname "brq91e78b9c-cf" oifname "brq91e78b9c-cf" counter accept comment "whybot iifname brq91e78b9c-cf oifname brq91e78b9c-cf"`, true},
		{change, `nft insert rule inet firewalld filter_FORWARD position 12 iifname "a" counter accept comment "whybot ; flush ruleset"`, false},
	} {
		if got := c.rules.Allows(strings.Fields(c.command)); got != c.allowed {
			t.Errorf("%s: allowed %t, want %t", c.command, got, c.allowed)
		}
	}
	for _, rs := range []sudoers.Rules{look, change} {
		if len(rs) < 30 {
			t.Errorf("only %d rules", len(rs))
		}
		for _, r := range rs {
			if !r.Allows(r.Example) || r.Allows(append(slices.Clone(r.Example), "x\ny")) || r.Allows(r.Example[:1]) != (len(r.Example) == 1) {
				t.Errorf("%q is not allowed, or more than it is", r.Example)
			}
		}
	}
}

// A probe and a kind of step that are added have their rules by themselves.
func TestNewCommandsHaveTheirRules(t *testing.T) {
	s := source()
	s.Diagnoses = append(s.Diagnoses, &commands.Diagnosis{Name: "DHCP-99", Probes: func(scope commands.Scope) []runners.Probe {
		if !scope.Serves || scope.VXLAN == "" {
			return nil
		}
		return []runners.Probe{{Name: "new", Sudo: true, Argv: []string{"ovs-vsctl", "get", "interface", scope.VXLAN, "options"}}}
	}})
	s.Kinds = append(s.Kinds, &commands.StepKind{
		Name: "new-kind",
		Do: func(step commands.Step) []commands.Action {
			return []commands.Action{{Command: runners.Probe{Sudo: true, Argv: []string{"brctl", "addif", step.Args["bridge"], step.Args["device"]}}}}
		},
		Undo: func(commands.Step) []commands.Action { return nil },
	})
	look, err := s.Looking("whybot")
	if err != nil || !look.Allows([]string{"ovs-vsctl", "get", "interface", "vxlan-1207", "options"}) || look.Allows([]string{"ovs-vsctl", "get", "interface", "-x", "options"}) {
		t.Errorf("the new probe has no rule of its own: %v", err)
	}
	change, err := s.Changing()
	if err != nil || !change.Allows([]string{"brctl", "addif", "br0", "tap1"}) || change.Allows([]string{"brctl", "delif", "br0", "tap1"}) {
		t.Errorf("the new step has no rule of its own: %v", err)
	}
}

// What a rule cannot be made of is an error that names who asks for it.
func TestUnknownWordsAreNamed(t *testing.T) {
	probe := func(argv func(commands.Scope) []string) sudoers.Source {
		s := source()
		s.Diagnoses = []*commands.Diagnosis{{Name: "DHCP-99", Probes: func(scope commands.Scope) []runners.Probe {
			return []runners.Probe{{Name: "new", Sudo: true, Argv: argv(scope)}}
		}}}
		return s
	}
	kind := func(argv func(commands.Step) []string) sudoers.Source {
		s := source()
		s.Kinds = []*commands.StepKind{{
			Name: "new-kind", Undo: func(commands.Step) []commands.Action { return nil },
			Do: func(step commands.Step) []commands.Action {
				return []commands.Action{{Command: runners.Probe{Sudo: true, Argv: argv(step)}}}
			},
		}}
		return s
	}
	for name, c := range map[string]struct {
		s    sudoers.Source
		says []string
	}{
		"half a sample": {
			probe(func(s commands.Scope) []string {
				return []string{"ip", "link", "show", "vx" + s.VXLAN[:min(4, len(s.VXLAN))]}
			}), []string{"DHCP-99", "part of a sample"},
		},
		"no word":         {probe(func(s commands.Scope) []string { return []string{"cat", s.VXLAN} }), nil}, // not run where there is none
		"no program":      {probe(func(commands.Scope) []string { return nil }), []string{"DHCP-99", "empty"}},
		"a program's way": {probe(func(commands.Scope) []string { return []string{"/tmp/x"} }), []string{"DHCP-99", "plain name"}},
		"an argument without a form": {
			kind(func(s commands.Step) []string { return []string{"ip", "link", "show", s.Args["novelty"]} }), []string{"new-kind", "empty"},
		},
		"an argument that is no word": {
			kind(func(s commands.Step) []string { return []string{"echo", s.Args["rest"]} }), []string{"new-kind", "wbrest-sample"},
		},
		"words without a form": {
			kind(func(s commands.Step) []string { return append([]string{"echo"}, s.Words...) }), []string{"new-kind", "wbwords-sample"},
		},
	} {
		_, err := c.s.Looking("whybot")
		if _, changeErr := c.s.Changing(); err == nil {
			err = changeErr
		}
		if (err == nil) != (c.says == nil) {
			t.Errorf("%s: error %v", name, err)
			continue
		}
		for _, words := range c.says {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%s: %q does not say %q", name, err, words)
			}
		}
	}
}

func files(t *testing.T) []sudoers.File {
	t.Helper()
	look, change := rules(t)
	return []sudoers.File{
		{Name: "whybot-probe", Purpose: "looks", Users: []string{"whybot", "whybot-2"}, Rules: look},
		{Name: "whybot-fix", Purpose: "changes", Users: []string{"whybot-fix"}, Rules: change},
	}
}

func text(t *testing.T, f sudoers.File) string {
	t.Helper()
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// visudo has the last word on what a sudoers file is.
func TestVisudoTakesTheFiles(t *testing.T) {
	visudo, err := exec.LookPath("visudo")
	if err != nil {
		if os.Getenv("WHYBOT_REQUIRE_LAB") == "1" {
			t.Fatal("visudo is required by this test and is not there")
		}
		t.Skip("SKIPPED, NOTHING WAS TESTED: visudo is not there")
	}
	check := func(text string) error {
		file := filepath.Join(t.TempDir(), "sudoers")
		if err := os.WriteFile(file, []byte(text), 0o440); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(visudo, "-c", "-s", "-f", file).CombinedOutput()
		t.Logf("%s", bytes.TrimSpace(out))
		return err
	}
	all := ""
	for _, f := range files(t) {
		all += text(t, f)
		if err := check(text(t, f)); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	if err := check(all); err != nil {
		t.Errorf("both files in one: %v", err)
	}
	if err := check(strings.Replace(all, "NOPASSWD:", "NOPASWD:", 1)); err == nil {
		t.Error("visudo takes anything")
	}
}

func TestFilesHoldNoWildcards(t *testing.T) {
	for _, f := range files(t) {
		for line := range strings.Lines(text(t, f)) {
			command, is := strings.CutPrefix(line, "    ")
			if !is {
				continue
			}
			if command[0] != '/' || strings.Contains(command, "*") || strings.Contains(command, " ALL") || !strings.Contains(command, " ") {
				t.Errorf("%s: %q", f.Name, line)
			}
			words := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(command), "\\"), ", ")
			_, words, _ = strings.Cut(words, " ")
			if strings.ContainsAny(words, "[]?{}()") && (!strings.HasPrefix(words, "^") || !strings.HasSuffix(words, "$")) {
				t.Errorf("%s: %q is a pattern without anchors", f.Name, line)
			}
		}
	}
}

// Only programs that run others may run others.
func TestFilesKeepProgramsFromRunningOthers(t *testing.T) {
	for _, f := range files(t) {
		tag, seen := "", map[string]int{}
		for line := range strings.Lines(text(t, f)) {
			if _, rest, ok := strings.Cut(line, " ALL=(root) NOPASSWD: "); ok {
				tag, _, _ = strings.Cut(rest, ":")
				seen[tag]++
			}
			program, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			runs := slices.Contains([]string{"ip", "systemctl", "whybot-commit"}, filepath.Base(program))
			if strings.HasPrefix(line, "    /") && (tag == "EXEC") != runs || tag != "" && tag != "EXEC" && tag != "NOEXEC" {
				t.Errorf("%s: %s of %q", f.Name, tag, line)
			}
		}
		if seen["EXEC"] == 0 || seen["NOEXEC"] < seen["EXEC"]/2 {
			t.Errorf("%s: %v", f.Name, seen)
		}
	}
}

func TestUsersThatNoFileCanName(t *testing.T) {
	for _, user := range []string{"", "ALL", "WHYBOT_PROBE", "_", "ALL=(ALL) ALL", "a b", "%wheel", "#0", "a\nroot ALL=(ALL) ALL", "a,b", "-x"} {
		f := files(t)[0]
		f.Users = []string{user}
		if err := f.Write(&bytes.Buffer{}); err == nil {
			t.Errorf("%q is named", user)
		}
	}
}

// The listing is as sudo 1.9.13 prints it for the user of the file.
func TestSurplus(t *testing.T) {
	look, _ := rules(t)
	var b strings.Builder
	b.WriteString("Matching Defaults entries for whybot on n:\n    env_reset, !use_pty\n\nUser whybot may run the following commands on n:\n")
	for line := range strings.Lines(strings.ReplaceAll(text(t, files(t)[0]), " \\\n    ", " ")) {
		if _, command, ok := strings.Cut(line, " ALL=(root) NOPASSWD: "); ok {
			tag, rest, _ := strings.Cut(command, ": ")
			b.WriteString("    (root) " + tag + ": NOPASSWD: " + strings.ReplaceAll(rest, `\`, ""))
		}
	}
	if more := look.Surplus(b.String()); len(more) != 0 {
		t.Errorf("what is printed is more than is needed: %q", more)
	}
	b.WriteString("    (ALL : ALL) ALL\n    (root) NOPASSWD: /usr/bin/less /var/log/messages, /usr/sbin/iptables-save -c\n    (root) SETENV: NOPASSWD: /usr/bin/vi\n")
	if more, want := look.Surplus(b.String()), []string{"ALL", "/usr/bin/less /var/log/messages", "/usr/bin/vi"}; !slices.Equal(more, want) {
		t.Errorf("surplus %q, want %q", more, want)
	}
	if more := look.Surplus("Sorry, user whybot may not run sudo on n.\n"); len(more) != 0 {
		t.Errorf("%q", more)
	}
}
