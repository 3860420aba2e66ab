package bot

import (
	"sync"
	"time"
)

const (
	questionBurst = 10              // questions one person may ask at once …
	questionEvery = 6 * time.Second // … and how long the next one takes to be free again
)

// throttle bounds how often each person may ask. Clicks are not bounded: they
// are rare, and a fix must not wait.
type throttle struct {
	now func() time.Time

	mu   sync.Mutex
	full map[string]time.Time // by person: when all questions are free again
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, full: map[string]time.Time{}}
}

// take reports whether the person may ask one more question now.
func (t *throttle) take(who string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for k, at := range t.full {
		if !at.After(now) {
			delete(t.full, k)
		}
	}
	at := t.full[who]
	if at.Before(now) {
		at = now
	}
	at = at.Add(questionEvery)
	if at.Sub(now) > questionBurst*questionEvery {
		return false
	}
	t.full[who] = at
	return true
}
