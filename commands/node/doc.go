// Package node reads what a Linux node says about its links, its DHCP
// namespace and its dnsmasq: the probes to run, and their outputs as typed
// facts. It knows nothing of questions or verdicts.
package node
