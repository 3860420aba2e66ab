package netfilter

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

const nftListing = "nft -j list ruleset"

// ParseNFT reads what "nft -j list ruleset" printed: the tables of all
// families, among them those that iptables-nft and its likes keep (see
// Table.LikeIPTables), of whose matches nft hides most.
//
// A listing that is cut short is ErrTruncated. A match, statement or set that
// is not understood is no error: its rule is kept with an effect that is
// Unknown.
func ParseNFT(text string) (*Ruleset, error) {
	var listing struct {
		Objects []nftObject `json:"nftables"`
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&listing); err != nil {
		return nil, jsonError(text, err, d.InputOffset())
	}
	if rest := strings.TrimSpace(text[d.InputOffset():]); rest != "" {
		return nil, jsonError(text, errors.New("more text behind the end of the listing"), int64(len(text)-len(rest)))
	}
	if listing.Objects == nil {
		return nil, &ParseError{Listing: nftListing, Line: 1, Text: shorten(text), Err: errors.New(`want an object with the list "nftables"`)}
	}
	p := &nftParser{rs: &Ruleset{}, tables: map[nftName]*Table{}}
	for _, stage := range []func(*nftObject) error{p.declare, p.attach, p.watchSets, p.rule} {
		for i := range listing.Objects {
			if err := stage(&listing.Objects[i]); err != nil {
				return nil, &ParseError{Listing: nftListing, Line: 1, Text: fmt.Sprintf("object %d of the list", i+1), Err: err}
			}
		}
	}
	return p.rs, nil
}

// jsonError names the place where JSON could not be read.
func jsonError(text string, err error, offset int64) error {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &wrong):
		offset = wrong.Offset
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || syntax != nil && int(offset) >= len(text) {
		err, offset = ErrTruncated, int64(len(text))
	}
	at := min(max(0, int(offset)), len(text))
	before := text[:at]
	line := strings.Count(before, "\n") + 1
	column := at - (strings.LastIndexByte(before, '\n') + 1)
	return &ParseError{
		Listing: nftListing, Line: line, Text: shorten(text[max(0, at-40):min(len(text), at+40)]),
		Err: fmt.Errorf("at character %d: %w", column, err),
	}
}

// An nftObject is one entry of the listing; what else there is is of no concern.
type nftObject struct {
	Metainfo *struct {
		Version string
	}
	Table *struct{ Family, Name string }
	Chain *nftChain
	Set   *nftSetObject
	Map   *nftSetObject
	Rule  *nftRuleObject
}

type nftChain struct {
	Family, Table, Name string
	Handle              uint64
	Type, Hook          string
	Priority            int `json:"prio"`
	Policy              string
	Device              any `json:"dev"` // one name, or several
}

type nftSetObject struct {
	Family, Table, Name string
	Map                 any // "verdict", or the type of the values
	Size                uint64
	Elem                []any
}

type nftRuleObject struct {
	Family, Table, Chain string
	Handle               uint64
	Comment              string
	Expr                 []any
}

type nftName struct{ family, name string }

type nftParser struct {
	rs     *Ruleset
	tables map[nftName]*Table
}

// declare takes tables.
func (p *nftParser) declare(o *nftObject) error {
	if o.Metainfo != nil {
		p.rs.Generator = "nft " + o.Metainfo.Version
	}
	if o.Table == nil {
		return nil
	}
	name := nftName{o.Table.Family, o.Table.Name}
	if p.tables[name] != nil {
		return fmt.Errorf("table %s %s is listed twice", printable(name.family), printable(name.name))
	}
	t := &Table{Family: name.family, Name: name.name, byName: map[string]*Chain{}, sets: map[string]*nftSet{}}
	p.tables[name] = t
	p.rs.Tables = append(p.rs.Tables, t)
	return nil
}

// attach takes chains, sets and maps.
func (p *nftParser) attach(o *nftObject) error {
	for _, s := range []*nftSetObject{o.Set, o.Map} {
		if s == nil {
			continue
		}
		t := p.tables[nftName{s.Family, s.Table}]
		if t == nil {
			return fmt.Errorf("set %s of a table that is not listed", printable(s.Name))
		}
		t.sets[s.Name] = &nftSet{name: s.Name, elems: s.Elem, size: s.Size, verdict: s.Map == "verdict"}
	}
	if o.Chain == nil {
		return nil
	}
	t := p.tables[nftName{o.Chain.Family, o.Chain.Table}]
	if t == nil {
		return fmt.Errorf("chain %s of a table that is not listed", printable(o.Chain.Name))
	}
	if t.byName[o.Chain.Name] != nil {
		return fmt.Errorf("chain %s is listed twice", printable(o.Chain.Name))
	}
	c := o.Chain.chain()
	t.Chains = append(t.Chains, c)
	t.byName[c.Name] = c
	return nil
}

func (o *nftChain) chain() *Chain {
	c := &Chain{Family: o.Family, Table: o.Table, Name: o.Name, Handle: max(1, o.Handle)}
	if o.Hook == "" {
		return c
	}
	c.Hook, c.Priority, c.NAT, c.Policy = Hook(strings.ToUpper(o.Hook)), o.Priority, o.Type == "nat", Accept
	if o.Policy == "drop" {
		c.Policy = Drop
	}
	c.Devices = stringsOf(o.Device)
	return c
}

// watchSets notes the sets that rules change.
func (p *nftParser) watchSets(o *nftObject) error {
	if o.Rule == nil {
		return nil
	}
	t := p.tables[nftName{o.Rule.Family, o.Rule.Table}]
	if t == nil {
		return fmt.Errorf("a rule of a table that is not listed")
	}
	for _, x := range o.Rule.Expr {
		key, body := statementOf(x)
		m, ok := body.(map[string]any)
		if !ok || key != "set" && key != "map" && key != "meter" {
			continue
		}
		name, _ := m[key].(string)
		if s := t.sets[strings.TrimPrefix(name, "@")]; s != nil {
			s.grows = true
			s.shrinks = s.shrinks || m["op"] == "delete"
		}
	}
	return nil
}

// rule takes rules.
func (p *nftParser) rule(o *nftObject) error {
	if o.Rule == nil {
		return nil
	}
	t := p.tables[nftName{o.Rule.Family, o.Rule.Table}]
	c := t.byName[o.Rule.Chain]
	if c == nil {
		return fmt.Errorf("a rule of chain %s, which is not listed", printable(o.Rule.Chain))
	}
	r := readRule(o.Rule, t, len(c.Rules)+1)
	c.Rules = append(c.Rules, r)
	t.tracks = t.tracks || r.tracks()
	return nil
}

// tracks says whether a rule of nft needs connection tracking. What nft does
// not show of a rule of iptables may need it as well.
func (r *Rule) tracks() bool {
	spec := " " + r.Spec
	for _, word := range []string{" ct ", " dnat", " snat", " masquerade", " redirect", " flow add"} {
		if strings.Contains(spec, word) {
			return true
		}
	}
	return false
}

// statementOf takes a statement apart: its name and its body.
func statementOf(x any) (string, any) {
	m, ok := x.(map[string]any)
	if !ok || len(m) != 1 {
		return "", x
	}
	for key, body := range m {
		return key, body
	}
	return "", x
}
