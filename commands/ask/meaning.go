package ask

// A meaning is a set of things a word can stand for. Words of every language
// map to the same meanings.
type meaning uint64

const (
	// What a question is about.
	addr     meaning = 1 << iota // an address, a lease, a network configuration
	dhcp                         // the protocol or its messages
	autoconf                     // an address a guest gave itself: DHCP did not
	floating                     // an address that DHCP does not hand out
	ping                         // ICMP, or tracing
	reach                        // connecting, routing, losing packets
	network                      // the network as a whole
	console                      // a VM's screen
	metadata                     // the metadata service and what reads it
	volume                       // a disk
	machine                      // a VM, said as a noun
	host                         // a node below the VMs, said as a noun
	agent                        // a service on a node

	// What went wrong with it.
	not     // a negation
	lack    // none there
	fail    // broken, late, refused
	problem // a noun for trouble: "no problem" is none
	blank   // how a console that does not work looks
	busy    // something holds it
	stuck   // it does not move on

	// What is or was being done.
	get  // obtain
	have // have, or show to have
	remove
	removed // the removal has happened
	left    // still there afterwards
	still
	together
	after
	open
	fix
	approve
	verify
	change

	// How it is being asked.
	resolved // it works: nothing to do
	dont     // a request not to act
	but
	why
	who
	which
	show
	happened
	history
	incident
	often
	before
	whatDid
	asksPast // "has", "did" as a question's first word
	asksWhen
	asks // a mark or particle that ends a question
	past // 过: it has happened some time
	limitOne

	// Roles.
	from
	to
	and
	mutual
	called
	at
	article
	since
	aux

	// What a token is, besides words.
	isName
	isIP
	isIncident
)

const (
	trouble = not | lack | fail | problem | blank | busy | stuck
	anyName = isName | isIP
)

func (m meaning) has(any meaning) bool { return m&any != 0 }
