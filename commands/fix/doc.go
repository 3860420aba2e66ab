// Package fix holds whybot's fixes, one file each, and the kinds of steps
// they are made of.
//
// A fix plans: it turns a finding's suggestion into steps from what has been
// read, or says why it cannot be offered. A step is data; its kind says how to
// read its place, how to make it and how to take it back. Nothing here talks
// to a node.
package fix
