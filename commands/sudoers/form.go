package sudoers

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"whybot/commands/node"
	"whybot/runners"
)

// A form is what a word of a command, or a part of one, may be. Commands are
// made with its sample, which nothing else in them looks like; where the sample
// stands in the command, the pattern stands in the rule.
type form struct {
	sample string
	// pattern is a POSIX extended regular expression without *, so that a sudo
	// that takes it for a shell pattern finds nothing wide in it. Empty is a
	// value that no command may hold.
	pattern string
}

// Patterns. None of them takes a word that begins with a dash for anything but
// the option it names.
const (
	uuid     = `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`
	device   = `[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}`
	hostname = `[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}`
	address  = `[0-9a-f.:]{2,45}`
	mac      = `[0-9a-f]{2}(:[0-9a-f]{2}){5}`
	clientID = `[0-9a-f]{2}(:[0-9a-f]{2}){1,63}`
	number   = `[0-9]{1,9}`
	name     = `[A-Za-z_][A-Za-z0-9_.-]{0,63}`
	fixName  = `[A-Za-z0-9_][A-Za-z0-9_-]{0,63}`
	printed  = `[ -~]+`
	// spec is a rule of iptables without the options that name a program to run
	// as root (--modprobe, -M, and whatever getopt takes for them) or another
	// table. Every letter that is an option has an argument, so that no other hides
	// behind it.
	spec = `(-[sdiopmjg]|--[a-ln-su-z][a-z0-9-]+|--m[a-np-z][a-z0-9-]+|--t[b-z][a-z0-9-]+|[!-,.-~]([!-~]+)?)`
	// nftDevice is a quoted name.
	nftDevice = `"[A-Za-z_][A-Za-z0-9_.-]{0,14}"`
)

// scopeForms are the forms of the fields of commands.Scope.
var scopeForms = map[string]form{
	"Node":      {"wbnode-sample", hostname},
	"NetworkID": {networkSample, uuid},
	"VXLAN":     {"wbvxlan-sample", device},
	"Routers":   {"5f1d0c44-2a6b-4e0f-8b19-7d3c95e06a21", uuid},
	"Volume":    {"71a4be02-9d58-4c3e-a6f1-08d2c7b95e43", uuid},
}

const networkSample = "9b2e64d1-70c3-4f5a-b8d6-1e4a0c7f3952"

// optionalScope are the fields of a scope that may be empty.
var optionalScope = []string{"VXLAN", "Routers", "Volume"}

// argForms are the forms of a step's arguments.
var argForms = map[string]form{
	"device": {"wbdevice-sample", device}, "master": {"wbmaster-sample", device}, "parent": {"wbparent-sample", device},
	"bridge": {"wbbridge-sample", device}, "port": {"wbport-sample", device}, "before": {"wbbefore-sample", device},
	"vlan": {"3141", `[0-9]{1,4}`}, "was": {"2917", `[0-9]{1,4}`}, "mtu": {"91173", `[0-9]{1,5}`}, "delay": {"27183", `[0-9]{1,6}`},
	"position": {"16180", `[0-9]{1,6}`}, "handle": {"14142", number}, "found": {"17320", number}, "line": {"26457", `[0-9]{1,6}`},
	"namespace": {node.Namespace(networkSample), `qdhcp-` + uuid},
	"network":   {networkSample, uuid}, "agent": {"c3a9d7e0-4b15-4c62-9f80-2d6e1b5a7c34", uuid},
	"address": {"203.0.113.77", address}, "peer": {"198.51.100.88", address},
	"mac": {"02:00:5e:10:00:77", mac}, "client": {"ff:5e:10:99:01", clientID},
	"family": {"netdev", `(ip|ip6|inet|arp|bridge|netdev)`},
	"table":  {"wbtable_sample", name}, "chain": {"WBCHAIN_SAMPLE", name},
	"comment": {"whybot comment-sample", `whybot [A-Za-z0-9_. -]{1,80}`},
	// What stays with whybot.
	"rest": {"wbrest-sample", ""}, "after": {"wbafter-sample", ""}, "pid": {"wbpid-sample", ""},
	"kind": {"wbkind-sample", ""}, "id": {"wbid-sample", ""}, "attribute": {"wbattribute-sample", ""},
	"from": {"wbfrom-sample", ""}, "to": {"wbto-sample", ""}, "host": {"wbhost-sample", ""},
	"version": {"wbversion-sample", ""}, "shown": {"wbshown-sample", ""}, "unshown": {"wbhidden-sample", ""},
}

// switches are the arguments whose value means something to the step.
var switches = map[string]string{"made": "yes"}

// optionalArgs are those that a step may have empty.
var optionalArgs = []string{"position", "before", "handle", "client", "address"}

// listedArgs are the arguments of which each value has a rule of its own.
func listedArgs() map[string][]string {
	var binaries, units []string
	for _, p := range slices.Concat(node.FirewallProbes(), node.FirewallProbesIPv6()) {
		if b, saves := strings.CutSuffix(p.Argv[0], "-save"); saves && strings.HasPrefix(b, "ip") {
			binaries = append(binaries, b)
		}
	}
	for _, w := range node.UnitsProbe().Argv {
		if u, is := strings.CutSuffix(w, ".service"); is {
			units = append(units, u)
		}
	}
	return map[string][]string{"binary": binaries, "unit": units, "file": slices.Concat(node.RuleFiles, node.RuleFilesIPv6)}
}

// wordForms are the forms of the words of the kinds of step that have some.
var wordForms = map[string]form{
	"insert-rule":     {"-m comment --comment wbrule-sample -j ACCEPT", spec + `( ` + spec + `)+`},
	"delete-rule":     {"-m comment --comment wbrule-sample -j ACCEPT", spec + `( ` + spec + `)+`},
	"insert-nft-rule": {`iifname "wbnft-sample" counter accept`, `[io]ifname ` + nftDevice + `( oifname ` + nftDevice + `)? counter accept`},
}

// noWords are the words of the kinds of step that are not known to have any.
const noWords = "wbwords-sample"

// Forms of what is not of a scope or a step.
var (
	filterForm = form{"ether host 02:00:5e:10:00:99 and wbfilter-sample", printed}
	fixForm    = form{"fx-wbcommit-sample", fixName}
	tokenForm  = form{"112358132134", `[0-9]{1,15}`}
	waitForm   = form{"2357", `[0-9]{1,4}`}
	// planForm is the plan of a commit, every word of which the helper checks.
	planForm = form{"guard wbsum-sample 1 wbguard-sample step do 1 wbdo-sample undo 1 wbundo-sample", `guard ` + printed}
)

// sampleCommit is a commit of samples; its plan is planForm's.
func sampleCommit() runners.Commit {
	return runners.Commit{
		ID: fixForm.sample, Token: 112358132134, Wait: 2357e9,
		Guards: []runners.Listing{{Argv: []string{"wbguard-sample"}, Sum: "wbsum-sample"}},
		Steps:  []runners.Reversible{{Do: [][]string{{"wbdo-sample"}}, Undo: [][]string{{"wbundo-sample"}}}},
	}
}

// samples are all forms, those with the longest samples first: a sample may
// hold another.
var samples = sync.OnceValue(func() []form {
	all := []form{filterForm, fixForm, tokenForm, waitForm, planForm, {noWords, ""}}
	for _, m := range []map[string]form{scopeForms, argForms, wordForms} {
		for _, f := range m {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	slices.SortFunc(all, func(a, b form) int {
		return cmp.Or(cmp.Compare(len(b.sample), len(a.sample)), cmp.Compare(a.sample, b.sample))
	})
	return all
})
