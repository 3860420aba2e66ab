// Package differential proves the netfilter evaluator against the kernel it
// speaks about: it writes random rule sets, loads each into a node of its own
// (a network namespace with a bridge and two routed interfaces), puts real
// packets on the wire, and compares what arrived and what every rule counted
// with what the evaluator says of the listing.
//
// A rule set, and the packets sent through it, follow from one number, its
// seed. What disagrees is made smaller while it still disagrees and printed
// with its seed, so that it can be run again alone.
package differential
