// Package lab is a small OpenStack cloud with real kernels: controllers and
// compute nodes are machines made of namespaces, each with its own file
// system, process table, iptables and sshd; they are joined by a virtual
// switch, and Neutron's linuxbridge wiring, its iptables chains and a real
// dnsmasq run on them. Guests are namespaces behind taps that keep asking for
// an address. It exists for whybot's tests, accuracy run and demo.
//
// A lab needs root and Linux. Everything it makes carries a random suffix, so
// several labs can be up at once, and dies with the process that made it; Sweep
// removes the names and mounts a killed process could not.
//
//	root ns  -(oob)-  eth0 of each machine: SSH, 10.199.N.0/24
//	vswitch  -------  eth3 of each machine: the trunk (physnet1)
//	                  eth3 - eth3.3092 - brq<net> - tap<port> - guest
//	                  eth3 - eth3.3092 - brq<net> - tap<port> - ns-<port> in qdhcp-<net>: dnsmasq
//
//	                  eth1 (172.30.200.0/24) - vxlan-1207 - brq<net> - tap<port> - guest
//
// Where a kernel has no 8021q, see the comment at the head of vlan.go for what
// stands in for it. There is no systemd: systemctl is a script that knows the
// units that matter and does what they do in real life (restarting iptables
// loses Neutron's chains, restarting the linuxbridge agent restores them).
package lab
