// Package netfilter answers one question: given a node's firewall listing and
// one packet at one hook, which rule decides, and why.
//
// A front end parses a listing into a rule model, and the evaluator walks the
// base chains of a hook in the kernel's priority order. Parse reads
// iptables-save and ip6tables-save of either back end, ParseNFT what
// nft -j list ruleset prints, ParseEbtables and ParseArptables the older tools
// of the bridge, ParseIPSets the sets that iptables' rules ask for.
//
// A match is a small value with a three-valued answer; what the packet or the
// listing does not tell is Unknown and stays so: where both continuations of an
// unknown match end alike the verdict is known, otherwise the Decision is
// Unknown and names the rules that blocked it.
//
// "The rule is listed" is never a verdict. The same REJECT is harmless behind
// an earlier ACCEPT, or where bridged frames are not shown to iptables at all
// (see BridgeNetfilter).
//
// One Ruleset is one view. A node may hold several at once (iptables-nft,
// iptables-legacy, native nft tables, those of ebtables), the kernel consults
// all of them, and a packet survives only if every one lets it pass: evaluate
// each view, or Merge them, which also shows one view what another does to the
// packet's mark or address. The tables that iptables-nft and its likes keep
// stand in the listing of nft too, with much hidden: leave them out there (see
// Table.LikeIPTables) where their own program could list them.
//
// A frame that crosses a bridge meets, in this order, the chains of the device
// it comes in by (TraverseDevice), those of the bridge (LayerBridge), where
// br_netfilter shows it there those of the IP layer (LayerIP) or of ARP
// (LayerARP), and the chains of the device it leaves by.
package netfilter
