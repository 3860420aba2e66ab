package netfilter

// A Target is what a rule does to the packets it matches.
type Target struct {
	// Name is the word after -j or -g: a target or a chain. Empty when the rule
	// only counts.
	Name string
	// Goto says that the word stands after -g: the chain's end does not come
	// back to this rule.
	Goto bool
	// Chain is the chain jumped to; nil when Name is a target.
	Chain *Chain
	// Text is the target and its options as listed.
	Text string

	words []word
	act   action
	// does is what the target does to the packet.
	does effect
	// cases are the verdicts of a verdict map.
	cases *verdictMap
	// why says why the outcome of actOpaque or actHandOff is not known.
	why string
}

// An action is how a target moves the walk on.
type action uint8

const (
	actNothing action = iota // count, or change something, and go on
	actAccept
	actDrop
	actReject
	actReturn
	actCall
	actOpaque // what it does is not modelled: it may decide or go on
	actHandOff
	actMap // the verdict stands in a map
)

// A change is a set of things about a packet that rules may have rewritten.
type change uint8

const (
	changeMark change = 1 << iota
	changeDst
	changeSrc
	changeCT
	changeMAC  // an address or type of the link layer
	changeType // the packet type
	// changeSet is about sets: a rule added what the packet has to one, or deleted it.
	changeSet
	allChanges = iota // how many there are
)

type targetKind struct {
	act     action
	changes change
}

// targets are the targets whose effect on a packet's fate is known.
var targets = map[string]targetKind{
	"ACCEPT": {act: actAccept},
	"DROP":   {act: actDrop},
	"REJECT": {act: actReject},
	"RETURN": {act: actReturn},

	// User space decides.
	"QUEUE":   {act: actHandOff},
	"NFQUEUE": {act: actHandOff},

	// Accepted in this table, with an address rewritten.
	"DNAT":       {act: actAccept, changes: changeDst},
	"REDIRECT":   {act: actAccept, changes: changeDst},
	"SNAT":       {act: actAccept, changes: changeSrc},
	"MASQUERADE": {act: actAccept, changes: changeSrc},
	"NETMAP":     {act: actAccept, changes: changeDst | changeSrc},

	// Go on with the next rule.
	"LOG": {}, "NFLOG": {}, "ULOG": {}, "AUDIT": {}, "TRACE": {}, "TEE": {}, "LED": {},
	"CHECKSUM": {}, "CLASSIFY": {}, "TOS": {}, "DSCP": {}, "ECN": {}, "TTL": {}, "HL": {},
	"TCPMSS": {}, "TCPOPTSTRIP": {}, "SECMARK": {}, "CONNSECMARK": {},
	"IDLETIMER": {}, "RATEEST": {},
	"SET":      {changes: changeSet},
	"MARK":     {changes: changeMark},
	"HMARK":    {changes: changeMark},
	"CONNMARK": {changes: changeMark},
	"CT":       {changes: changeCT},
	"NOTRACK":  {changes: changeCT},
}

// resolve decides what a target does once all of its words are known.
func (t *Target) resolve(d *dialect, table *Table) {
	t.Text = rawText(t.words)
	t.Chain = table.byName[t.Name]
	kind, known := d.targets[t.Name]
	switch {
	case t.Name == "":
		t.act = actNothing
	case t.Chain != nil && t.Chain.Hook == "":
		t.act = actCall
	case t.Goto || t.Chain != nil || !known:
		t.act = actOpaque
	default:
		t.act, t.does = kind.act, effect{bits: kind.changes}
	}
	t.refine(d)
}

// refine reads from a target's options what its name does not tell.
func (t *Target) refine(d *dialect) {
	if d.refine != nil {
		d.refine(t)
		return
	}
	switch {
	case t.Name == "CONNMARK" && !t.option("--restore-mark"):
		t.does = effect{} // it only writes the connection's mark
	case t.Name == "CT" && !t.option("--notrack"):
		t.does = effect{} // tracked all the same, if in another zone
	case t.Name == "MARK":
		t.does.mark = t.markChange()
	}
}

// markOptions are the ways of -j MARK to say what it does.
var markOptions = map[string]func(value, mask uint32) markChange{
	"--set-xmark": func(v, m uint32) markChange { return markChange{^m, v} },
	"--set-mark":  func(v, m uint32) markChange { return markChange{^(v | m), v} },
	"--and-mark":  func(v, _ uint32) markChange { return markChange{v, 0} },
	"--or-mark":   func(v, _ uint32) markChange { return markChange{^v, v} },
	"--xor-mark":  func(v, _ uint32) markChange { return markChange{^uint32(0), v} },
}

// markChange reads what -j MARK does; nil when that is not understood.
func (t *Target) markChange() *markChange {
	for i, w := range t.words {
		change := markOptions[w.text]
		if change == nil || w.quoted || i+1 == len(t.words) {
			continue
		}
		if c, ok := parseMark(t.words[i+1].text).(markCond); ok {
			m := change(c.value, c.mask)
			return &m
		}
	}
	return nil
}

func (t *Target) option(name string) bool {
	for _, w := range t.words {
		if !w.quoted && w.text == name {
			return true
		}
	}
	return false
}
