// Package commandstest runs the real Engine over a fixture: a text file that
// says what OpenStack, the nodes and the captures show, and what must be said
// of it.
//
// A fixture is a txtar archive. It states only what differs from a base, which
// is a fixture too. Its sections, read in order:
//
//	over/FILE                  another base beside the first, over that one
//	question                   as typed; it is always about the cloud's server
//	cloud                      what Neutron and Nova say, one `key: words` line each
//	node/NODE                  `error: KIND` for a node that cannot be asked; `too slow`
//	                           keeps the engine waiting;
//	                           `like: OTHER`, then edits, for a node as another is
//	probe/NODE/NAME            what a probe prints
//	change/NODE/NAME           edits of what it prints in the base
//	probe2/NODE/NAME           what it prints after the packet stage
//	change2/NODE/NAME          edits of that
//	capture/NODE/DEVICE        the frames of a hop, one a line; either word may be *
//	options                    `no-capture`, `no-echo`
//	want                       the answer, as Lines has it
//
// Of the cloud, what a line does not say is as it should be: agents are alive
// (alive=no) and were heard of when the others were (heard=SECONDS before),
// ports and the network are enabled (admin=down). A port's ip=none has no
// address; to=HOST is where it is migrating. spare-agent is a DHCP agent that
// does not host the network. `use: hidden` hides how full the subnets are.
//
// Probes and captures may begin with `error: KIND`; probes also with `exit: N`,
// `stderr: TEXT` and `truncated: yes`. An edit is one of
//
//	replace OLD => NEW         OLD stands exactly once in the text
//	delete TEXT                the one line that has TEXT
//	insert LINE after TEXT     behind the one line that has TEXT
//	begin LINE                 in front of everything
//
// and a frame is
//
//	+1.000 discover            also request, renew, offer, ack, nak
//	+1.000 solicit             of DHCPv6; also request6, information; advertise6, reply6,
//	                           options6 (a reply without an address), refuse6
//	+1.000 rs                  and ra, ra-managed, ra-other, ra-foreign (another prefix)
//	+1.000 ra from outside     of a router that is not Neutron's
//	+1.001 offer from ADDRESS  when the network has several servers
//	+1.000 discover to ADDRESS inside a tunnel, when not to the other node's end
//
//	+1.000 who-has             of a ping by the guest; also is-at, echo, echo-reply, and
//	                           who-has-back and so on of one by its peer
//
// behind which may stand `from ADDRESS@MAC` for a server that is not Neutron's,
// `gives ADDRESS`, `sum good` or `sum bad` for its UDP checksum, and `tag N` for
// another tag on a NIC than the network's.
//
// Time is simulated: a question that listens for 20 s takes milliseconds, and
// the engine sees every frame when the fixture says.
package commandstest
