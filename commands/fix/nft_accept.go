package fix

import (
	"fmt"
	"regexp"
	"strings"

	"whybot/commands"
)

// NFTAccept lets the frames of one bridge pass above the rule of nftables that
// drops them. Args: family, table and chain of the base chain; handle and before
// (the text) of its rule to stand above, none for a policy; bridge; port (the
// bridge port, for tables of the family bridge).
var NFTAccept = register(&commands.Fix{
	Name: "nft-accept",
	Doc: `Insert a narrow accept into the nftables chain that drops the frames.

In tables of the IP layer it matches frames that come and leave by the network's
bridge, so nothing that is routed is opened; in tables of the family bridge, one
bridge port. Whoever wrote the table forgets it at the next reload.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Accept frames of %s in %s %s of %s", nftScope(s.Args), s.Args["table"], s.Args["chain"], s.Node)
	},
	Plan: func(_ *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		if owner := chainOwner(s.Args["table"], s.Args["chain"]); owner != "" {
			return nil, &commands.Error{
				Code: commands.CodeInvalid, Public: fmt.Sprintf("The chain %s of table %s belongs to %s, which writes it itself.", s.Args["chain"], s.Args["table"], owner),
				Hint: "Make the exception there.",
			}
		}
		return nftSteps(s)
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{"Only frames that stay inside " + nftScope(s.Args) + " on " + s.Node + ". A reload of what wrote the table (firewalld, nftables.service) forgets it."}
	},
})

// nftScope is what the rule is limited to.
func nftScope(args map[string]string) string {
	if args["family"] == "bridge" {
		return args["port"]
	}
	return args["bridge"]
}

// chainOwners are programs that keep tables of their own and write them again
// whenever they like, by words in the names of their tables and chains.
var chainOwners = map[string]string{
	"neutron": "neutron", "docker": "docker", "kube": "kube-proxy", "cali": "calico", "libvirt": "libvirt", "cilium": "cilium",
}

// chainOwner returns the program that owns a chain, "" when nobody is known to.
func chainOwner(table, chain string) string {
	for word, owner := range chainOwners {
		if strings.Contains(strings.ToLower(table), word) || strings.Contains(strings.ToLower(chain), word) {
			return owner
		}
	}
	return ""
}

// nftWord is what may stand in a command of nft as it is: names of tables,
// chains and devices of ordinary making. Others cannot be planned for.
var nftWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

func nftSteps(s commands.Suggestion) ([]commands.Step, error) {
	for _, key := range []string{"family", "table", "chain", "bridge", "port"} {
		if !nftWord.MatchString(s.Args[key]) {
			return nil, &commands.Error{Code: commands.CodeInvalid, Public: fmt.Sprintf("The %s %q is no name whybot puts into a command of nft.", key, commands.Clean(s.Args[key], 40))}
		}
	}
	matches := [][]string{{"iifname", quoted(s.Args["bridge"]), "oifname", quoted(s.Args["bridge"])}}
	if s.Args["family"] == "bridge" {
		matches = [][]string{{"iifname", quoted(s.Args["port"])}, {"oifname", quoted(s.Args["port"])}}
	}
	var steps []commands.Step
	for _, match := range matches {
		steps = append(steps, commands.Step{
			Kind: insertNFT.Name, Node: s.Node, Words: append(match, "counter", "accept"),
			Args: map[string]string{
				"family": s.Args["family"], "table": s.Args["table"], "chain": s.Args["chain"], "handle": s.Args["handle"], "before": s.Args["before"],
				"comment": "whybot " + strings.ReplaceAll(strings.Join(match, " "), `"`, ""),
			},
		})
	}
	return steps, nil
}

func quoted(name string) string { return `"` + name + `"` }
