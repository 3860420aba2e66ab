package slackfake

import (
	"net"
	"net/http"
	"strconv"
	"time"
)

// AnyMethod as the method of a Fault makes it match every Web API method.
const AnyMethod = "*"

// Pseudo-methods that faults and the call log use for requests outside the Web API.
const (
	MethodResponseURL = "response_url"
	MethodUpload      = "upload"
)

// Fault is a misbehaviour of Slack; set exactly one of RateLimit, Status, Error, Reset, ResetAfterCommit and Slow.
type Fault struct {
	Method string // A Web API method, a pseudo-method or AnyMethod.
	Times  int    // How many calls it hits; zero means one, negative means all.

	RateLimit        time.Duration // Answer 429 with this Retry-After, in whole seconds.
	Status           int           // Answer with this HTTP status and an HTML body.
	Error            string        // Answer ok:false with this error.
	Reset            bool          // Cut the connection before anything happens.
	ResetAfterCommit bool          // Do what was asked, then cut the connection without an answer.
	Slow             time.Duration // Answer correctly, but only after this time on the fake's clock.
}

// Inject arms a fault; several faults for one method are used up in the order of injection.
func (s *Server) Inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// ClearFaults disarms everything that was injected.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault consumes the next armed fault of the method.
func (s *Server) takeFault(method string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.Method != method && f.Method != AnyMethod {
			continue
		}
		hit := *f
		if f.Times > 0 {
			f.Times--
		}
		if f.Times == 0 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		}
		return hit
	}
	return Fault{}
}

// before plays the part of the fault that precedes the work and reports whether the work is still to be done.
func (s *Server) before(w http.ResponseWriter, r *http.Request, f Fault) bool {
	switch {
	case f.RateLimit > 0:
		w.Header().Set("Retry-After", strconv.Itoa(int((f.RateLimit+time.Second-1)/time.Second)))
		writeJSON(w, http.StatusTooManyRequests, errorReply(&apiError{code: "ratelimited"}))
	case f.Status != 0:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte("<html><body>Server Error</body></html>"))
	case f.Error != "":
		writeJSON(w, http.StatusOK, errorReply(&apiError{code: f.Error}))
	case f.Reset:
		reset(w)
	case f.Slow > 0:
		return s.pause(r, f.Slow)
	default:
		return true
	}
	return false
}

// pause waits on the fake's clock and reports false when the caller hung up or the server closed.
func (s *Server) pause(r *http.Request, d time.Duration) bool {
	over := make(chan struct{})
	stop := s.clock.AfterFunc(d, func() { close(over) })
	defer stop()
	select {
	case <-over:
		return true
	case <-r.Context().Done():
	case <-s.done:
	}
	return false
}

// reset cuts the connection so that the client sees "connection reset by peer" instead of an answer.
func reset(w http.ResponseWriter) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return
	}
	conn, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
