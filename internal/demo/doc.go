// Package demo is a small cloud in memory and the conversation of `whybot
// demo` over it: a network node, a compute node and two guests, as far as a
// DHCP frame and an ARP request can tell.
//
// It is a model, not a script. Frames walk from link to link; at each bridge
// they are judged by the rules that are in the node's tables at that moment,
// and every rule that matches counts them. So a fix that the engine makes here
// cures the guest because the frames pass, and its undo breaks it again.
// Everything above the nodes is the product's own: engine, diagnoses, fixes,
// firewall evaluator, store and report.
package demo
