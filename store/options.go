package store

import (
	"log/slog"
	"time"
)

// Options say which store to open and how.
type Options struct {
	// Path is the file. Its directory must exist; the file need not.
	Path string
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Log takes what nobody is told otherwise; nothing is logged when nil.
	Log *slog.Logger
	// MaxBatch is how many writes share one sync at most; 1024 when zero.
	MaxBatch int
	// Check asks for every page of the file to be checked, even though it was
	// closed properly.
	Check bool
	// CheckTimeout bounds the check; 10 s when zero.
	CheckTimeout time.Duration
}

const (
	defaultMaxBatch     = 1024
	defaultCheckTimeout = 10 * time.Second
	// lockTimeout is how long Open waits for another process to let go.
	lockTimeout = time.Second
	// openTimeout bounds what bbolt does on open, which takes milliseconds.
	openTimeout = 10 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = defaultMaxBatch
	}
	if o.CheckTimeout <= 0 {
		o.CheckTimeout = defaultCheckTimeout
	}
	return o
}
