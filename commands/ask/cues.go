package ask

import "whybot/commands"

// A scope says where the meanings of a cue have to be found.
type scope uint8

const (
	anywhere scope = iota // somewhere in the text
	clause                // in one clause, in any order
	inOrder               // in one clause, in this order, at most reachAhead tokens apart
)

// reachAhead lets "can't web-1 seem to get an ip" still be one thing.
const reachAhead = 4

// A cue is a combination of meanings that speaks for a kind of question. Each
// element of all is a set of which one has to be met; no token of without may
// be met in the scope (inOrder: between the first and the last).
type cue struct {
	kind    commands.Kind
	weight  int
	scope   scope
	all     []meaning
	without meaning
}

// Weights. The gaps are what matters: a cue in order says more than one in a
// clause, which says more than one anywhere.
const (
	decisive = 20
	strong   = 16
	usual    = 12
	weak     = 8
	faint    = 4
)

// broken is what can be wrong with anything.
const broken = not | lack | fail | problem | stuck

var cues = []cue{
	// No address. The pairs in order hold even where other things are named
	// in the same clause: "no ip on web-1, seen on its console".
	{commands.KindDHCP, strong + 2, inOrder, []meaning{not | fail, get | have, addr | dhcp}, floating | ping | reach | console | remove | metadata},
	{commands.KindDHCP, strong + 2, inOrder, []meaning{not | lack, addr}, floating | ping | reach | console | remove | open | metadata | get | have | volume | at},
	{commands.KindDHCP, strong + 2, inOrder, []meaning{get | have, not | lack, addr}, floating | ping | reach | console | remove | metadata},
	{commands.KindDHCP, strong, inOrder, []meaning{addr, broken}, floating | ping | reach | console | remove | open | metadata | volume},
	{commands.KindDHCP, usual, clause, []meaning{addr, broken}, floating | ping | reach | console | remove | volume | metadata},
	{commands.KindDHCP, usual, clause, []meaning{dhcp, broken}, floating | ping | console | remove | volume | metadata},
	{commands.KindDHCP, usual, clause, []meaning{autoconf}, ping | reach | metadata | console},
	{commands.KindDHCP, weak, anywhere, []meaning{isIP, get | have, lack}, ping | reach | console | remove | removed | volume | floating | metadata},
	{commands.KindDHCP, weak, anywhere, []meaning{isIP, get, not}, ping | reach | console | remove | removed | volume | floating | metadata},
	{commands.KindDHCP, faint + 1, anywhere, []meaning{addr | dhcp, broken}, floating | ping | reach | console | remove | removed | volume | metadata},

	{commands.KindPing, usual + 1, clause, []meaning{ping | reach, broken}, console | metadata | dhcp},
	{commands.KindPing, weak, clause, []meaning{network, broken}, console | metadata | dhcp | addr | volume | remove},
	{commands.KindPing, faint, anywhere, []meaning{ping | reach, broken}, console | metadata | dhcp | addr | volume},

	{commands.KindMetadata, strong + 1, clause, []meaning{metadata, broken}, remove},
	{commands.KindMetadata, faint, anywhere, []meaning{metadata, broken}, console | remove},

	{commands.KindConsole, strong + 1, clause, []meaning{console, broken | blank | busy}, remove},
	{commands.KindConsole, strong - 1, anywhere, []meaning{console, broken | blank | busy}, remove},

	// A volume that cannot be deleted: the removal is what fails.
	{commands.KindVolumeStuck, strong, clause, []meaning{remove, broken | busy}, 0},
	{commands.KindVolumeStuck, strong, inOrder, []meaning{remove, broken | busy}, 0},
	{commands.KindVolumeStuck, usual, inOrder, []meaning{still, remove}, 0},
	{commands.KindVolumeStuck, usual, anywhere, []meaning{busy, volume | isName}, removed | left | console | ping | reach | addr | dhcp | floating},
	{commands.KindVolumeStuck, weak, anywhere, []meaning{remove, broken | busy}, ping | console | addr | dhcp},

	// A volume that outlived its VM: the removal happened, something is left.
	{commands.KindVolumeLeft, strong + 2, anywhere, []meaning{removed, left | still}, console | ping | addr | dhcp},
	{commands.KindVolumeLeft, strong + 2, clause, []meaning{not, remove, together}, 0},
	{commands.KindVolumeLeft, strong + 2, anywhere, []meaning{volume, left}, console | ping | addr | dhcp},
	{commands.KindVolumeLeft, strong + 1, anywhere, []meaning{volume | isName, busy, removed}, 0},
	{commands.KindVolumeLeft, strong - 2, anywhere, []meaning{removed, volume, not}, console | ping | addr | dhcp},
	{commands.KindVolumeLeft, weak + 1, anywhere, []meaning{left}, console | ping | addr | dhcp | reach},

	{commands.KindHistory, decisive + 4, anywhere, []meaning{isIncident}, 0},
	{commands.KindHistory, decisive, anywhere, []meaning{often}, 0},
	{commands.KindHistory, decisive, inOrder, []meaning{asksPast, isName, before}, 0},
	{commands.KindHistory, decisive, clause, []meaning{asksPast, isName, before}, aux &^ asksPast},
	{commands.KindHistory, decisive, clause, []meaning{before, past, asks}, 0},
	{commands.KindHistory, decisive, anywhere, []meaning{asksWhen, anyName}, 0},
	{commands.KindHistory, strong + 3, anywhere, []meaning{history}, 0},
	{commands.KindHistory, decisive, anywhere, []meaning{whatDid}, 0},
	{commands.KindHistory, strong + 3, clause, []meaning{which, change}, 0},
	{commands.KindHistory, strong + 3, clause, []meaning{who}, 0},
	{commands.KindHistory, strong + 3, clause, []meaning{fix, which | show | who | limitOne}, 0},
	{commands.KindHistory, strong + 3, clause, []meaning{incident, which | show | open | limitOne}, 0},
	{commands.KindHistory, strong - 1, anywhere, []meaning{happened}, 0},
}
