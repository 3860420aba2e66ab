package cloudfake

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Fault makes some requests go wrong. The zero value of a selecting field
// selects every request.
type Fault struct {
	Service string // keystone, nova, neutron or cinder
	Method  string
	Path    string // a part of the path

	Delay time.Duration // answer this much later
	Hang  bool          // never answer: hold the request until the client or the cloud gives up
	// Status answers with this code and Body instead of the real answer; zero
	// lets the real answer through.
	Status int
	Body   string
}

func (f Fault) matches(service string, r *http.Request) bool {
	return (f.Service == "" || f.Service == service) &&
		(f.Method == "" || f.Method == r.Method) &&
		strings.Contains(r.URL.Path, f.Path)
}

// Inject adds a fault; where several match a request the first one counts.
func (c *Cloud) Inject(f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, f)
}

// Heal takes all faults back. Requests that already hang stay so.
func (c *Cloud) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
}

// SkewClock moves the clock that the Date header of every answer shows.
func (c *Cloud) SkewClock(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew = by
}

// suffer applies the first fault that matches and reports whether the request
// is thereby done with.
func (c *Cloud) suffer(service string, w http.ResponseWriter, r *http.Request) bool {
	c.mu.Lock()
	i := slices.IndexFunc(c.faults, func(f Fault) bool { return f.matches(service, r) })
	var f Fault
	if i >= 0 {
		f = c.faults[i]
	}
	c.mu.Unlock()

	if f.Hang {
		select {
		case <-r.Context().Done():
		case <-c.stop:
		}
		panic(http.ErrAbortHandler) // cut the connection: an answer now would be a lie
	}
	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
		case <-c.stop:
		}
	}
	if f.Status == 0 {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(f.Body)) // a client that left is no concern of a fake
	return true
}
