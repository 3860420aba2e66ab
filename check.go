package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

// A row is one line of the table of `whybot check`.
type row struct {
	what   string
	ok     bool
	detail string
	cure   string
	warn   bool // nothing is missing, and yet somebody should look
}

func (e environment) check(ctx context.Context) error {
	var configFile string
	words, err := flags("check", e.args, func(fs *flag.FlagSet) { fs.StringVar(&configFile, "config", "", "") })
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return usageError{errors.New("check takes no words")}
	}
	a, err := e.open(ctx, configFile)
	if err != nil {
		return err
	}
	defer a.close()
	rows := []row{
		{what: "config", ok: true, detail: a.config.File},
		{what: "store", ok: true, detail: a.config.Store.Path},
	}
	for _, r := range a.cloud.Check(ctx) {
		rows = append(rows, row{what: r.What, ok: r.OK, detail: r.Detail, cure: r.Cure})
	}
	rows = append(rows, a.checkVSphere(ctx)...)
	nodes, err := a.cloud.Hosts(ctx)
	if err != nil {
		rows = append(rows, row{what: "nodes", detail: err.Error(), cure: "whybot cannot try ssh without knowing the nodes"})
	}
	need, err := rightsOf(a.nodes)
	if err != nil {
		return err
	}
	perNode, _ := runners.Each(ctx, a.config.SSH.FanOut, nodes, func(ctx context.Context, n string) ([]row, error) {
		return a.checkNode(ctx, n, need), nil
	})
	rows = append(rows, slices.Concat(perNode...)...)
	return e.table(rows)
}

// checkVSphere tries the vCenter, where one is named.
func (a *app) checkVSphere(ctx context.Context) []row {
	if a.vms == nil {
		return nil
	}
	var rows []row
	for _, r := range a.vms.Check(ctx) {
		rows = append(rows, row{what: r.What, ok: r.OK, detail: r.Detail, cure: r.Cure})
	}
	return rows
}

func (e environment) table(rows []row) error {
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	bad := 0
	for _, r := range rows {
		mark := "ok"
		switch {
		case !r.ok:
			mark, bad = "MISSING", bad+1
		case r.warn:
			mark = "WARNING"
		}
		line := r.detail
		if r.cure != "" {
			line += " -> " + r.cure
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", mark, commands.Clean(r.what, 80), commands.Clean(line, 300))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if bad > 0 {
		fmt.Fprintf(e.out, "\n%d of %d checks found something missing.\n", bad, len(rows))
		return silentError{exitFailed}
	}
	return nil
}

// nodeProbes are the commands whybot runs on nodes, as they are run.
func nodeProbes() []runners.Probe {
	probes := append([]runners.Probe{{Name: "clock", Argv: []string{"date", "+%s.%N"}}, node.LinksProbe()}, node.FirewallProbes()...)
	return append(
		probes,
		runners.Probe{Name: "tcpdump", Argv: []string{"tcpdump", "--version"}},
		runners.Probe{Name: "timeout", Argv: []string{"timeout", "--version"}},
	)
}

// checkNode tries everything whybot does on a node but change it.
func (a *app) checkNode(ctx context.Context, n string, need rights) []row {
	start := time.Now()
	results, err := a.nodes.Run(ctx, n, nodeProbes())
	if err != nil {
		return []row{{what: "ssh " + n, detail: err.Error()}}
	}
	rows := []row{{what: "ssh " + n, ok: true, detail: fmt.Sprintf("%d commands in %d ms", len(results), time.Since(start).Milliseconds())}}
	for _, r := range results {
		switch {
		case r.Err != nil && optional(r):
		case r.Err != nil:
			rows = append(rows, row{what: n + ": " + r.Probe.Name, detail: r.Err.Error(), cure: cureOf(r)})
		case r.Probe.Name == "clock":
			rows = append(rows, skew(n, r.Output, start, time.Now()))
		}
	}
	return append(rows, a.checkRights(ctx, n, need)...)
}

// optional reports whether a node may well be without the program: the other
// back ends, nft, ebtables and ipset.
func optional(r runners.Result) bool {
	switch r.Probe.Name {
	case "iptables-legacy-save", "iptables-nft-save", "nft-ruleset", "nft-text", "ipset-save",
		"ebtables-version", "ebtables-save", "ebtables-legacy-save", "ebtables-nft-save":
		return runners.KindOf(r.Err) == runners.MissingProgram
	}
	return false
}

func cureOf(r runners.Result) string {
	switch runners.KindOf(r.Err) {
	case runners.MissingProgram:
		return "install " + r.Probe.Argv[0]
	case runners.Sudo:
		return "whybot sudoers prints what to allow"
	default:
		return ""
	}
}

// maxSkew is how far a node's clock may be off before its captures and logs
// cannot be laid beside others.
const maxSkew = 2 * time.Second

func skew(n string, out runners.Output, start, end time.Time) row {
	sec, _, _ := strings.Cut(strings.TrimSpace(out.Stdout), ".")
	s, err := strconv.ParseInt(sec, 10, 64)
	if err != nil {
		return row{what: n + ": clock", detail: "date said " + commands.Clean(out.Stdout, 40), cure: "look at the node"}
	}
	there := time.Unix(s, 0)
	if there.Before(start.Add(-maxSkew)) || there.After(end.Add(maxSkew)) {
		return row{what: n + ": clock", detail: "it is " + there.UTC().Format(time.DateTime) + " there", cure: "look at chrony or ntp on " + n}
	}
	return row{what: n + ": clock", ok: true, detail: "within " + maxSkew.String()}
}
