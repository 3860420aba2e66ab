package netfilter

import "strings"

// ifaceCond is -i and -o.
type ifaceCond struct {
	pattern string
	out     bool
}

// namesInterface applies iptables' one wildcard: a trailing "+".
func namesInterface(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "+"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return name == pattern
}

func (c ifaceCond) shown(v *view) Fact[string] {
	if c.out {
		return v.out()
	}
	return v.in()
}

func (c ifaceCond) test(v *view) Tri {
	return truthOf(c.shown(v), func(name string) bool { return namesInterface(c.pattern, name) })
}

func (c ifaceCond) fact(v *view) string {
	if c.out {
		return deviceFact("out", c.shown(v), v, changeDst)
	}
	return deviceFact("in", c.shown(v), v, 0)
}

func deviceFact(word string, f Fact[string], v *view, bit change) string {
	name, known := f.Get()
	switch {
	case !known:
		return v.why("the "+word+" interface", bit)
	case name == "":
		return "no " + word + " interface at " + string(v.hook)
	default:
		return word + " is " + printable(name)
	}
}

// A physdevOption is one of the things -m physdev can ask.
type physdevOption uint8

const (
	physdevIn physdevOption = iota
	physdevOut
	physdevIsIn
	physdevIsOut
	physdevIsBridged
)

// physdevCond is one option of -m physdev. It applies "!" itself: the kernel's
// answer for a packet without a port is not the plain negation.
type physdevCond struct {
	option  physdevOption
	pattern string
	negated bool
}

func addPhysdevReaders(readers map[string]optionReader) {
	for flag, option := range map[string]physdevOption{
		"--physdev-in": physdevIn, "--physdev-out": physdevOut, "--physdev-is-in": physdevIsIn,
		"--physdev-is-out": physdevIsOut, "--physdev-is-bridged": physdevIsBridged,
	} {
		r := optionReader{ownNegation: true, condition: func(v []string, negated bool) condition {
			c := physdevCond{option: option, negated: negated}
			if len(v) == 1 {
				c.pattern = v[0]
			}
			return c
		}}
		if option == physdevIn || option == physdevOut {
			r.values = 1
		}
		readers["physdev "+flag] = r
	}
}

func (c physdevCond) test(v *view) Tri {
	switch v.bridgeInfo() {
	case No:
		return Truth(c.negated)
	case Unknown:
		return c.testUncertain(v)
	default:
		return c.testBridged(v)
	}
}

// testUncertain answers for a packet that may or may not have come by a bridge
// port: known only when both ways agree.
func (c physdevCond) testUncertain(v *view) Tri {
	if t := c.testBridged(v); t == Truth(c.negated) {
		return t
	}
	return Unknown
}

// testBridged follows physdev_mt of the kernel's xt_physdev.c.
func (c physdevCond) testBridged(v *view) Tri {
	ask := func(f Fact[string], want func(string) bool) Tri {
		t := truthOf(f, want)
		if c.negated {
			return t.not()
		}
		return t
	}
	some := func(name string) bool { return name != "" }
	named := func(name string) bool { return namesInterface(c.pattern, name) }
	switch c.option {
	case physdevIsIn:
		return ask(v.p.PhysIn, some)
	case physdevIsOut, physdevIsBridged:
		return ask(v.physOut(), some)
	case physdevIn:
		if name, known := v.p.PhysIn.Get(); known && name == "" {
			return Yes
		}
		return ask(v.p.PhysIn, named)
	default:
		if name, known := v.physOut().Get(); known && name == "" {
			return No // without a port out even "!" does not match
		}
		return ask(v.physOut(), named)
	}
}

func (c physdevCond) fact(v *view) string {
	switch {
	case v.bridgeInfo() == No:
		return "not a bridged packet"
	case c.option == physdevIn || c.option == physdevIsIn:
		return portFact("in", v.p.PhysIn, v, 0)
	default:
		return portFact("out", v.physOut(), v, changeDst)
	}
}

func portFact(word string, f Fact[string], v *view, bit change) string {
	name, known := f.Get()
	switch {
	case !known:
		return v.why("the bridge port "+word, bit)
	case name == "":
		return "no bridge port " + word + " at " + string(v.hook)
	default:
		return word + " is " + printable(name)
	}
}
