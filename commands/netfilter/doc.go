// Package netfilter answers one question: given a node's firewall listing and
// one packet at one hook, which rule decides, and why.
//
// A front end parses a listing into a rule model (Parse reads the text of
// iptables-save, of either back end), and the evaluator walks the base chains
// of a hook in the kernel's priority order. A match is a small value with a
// three-valued answer; what the packet or the listing does not tell is Unknown
// and stays so: where both continuations of an unknown match end alike the
// verdict is known, otherwise the Decision is Unknown and names the rules that
// blocked it.
//
// "The rule is listed" is never a verdict. The same REJECT is harmless behind
// an earlier ACCEPT, or where bridged frames are not shown to iptables at all
// (see BridgeNetfilter).
//
// One Ruleset is one view. A node may hold three at once (iptables-nft,
// iptables-legacy, native nft tables), the kernel consults all of them, and a
// packet survives only if every one lets it pass: evaluate each view. Rules of
// ip6tables-save parse alike; hand IPv6 packets to those only.
package netfilter
