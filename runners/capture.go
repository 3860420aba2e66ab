package runners

// A CaptureSpec says what to capture on a node.
type CaptureSpec struct {
	// Device is the interface to listen on; never in non-promiscuous mode, as
	// that hides unicast frames on a bridge.
	Device string
	// Filter is a BPF expression, passed as one word.
	Filter string
	// MaxSeconds ends the capture on the node itself, whatever happens here.
	MaxSeconds int
}
