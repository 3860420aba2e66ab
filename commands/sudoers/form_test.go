package sudoers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A sample must be a value of its form, or it could not stand for one; and what
// it stands for must be plain, so no sample is in another but where a form is
// made of another.
func TestSamplesAreOfTheirFormsAndApart(t *testing.T) {
	all := samples()
	if len(all) < 30 {
		t.Fatalf("only %d forms", len(all))
	}
	for _, f := range all {
		if f.pattern != "" && !regexp.MustCompile("^"+f.pattern+"$").MatchString(f.sample) {
			t.Errorf("%q is not of its form %s", f.sample, f.pattern)
		}
		for _, g := range all {
			if f.sample != g.sample && strings.Contains(f.sample, g.sample) && !strings.HasPrefix(f.sample, "qdhcp-") {
				t.Errorf("%q is in %q", g.sample, f.sample)
			}
			if f.sample == g.sample && f.pattern != g.pattern {
				t.Errorf("%q stands for %s and for %s", f.sample, f.pattern, g.pattern)
			}
		}
	}
}

// TestPatternsAreNarrow gives each form what it must not take.
func TestPatternsAreNarrow(t *testing.T) {
	for _, f := range samples() {
		if strings.Contains(f.pattern, "*") {
			t.Errorf("%s holds a *, which is a wildcard for an older sudo", f.pattern)
		}
		if f.pattern == "" || strings.Contains(f.pattern, printed) {
			continue // nothing, or what its program takes for no option and no command
		}
		re := regexp.MustCompile("^" + f.pattern + "$")
		for _, bad := range []string{"", "-x", "--x", "a\nb", f.sample + "\n", "\n" + f.sample, f.sample + "\x00", "é", "-" + f.sample} {
			if re.MatchString(bad) {
				t.Errorf("%s takes %q", f.pattern, bad)
			}
		}
		if strings.Contains(f.pattern, spec) || f == argForms["comment"] { // a comment is in quotes
			continue
		}
		for _, bad := range []string{"a b", "a;b", "$(a)", "`a`", "a|b", "../a", "/a", "a/../b", "*", "a*", f.sample + " x", f.sample + ";x", f.sample + "/x"} {
			if re.MatchString(bad) {
				t.Errorf("%s takes %q", f.pattern, bad)
			}
		}
	}
}

// What stands in a rule of iptables may not make iptables run a program, or
// look into another table.
func TestSpecsHoldNoOptionThatRunsAProgram(t *testing.T) {
	re := regexp.MustCompile("^" + wordForms["insert-rule"].pattern + "$")
	for _, good := range []string{
		"-m physdev --physdev-in tap3d1c2f4a-0b --physdev-is-bridged -j ACCEPT",
		"-p udp -m physdev --physdev-out tap3d1c2f4a-0b --physdev-is-bridged -m udp --sport 67 --dport 68 -j ACCEPT",
		"-s 10.0.0.7/32 -p udp -m udp --dport 8472 -j ACCEPT", "-j REJECT --reject-with icmp-host-prohibited",
		"! -i eth0 -m mac --mac-source fa:16:3e:00:00:01 -m conntrack --ctstate RELATED,ESTABLISHED -j DROP",
		"-p tcp --tcp-flags SYN,RST SYN -m comment --comment it's a \"test\" -m set --match-set x src -g chain", "-p ipv6-icmp -m icmp6 --icmpv6-type 134 -j ACCEPT",
	} {
		if !re.MatchString(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{
		"-M /tmp/x -j ACCEPT", "-M/tmp/x -j ACCEPT", "-vM /tmp/x", "-fM /tmp/x", "-f M/tmp/x", "--modprobe /tmp/x -j ACCEPT", "--modprobe=/tmp/x -j ACCEPT",
		"--mod /tmp/x -j ACCEPT", "--mo=/tmp/x -j ACCEPT", "-j ACCEPT --modprob /tmp/x", "-j ACCEPT -M", "-t nat -j ACCEPT", "--table nat -j ACCEPT", "--ta nat -j ACCEPT",
		"-j ACCEPT\n-M x", "-j  ACCEPT", "-F x", "-A x", "-Z x", "-j ACCEPT -v", "--",
	} {
		if re.MatchString(bad) {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Every argument that a step looks at has a form: one that has none would be
// empty in the samples, and perhaps only a part of a word.
func TestEveryArgumentOfAStepHasAForm(t *testing.T) {
	files, err := filepath.Glob("../fix/step_*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	known := func(name string) bool {
		_, form := argForms[name]
		_, listed := listedArgs()[name]
		_, is := switches[name]
		return form || listed || is
	}
	seen := map[string]string{}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			argumentsIn(t, file, seen)
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %d arguments were found: the search is broken", len(seen))
	}
	for name, file := range seen {
		if !known(name) {
			t.Errorf("%s: the argument %q has no form in commands/sudoers", file, name)
		}
	}
	for name := range argForms {
		if seen[name] == "" {
			t.Errorf("no step has an argument %q any more", name)
		}
	}
	for _, name := range optionalArgs {
		if argForms[name].pattern == "" {
			t.Errorf("%q may be missing from a step and is in no command", name)
		}
	}
}

// argumentsIn notes the arguments that a file looks at.
func argumentsIn(t *testing.T, file string, seen map[string]string) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		if name, ok := argument(n); ok {
			seen[name] = file
		}
		return true
	})
}

// argument is the name in s.Args["name"].
func argument(n ast.Node) (string, bool) {
	index, ok := n.(*ast.IndexExpr)
	if !ok {
		return "", false
	}
	of, ok := index.X.(*ast.SelectorExpr)
	key, literal := index.Index.(*ast.BasicLit)
	if !ok || !literal || of.Sel.Name != "Args" {
		return "", false
	}
	name, err := strconv.Unquote(key.Value)
	return name, err == nil
}
