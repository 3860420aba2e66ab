package slackfake

import (
	"sync"
	"time"
)

// Clock is the source of time for everything the fake dates, expires or redelivers.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// AfterFunc runs f once d has passed; stop prevents that if it has not happened yet.
	AfterFunc(d time.Duration, f func()) (stop func())
}

// SystemClock is the Clock of the machine.
type SystemClock struct{}

// Now returns the machine's time.
func (SystemClock) Now() time.Time { return time.Now() }

// AfterFunc runs f in its own goroutine after d of real time.
func (SystemClock) AfterFunc(d time.Duration, f func()) func() {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}

// ManualClock is a Clock that stands still until a test advances it.
type ManualClock struct {
	mu     sync.Mutex
	now    time.Time
	seq    int
	timers []*manualTimer
}

type manualTimer struct {
	due time.Time
	seq int
	run func()
}

// NewManualClock returns a clock that shows start.
func NewManualClock(start time.Time) *ManualClock { return &ManualClock{now: start} }

// Now returns the time to which the clock has been advanced.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc runs f inside the call of Advance that reaches the deadline.
func (c *ManualClock) AfterFunc(d time.Duration, f func()) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	t := &manualTimer{due: c.now.Add(d), seq: c.seq, run: f}
	c.timers = append(c.timers, t)
	return func() { c.remove(t) }
}

// Advance moves the clock by d and runs, in order of their deadlines, all functions that became due, including those
// that were scheduled by functions it ran.
func (c *ManualClock) Advance(d time.Duration) {
	target := c.Now().Add(d)
	for {
		t := c.takeDue(target)
		if t == nil {
			break
		}
		t.run()
	}
	c.mu.Lock()
	c.now = target
	c.mu.Unlock()
}

func (c *ManualClock) takeDue(target time.Time) *manualTimer {
	c.mu.Lock()
	defer c.mu.Unlock()
	best := -1
	for i, t := range c.timers {
		if t.due.After(target) {
			continue
		}
		if best < 0 || t.due.Before(c.timers[best].due) || (t.due.Equal(c.timers[best].due) && t.seq < c.timers[best].seq) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	t := c.timers[best]
	c.timers = append(c.timers[:best], c.timers[best+1:]...)
	if t.due.After(c.now) {
		c.now = t.due
	}
	return t
}

func (c *ManualClock) remove(gone *manualTimer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, t := range c.timers {
		if t == gone {
			c.timers = append(c.timers[:i], c.timers[i+1:]...)
			return
		}
	}
}
