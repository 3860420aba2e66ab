package runners

// A CaptureSpec says what to capture on a node. A runner never listens in
// non-promiscuous mode: on a bridge that hides unicast frames.
type CaptureSpec struct {
	// Device is the interface to listen on.
	Device string
	// Filter is the BPF expression, one string; empty captures everything.
	Filter string
	// Namespace is the network namespace that holds Device; empty is the
	// node's own.
	Namespace string
	// MaxSeconds ends the capture on the node itself, whatever happens here.
	MaxSeconds int
}
