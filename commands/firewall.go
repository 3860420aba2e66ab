package commands

import (
	"slices"
	"strings"

	"whybot/commands/netfilter"
	"whybot/commands/node"
	"whybot/runners"
)

// A View is one listing of a node's rules. What one program lists another may
// not show, and the kernel consults all of it.
type View struct {
	// Binary is the program that edits these rules: "iptables", "nft", "ebtables",
	// or with the back end's name ("iptables-legacy") where the plain name is the
	// other one.
	Binary string
	// Probe names the listing the rules come from.
	Probe string
	Rules *netfilter.Ruleset
}

// OtherBackend reports whether the view holds iptables rules that the plain
// iptables does not list.
func (v View) OtherBackend() bool {
	_, backend, _ := strings.Cut(v.Binary, "tables-")
	return v.IPTables() && backend != ""
}

// IPTables reports whether the view is one of iptables or ip6tables.
func (v View) IPTables() bool { return strings.HasPrefix(v.Binary, "iptables") || v.IPv6() }

// IPv6 reports whether the view is one of ip6tables.
func (v View) IPv6() bool { return strings.HasPrefix(v.Binary, "ip6tables") }

// A Firewall is everything on a node that may drop a frame.
type Firewall struct {
	Node  string
	Views []View
	// Hidden says why part of it is not known; nil when all of it is.
	Hidden error
	// Foreign are nft tables that may drop and could not be evaluated.
	Foreign []string
	// IPForward is net.ipv4.ip_forward.
	IPForward netfilter.Tri

	merged   *netfilter.Ruleset // all views, in which a frame meets them
	switches netfilter.BridgeNetfilter
	// switches6 are those of IPv6 frames; nothing is known of them unless the
	// path is about IPv6.
	switches6 netfilter.BridgeNetfilter
	links     node.Links
}

// Firewall returns what filters frames on nodeName. Its error says why nothing
// is known; what is known in part has Hidden set.
func (p *Pass) Firewall(nodeName string) (*Firewall, error) {
	if f, ok := p.firewalls[nodeName]; ok {
		return f, nil
	}
	links, err := p.Links(nodeName)
	if err != nil {
		return nil, err
	}
	f := &Firewall{Node: nodeName, links: links}
	r := p.readings[nodeName]
	if err := f.readTables(r); err != nil {
		return nil, err
	}
	f.readNFT(r)
	if out, err := p.Output(nodeName, "bridge-nf"); err == nil {
		f.switches.Loaded = netfilter.Truth(out.ExitCode == 0)
		f.switches.Sysctl = flag(out)
	}
	f.switches6 = netfilter.BridgeNetfilter{IPv6: true, Loaded: f.switches.Loaded}
	if out, err := p.Output(nodeName, "bridge-nf6"); err == nil {
		f.switches6.Sysctl = flag(out)
	}
	if out, err := p.Output(nodeName, "ip-forward"); err == nil {
		f.IPForward = flag(out)
	}
	rules := make([]*netfilter.Ruleset, 0, len(f.Views))
	for _, v := range f.Views {
		rules = append(rules, v.Rules)
	}
	sets, err := p.ipsets(nodeName, r)
	if err != nil {
		return nil, err
	}
	f.merged = netfilter.Merge(rules...).WithSets(sets)
	p.firewalls[nodeName] = f
	return f, nil
}

// ipsets returns the sets that rules may ask for. Where they cannot be listed,
// such rules are undecided.
func (p *Pass) ipsets(nodeName string, r reading) (*netfilter.IPSets, error) {
	text, err := whole(nodeName, r, "ipset-save")
	if err != nil {
		text = ""
	}
	sets, err := netfilter.ParseIPSets(text)
	if err != nil {
		return nil, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: "ipset save", Hint: err.Error(), Err: err}
	}
	return sets, nil
}

// flag reads a file of /proc/sys that holds 0 or 1.
func flag(out runners.Output) netfilter.Tri {
	switch strings.TrimSpace(out.Stdout) {
	case "1":
		return netfilter.Yes
	case "0":
		return netfilter.No
	}
	return netfilter.Unknown
}

// readTables reads what iptables and ebtables list, each by the plain name and
// by that of the back end the plain name is not. The plain iptables must be
// there.
func (f *Firewall) readTables(r reading) error {
	plain, err := listing(f.Node, r, "iptables-save")
	if err != nil {
		return err
	}
	f.Views = append(f.Views, View{Binary: "iptables", Probe: "iptables-save", Rules: plain})
	f.readOther(r, "iptables")
	f.readOptional(r, "ebtables")
	if _, asked := r.results["ip6tables-save"]; asked {
		f.readOptional(r, "ip6tables")
	}
	return nil
}

// readOptional reads what a program lists that need not be there: then it has
// no rules.
func (f *Firewall) readOptional(r reading, program string) {
	probe := program + "-save"
	rules, err := listing(f.Node, r, probe)
	switch {
	case err == nil:
		f.Views = append(f.Views, View{Binary: program, Probe: probe, Rules: rules})
		f.readOther(r, program)
	case runners.KindOf(err) != runners.MissingProgram:
		f.Hidden = err
	}
}

// readOther reads the back end of a program that its plain name is not.
func (f *Firewall) readOther(r reading, program string) {
	other := program + "-nft"
	if v, ok := r.results[program+"-version"]; ok && strings.Contains(v.Output.Stdout, "nf_tables") {
		other = program + "-legacy"
	}
	rules, err := listing(f.Node, r, other+"-save")
	switch {
	case err == nil:
		f.Views = append(f.Views, View{Binary: other, Probe: other + "-save", Rules: rules})
	case runners.KindOf(err) != runners.MissingProgram:
		f.Hidden = err
	case netfilter.OtherBackendWarning(r.results[program+"-save"].Output.Stderr):
		f.Hidden = err // the other back end holds rules, and its program is not there to list them
	}
}

// nftProbe lists all of nftables as JSON.
const nftProbe = "nft-ruleset"

// readNFT reads the tables of nftables that no other program lists. Where nft
// cannot print JSON, its text still tells whether there is anything that may
// drop.
func (f *Firewall) readNFT(r reading) {
	rules, err := listing(f.Node, r, nftProbe)
	if err == nil {
		rest := rules.Without(func(t *netfilter.Table) bool { return f.listedElsewhere(r, t) })
		f.Views = append(f.Views, View{Binary: "nft", Probe: nftProbe, Rules: rest})
		return
	}
	f.leftToNFT(r, err)
	if runners.KindOf(err) == runners.MissingProgram {
		return
	}
	text, textErr := whole(f.Node, r, "nft-text")
	if textErr != nil {
		f.Hidden = err
		return
	}
	// Which tables are iptables' own is said on stderr by newer versions.
	f.Foreign = node.ForeignTables(r.results["nft-text"].Output.Stderr + "\n" + text)
}

// listedElsewhere reports whether a table of nft is one that iptables-nft or
// ebtables-nft has listed, in words that say more.
func (f *Firewall) listedElsewhere(r reading, t *netfilter.Table) bool {
	if !t.LikeIPTables() {
		return t.Family == "arp"
	}
	program := map[string]string{"ip": "iptables", "ip6": "ip6tables", "bridge": "ebtables"}[t.Family]
	return slices.ContainsFunc(f.Views, func(v View) bool {
		if program == "" || !strings.HasPrefix(v.Binary, program) || !f.speaksNFT(r, v.Binary) {
			return false
		}
		return !slices.Contains(incompatible(r, v.Probe), t.Name)
	})
}

// incompatible returns the tables that a listing leaves to nft.
func incompatible(r reading, probe string) []string {
	out := r.results[probe].Output
	names, _ := netfilter.IncompatibleTables(out.Stdout + "\n" + out.Stderr)
	return names
}

// leftToNFT hides the firewall where a program left a table to nft, which did
// not list it.
func (f *Firewall) leftToNFT(r reading, why error) {
	for _, v := range f.Views {
		if names := incompatible(r, v.Probe); len(names) > 0 {
			f.Hidden = &runners.Error{
				Kind: runners.Invalid, Runner: "ssh", Target: f.Node, Op: v.Probe, Err: why,
				Hint: "table " + strings.Join(names, ", ") + " is left to nft, which could not list it",
			}
		}
	}
}

// speaksNFT reports whether a program's rules are kept by nftables.
func (f *Firewall) speaksNFT(r reading, binary string) bool {
	program, backend, named := strings.Cut(binary, "-")
	if named {
		return backend == "nft"
	}
	return strings.Contains(r.results[program+"-version"].Output.Stdout, "nf_tables")
}

// whole returns what a probe of a reading printed, if that is all of it.
func whole(nodeName string, r reading, probe string) (string, error) {
	if r.err != nil {
		return "", r.err
	}
	res, ok := r.results[probe]
	switch {
	case !ok:
		return "", &runners.Error{Runner: "ssh", Target: nodeName, Op: probe, Hint: "the probe was not sent"}
	case res.Err != nil:
		return "", res.Err
	case res.Output.Truncated || res.Output.ExitCode != 0:
		return "", &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: probe, Hint: "the listing is incomplete"}
	}
	return res.Output.Stdout, nil
}

// listing parses what a probe of a reading printed.
func listing(nodeName string, r reading, probe string) (*netfilter.Ruleset, error) {
	text, err := whole(nodeName, r, probe)
	if err != nil {
		return nil, err
	}
	parse := netfilter.Parse
	switch {
	case probe == nftProbe:
		parse = netfilter.ParseNFT
	case strings.HasPrefix(probe, "ebtables"):
		parse = netfilter.ParseEbtables
	}
	if probe != nftProbe {
		_, text = netfilter.IncompatibleTables(text) // nft lists those
	}
	rules, err := parse(text)
	if err != nil {
		return nil, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: probe, Hint: err.Error(), Err: err}
	}
	return rules, nil
}

// view returns the view that holds what decides.
func (f *Firewall) view(e netfilter.Ending) View {
	for _, v := range f.Views {
		for _, t := range v.Rules.Tables {
			if e.Base != nil && slices.Contains(t.Chains, e.Base) {
				return v
			}
		}
	}
	return f.Views[0]
}
