package netfilter

// Tri is a three-valued truth. The zero Tri is Unknown: what was not observed
// is never taken for no.
type Tri int8

// The three values.
const (
	No      Tri = -1
	Unknown Tri = 0
	Yes     Tri = 1
)

// String returns "yes", "no" or "unknown".
func (t Tri) String() string {
	switch t {
	case Yes:
		return "yes"
	case No:
		return "no"
	default:
		return "unknown"
	}
}

// Truth returns Yes for true and No for false.
func Truth(b bool) Tri {
	if b {
		return Yes
	}
	return No
}

// not keeps Unknown as it is.
func (t Tri) not() Tri { return -t }

func or(a, b Tri) Tri { return max(a, b) }

// orUnknown is Unknown where the question itself cannot be asked.
func (t Tri) orUnknown(unknown bool) Tri {
	if unknown {
		return Unknown
	}
	return t
}

// A Fact is something about a packet that may not be known. The zero Fact is
// unknown.
type Fact[T any] struct {
	value T
	known bool
}

// Is returns a known fact.
func Is[T any](v T) Fact[T] { return Fact[T]{value: v, known: true} }

// Get returns the fact and whether it is known.
func (f Fact[T]) Get() (T, bool) { return f.value, f.known }

// truthOf applies ask to a known fact; an unknown one stays Unknown.
func truthOf[T any](f Fact[T], ask func(T) bool) Tri {
	if !f.known {
		return Unknown
	}
	return Truth(ask(f.value))
}
