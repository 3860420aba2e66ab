package main_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// This file is the architecture, as far as a machine can hold it: which package
// may import which, where each third-party module lives, and a few rules of the
// house. A change here is a change of the design and is reviewed as one.

// module is the name in go.mod.
const module = "whybot"

// facts are the leaf packages that turn a node's output into facts. They know
// the words of runners and nothing else of ours.
var facts = []string{"commands/netfilter", "commands/node", "commands/capture"}

// arrows says what each package may import of ours. "." is main, an entry that
// ends in "/..." stands for every package below it. A package that is not named
// here may not exist: name it, with its arrows.
var arrows = map[string][]string{
	".": {"bot", "commands/...", "commands", "config", "internal/demo", "runners/...", "runners", "store"},

	"bot":   {"commands", "commands/ask", "runners"},
	"store": {"commands"},
	// The contract's suite, for any implementation; never linked into whybot.
	"store/storetest": {"commands"},

	"commands":        append([]string{"runners"}, facts...),
	"commands/ask":    {"commands"},
	"commands/report": {"commands"},
	"commands/policy": {"commands"},
	// What sudo must allow, derived from what the others run.
	"commands/sudoers": {"commands", "commands/node", "runners"},
	// The harness that runs fixtures; never linked into whybot.
	"commands/commandstest": append([]string{"commands", "commands/fix", "commands/sudoers", "runners", "store"}, facts...),
	"commands/netfilter":    {"runners"},
	"commands/node":         {"runners"},
	"commands/capture":      {"runners"},
	"commands/diagnose":     append([]string{"commands", "commands/fix", "runners"}, facts...),
	"commands/fix":          append([]string{"commands", "runners"}, facts...),

	"runners":           {},
	"runners/openstack": {"runners"},
	"runners/ssh":       {"runners"},
	"runners/vsphere":   {"runners"},

	"config": {},

	// What is not product may look at the core, never at the wiring.
	"internal/...": {"commands", "commands/...", "runners", "runners/...", "store", "internal/..."},
}

// testsMay is what the tests of every package may import besides: the lab, the
// fakes, the one policy, so that transports are tested against the real one, and
// the words of runners.
var testsMay = []string{"internal/...", "store", "store/storetest", "commands/commandstest", "commands/diagnose", "commands/fix", "commands/policy", "runners"}

// homes says where each third-party module may be imported. A module that is
// not named here may not be used: name it, with its home. An entry that ends in
// _test.go is for tests only.
var homes = map[string][]string{
	"github.com/slack-go/slack":          {"bot", "internal/slackfake/_test.go"},
	"github.com/gophercloud/gophercloud": {"runners/openstack"},
	"github.com/vmware/govmomi":          {"runners/vsphere", "internal/vcsim"},
	"golang.org/x/crypto/ssh":            {"runners/ssh", "internal/lab/..."},
	"github.com/kevinburke/ssh_config":   {"runners/ssh"},
	"go.etcd.io/bbolt":                   {"store"},
	"github.com/goccy/go-yaml":           {"config"},
	"github.com/gopacket/gopacket":       {"commands/capture"},
	"github.com/gorilla/websocket":       {"internal/slackfake"},
	"golang.org/x/sync":                  {"..."},
	"golang.org/x/sys":                   {"..."},
	"golang.org/x/term":                  {"."},
	"golang.org/x/text":                  {"..."},
	"gopkg.in/yaml.v3":                   {"internal/...", "runners/openstack"}, // clouds.yaml, as the OpenStack SDKs read it
	"github.com/rogpeppe/go-internal":    {".../_test.go", "internal/..."},
	"go.uber.org/goleak":                 {".../_test.go"},
	"pgregory.net/rapid":                 {".../_test.go"},
}

// nowhere are package names that say nothing about what is inside.
var nowhere = []string{"common", "helper", "helpers", "misc", "shared", "util", "utils"}

// maxMethods keeps an interface small enough to be faked by hand. An interface
// that has no methods of its own only bundles others for a constructor, and is
// as small as they are.
const maxMethods = 3

func TestArchitecture(t *testing.T) {
	got, files := violations(t, os.DirFS("."))
	if files < 10 {
		t.Fatalf("looked at %d Go files: the walk is broken", files)
	}
	for _, v := range got {
		t.Error(v)
	}
}

// TestArchitectureIsHeld shows every rule something that breaks it. Without
// this a rule that has stopped working would look like a clean tree.
func TestArchitectureIsHeld(t *testing.T) {
	const doc = "// Package x is documented.\n"
	for _, c := range []struct{ name, file, text, want string }{
		{"adapter to adapter", "bot/x.go", doc + `package bot; import _ "whybot/store"`, "bot/x.go: bot may not import store"},
		{"core to adapter", "commands/x.go", doc + `package commands; import _ "whybot/runners/ssh"`, "commands may not import runners/ssh"},
		{"core to its diagnoses", "commands/x.go", doc + `package commands; import _ "whybot/commands/diagnose"`, "commands may not import commands/diagnose"},
		{"fact to core", "commands/node/x.go", doc + `package node; import _ "whybot/commands"`, "commands/node may not import commands"},
		{"fix to diagnosis", "commands/fix/x.go", doc + `package fix; import _ "whybot/commands/diagnose"`, "commands/fix may not import commands/diagnose"},
		{"runner to runner", "runners/ssh/x.go", doc + `package ssh; import _ "whybot/runners/openstack"`, "runners/ssh may not import runners/openstack"},
		{"product to config", "store/x.go", doc + `package store; import _ "whybot/config"`, "store may not import config"},
		{"product to the lab", "runners/ssh/x.go", doc + `package ssh; import _ "whybot/internal/lab"`, "runners/ssh may not import internal/lab"},
		{"main to the lab", "main.go", doc + `package main; import _ "whybot/internal/lab"`, ". may not import internal/lab"},
		{"lab to the wiring", "internal/lab/x.go", doc + `package lab; import _ "whybot/bot"`, "internal/lab may not import bot"},
		{"anything to main", "internal/lab/x.go", doc + `package lab; import _ "whybot"`, "internal/lab may not import ."},
		{"test to adapter", "store/x_test.go", `package store_test; import _ "whybot/bot"`, "store may not import bot"},
		{"package without arrows", "metrics/x.go", doc + `package metrics`, "metrics is not in arrows"},
		{"SDK away from home", "commands/x.go", doc + `package commands; import _ "go.etcd.io/bbolt"`, "go.etcd.io/bbolt is at home in store"},
		{"SDK's subpackage", "bot/x.go", doc + `package bot; import _ "golang.org/x/crypto/ssh/knownhosts"`, "golang.org/x/crypto/ssh is at home in"},
		{"test module in product", "bot/x.go", doc + `package bot; import _ "go.uber.org/goleak"`, "go.uber.org/goleak is at home in"},
		{"real client in the fake", "internal/slackfake/x.go", doc + `package slackfake; import _ "github.com/slack-go/slack"`, "github.com/slack-go/slack is at home in"},
		{"unknown module", "bot/x.go", doc + `package bot; import _ "github.com/pkg/errors"`, "github.com/pkg/errors is not in homes"},
		{"no package doc", "bot/x.go", `package bot`, "package bot has no doc comment"},
		{"package doc of another form", "bot/x.go", "// Sends messages.\npackage bot", "package bot has no doc comment"},
		{"init", "bot/x.go", doc + `package bot; func init() {}`, "func init"},
		{"wide interface", "bot/x.go", doc + `package bot; type Fat interface { A(); B(); C(); D() }`, "Fat has 4 methods"},
		{"wide by embedding", "bot/x.go", doc + `package bot; type In interface { A(); B(); C() }; type Out interface { In; D() }`, "Out has 4 methods"},
		{"wide by a bundle", "bot/x.go", doc + `package bot; type In interface { A(); B(); C() }; type All interface { In }; type Out interface { All; D() }`, "Out has 4 methods"},
		{"package that says nothing", "internal/util/x.go", doc + `package util`, `the name "util" says nothing`},
		{"broken file", "bot/x.go", doc + `package bot; func {`, "bot/x.go"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := violations(t, fstest.MapFS{c.file: {Data: []byte(c.text)}})
			if len(got) != 1 || !strings.Contains(got[0], c.want) {
				t.Errorf("got %q, want one that says %q", got, c.want)
			}
		})
	}
}

// TestArchitectureAllows shows the rules what they must let pass.
func TestArchitectureAllows(t *testing.T) {
	const doc = "// Package x is documented.\n"
	tree := fstest.MapFS{
		"main.go": {Data: []byte("// Whybot answers.\npackage main\nimport (\n_ \"whybot/bot\"\n_ \"whybot/config\"\n" +
			"_ \"whybot/commands/diagnose\"\n_ \"whybot/internal/demo\"\n_ \"os\"\n)")},
		"bot/x.go":                     {Data: []byte(doc + `package bot; import (_ "whybot/commands"; _ "github.com/slack-go/slack/socketmode")`)},
		"bot/x_test.go":                {Data: []byte(`package bot_test; import (_ "whybot/bot"; _ "whybot/internal/slackfake"; _ "go.uber.org/goleak")`)},
		"runners/openstack/x.go":       {Data: []byte(doc + `package openstack; import _ "github.com/gophercloud/gophercloud/v2/openstack"`)},
		"internal/slackfake/x.go":      {Data: []byte(doc + `package slackfake; type Three interface { A(); B(); C() }; type One interface { D() }; type Both interface { Three; One }`)},
		"internal/slackfake/_x.go":     {Data: []byte(`not go`)},
		"bot/testdata/x.go":            {Data: []byte(`not go`)},
		"internal/slackfake/a_test.go": {Data: []byte(`package slackfake; import _ "github.com/slack-go/slack"; func init() {}`)},
	}
	got, files := violations(t, tree)
	if len(got) != 0 || files != 6 {
		t.Errorf("looked at %d files, found %q", files, got)
	}
}

// A goPackage is what the rules look at.
type goPackage struct {
	dir   string
	files map[string]*ast.File // by path
}

// violations returns what breaks a rule in a tree, and how many Go files it has.
func violations(t *testing.T, tree fs.FS) (found []string, files int) {
	t.Helper()
	packages, broken := parse(t, tree)
	found = broken
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		p := packages[dir]
		files += len(p.files)
		for _, rule := range []func(goPackage) []string{wrongArrows, strayModules, missingDoc, inits, wideInterfaces, emptyName} {
			found = append(found, rule(p)...)
		}
	}
	return found, files
}

// parse reads the Go files that go build would look at, tests included.
func parse(t *testing.T, tree fs.FS) (packages map[string]goPackage, broken []string) {
	t.Helper()
	packages = map[string]goPackage{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		hidden := name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_"))
		if entry.IsDir() {
			if hidden || base == "testdata" || name == "bin" {
				return fs.SkipDir
			}
			return nil
		}
		if hidden || path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			broken = append(broken, err.Error())
			return nil
		}
		dir := path.Dir(name)
		if packages[dir].files == nil {
			packages[dir] = goPackage{dir: dir, files: map[string]*ast.File{}}
		}
		packages[dir].files[name] = file
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages, broken
}

// wrongArrows finds imports of our own packages that the design does not have.
func wrongArrows(p goPackage) (found []string) {
	allowed, known := arrowsOf(p.dir)
	if !known {
		return []string{p.dir + " is not in arrows: name it there, with what it may import"}
	}
	for _, file := range p.sorted() {
		for _, imported := range importsOf(p.files[file]) {
			to, ours := ourDir(imported)
			if !ours || to == p.dir && isTest(file) {
				continue
			}
			if matches(allowed, to) || isTest(file) && matches(testsMay, to) {
				continue
			}
			found = append(found, fmt.Sprintf("%s: %s may not import %s", file, p.dir, to))
		}
	}
	return found
}

// arrowsOf returns what a package may import: by its own entry, or else by the
// longest one that stands for a whole tree.
func arrowsOf(dir string) (allowed []string, known bool) {
	if allowed, known = arrows[dir]; known {
		return allowed, true
	}
	trees := slices.SortedFunc(maps.Keys(arrows), func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, entry := range trees {
		if strings.HasSuffix(entry, "/...") && matches([]string{entry}, dir) {
			return arrows[entry], true
		}
	}
	return nil, false
}

// strayModules finds third-party imports away from home.
func strayModules(p goPackage) (found []string) {
	for _, file := range p.sorted() {
		for _, imported := range importsOf(p.files[file]) {
			if _, ours := ourDir(imported); ours || !strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
				continue
			}
			home, known := homeOf(imported)
			switch {
			case !known:
				found = append(found, fmt.Sprintf("%s: %s is not in homes: name it there, with its home", file, imported))
			case !atHome(homes[home], p.dir, file):
				found = append(found, fmt.Sprintf("%s: %s is at home in %s", file, home, strings.Join(homes[home], ", ")))
			}
		}
	}
	return found
}

func homeOf(imported string) (string, bool) {
	for home := range homes {
		if imported == home || strings.HasPrefix(imported, home+"/") {
			return home, true
		}
	}
	return "", false
}

func atHome(entries []string, dir, file string) bool {
	for _, entry := range entries {
		pattern, testsOnly := strings.CutSuffix(entry, "/_test.go")
		if matches([]string{pattern}, dir) && (!testsOnly || isTest(file)) {
			return true
		}
	}
	return false
}

// missingDoc finds packages without a package comment. That of main describes
// the program and may begin as it likes.
func missingDoc(p goPackage) []string {
	product := 0
	for name, file := range p.files {
		if isTest(name) {
			continue
		}
		product++
		if file.Doc != nil && (file.Name.Name == "main" || strings.HasPrefix(file.Doc.Text(), "Package ")) {
			return nil
		}
	}
	if product == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: package %s has no doc comment that begins with \"Package\"", p.dir, path.Base(p.dir))}
}

// inits finds func init: what a program does at its start stands in main.
func inits(p goPackage) (found []string) {
	for _, name := range p.sorted() {
		for _, d := range p.files[name].Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" && !isTest(name) {
				found = append(found, name+": func init: let main, or a package-level variable, call it")
			}
		}
	}
	return found
}

// wideInterfaces finds interfaces with too many methods: their own and those
// that come with an embedded interface of the same package.
func wideInterfaces(p goPackage) (found []string) {
	declared := map[string]*ast.InterfaceType{}
	for _, name := range p.sorted() {
		if isTest(name) {
			continue
		}
		ast.Inspect(p.files[name], func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if i, ok := spec.Type.(*ast.InterfaceType); ok {
					declared[spec.Name.Name] = i
				}
			}
			return true
		})
	}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		bundle := len(declared[name].Methods.List) > 0 && own(declared[name]) == 0
		if n := methods(declared, name, map[string]bool{}); n > maxMethods && !bundle {
			found = append(found, fmt.Sprintf("%s: interface %s has %d methods, more than %d", p.dir, name, n, maxMethods))
		}
	}
	return found
}

// own counts the methods that an interface spells out itself.
func own(i *ast.InterfaceType) int {
	n := 0
	for _, field := range i.Methods.List {
		n += len(field.Names)
	}
	return n
}

// methods counts the methods of an interface with those that are embedded.
func methods(declared map[string]*ast.InterfaceType, name string, seen map[string]bool) int {
	i := declared[name]
	if seen[name] || i == nil {
		return 0
	}
	seen[name] = true
	n := own(i)
	for _, field := range i.Methods.List {
		if embedded, ok := field.Type.(*ast.Ident); ok && len(field.Names) == 0 {
			n += methods(declared, embedded.Name, seen)
		}
	}
	return n
}

// emptyName finds packages whose name says nothing.
func emptyName(p goPackage) []string {
	if base := path.Base(p.dir); slices.Contains(nowhere, base) {
		return []string{fmt.Sprintf("%s: the name %q says nothing: name the package after what it does", p.dir, base)}
	}
	return nil
}

func (p goPackage) sorted() []string { return slices.Sorted(maps.Keys(p.files)) }

func isTest(file string) bool { return strings.HasSuffix(file, "_test.go") }

func importsOf(file *ast.File) []string {
	var paths []string
	for _, spec := range file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// ourDir returns the directory of one of our packages.
func ourDir(imported string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// matches reports whether a directory is one of the entries, or below one that
// ends in "/...". "..." alone is every directory.
func matches(entries []string, dir string) bool {
	return slices.ContainsFunc(entries, func(entry string) bool {
		if entry == "..." {
			return true
		}
		tree, all := strings.CutSuffix(entry, "/...")
		return dir == entry || all && (dir == tree || strings.HasPrefix(dir, tree+"/"))
	})
}
