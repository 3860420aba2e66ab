package slackfake

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	maxSockets     = 10
	ticketLife     = 30 * time.Second
	disconnectWait = 10 * time.Second // How long a socket lives on after a polite disconnect frame.
	writeWait      = 5 * time.Second
	socketQueue    = 256
)

// DisconnectReason is why Slack asks a client to reconnect.
type DisconnectReason string

// Reasons of disconnect frames.
const (
	DisconnectWarning   DisconnectReason = "warning"
	DisconnectRefresh   DisconnectReason = "refresh_requested"
	DisconnectTooMany   DisconnectReason = "too_many_websockets"
	DisconnectLinkOff   DisconnectReason = "link_disabled"
	disconnectNotWanted DisconnectReason = ""
)

// socket is one Socket Mode connection.
type socket struct {
	number   int
	conn     *websocket.Conn
	out      chan []byte
	gone     chan struct{}
	once     sync.Once
	draining bool // Guarded by the server: no more deliveries go out on it.
}

// close cuts the connection; the goroutines of the socket end by themselves.
func (k *socket) close() {
	k.once.Do(func() {
		close(k.gone)
		_ = k.conn.Close()
	})
}

// finish closes the socket once everything queued before has been written.
func (k *socket) finish() {
	select {
	case k.out <- nil:
	default:
		k.close()
	}
}

// send queues a frame and reports false when the socket is closed or its client does not read.
func (k *socket) send(frame any) bool {
	raw, err := json.Marshal(frame)
	if err != nil {
		return false
	}
	select {
	case <-k.gone:
		return false
	default:
	}
	select {
	case k.out <- raw:
		return true
	default:
		k.close()
		return false
	}
}

func connectionsOpen(s *Server, _ *call) (reply, *apiError) {
	ticket := s.newIDLocked("ticket-")
	s.tickets[ticket] = s.clock.Now().Add(ticketLife)
	return reply{"url": "ws://" + s.listener.Addr().String() + "/link/?ticket=" + ticket + "&app_id=" + s.people.AppID}, nil
}

// redeem uses up a ticket.
func (s *Server) redeem(ticket string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	expires, ok := s.tickets[ticket]
	delete(s.tickets, ticket)
	return ok && s.clock.Now().Before(expires)
}

func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	if !s.redeem(r.URL.Query().Get("ticket")) {
		http.Error(w, "the address was used or has expired", http.StatusForbidden)
		return
	}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered.
	}
	k := &socket{conn: conn, out: make(chan []byte, socketQueue), gone: make(chan struct{})}
	if refused := s.admit(k); refused != disconnectNotWanted {
		k.send(disconnectFrame(refused))
		k.finish()
	}
	var writer sync.WaitGroup
	writer.Go(func() { s.writeFrames(k) })
	s.readFrames(k)
	k.close()
	writer.Wait()
	s.mu.Lock()
	s.sockets = slices.DeleteFunc(s.sockets, func(x *socket) bool { return x == k })
	s.notifyLocked()
	s.mu.Unlock()
}

// admit greets the socket and adds it to the pool, or says why not.
func (s *Server) admit(k *socket) DisconnectReason {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return DisconnectRefresh
	}
	if len(s.sockets) >= maxSockets {
		return DisconnectTooMany
	}
	s.nextSocket++
	k.number = s.nextSocket
	k.send(map[string]any{
		"type": "hello", "num_connections": len(s.sockets) + 1, "connection_info": map[string]any{"app_id": s.people.AppID},
		"debug_info": map[string]any{"host": "applink-1", "build_number": 1, "approximate_connection_time": 18060},
	})
	if s.linkOff {
		return DisconnectLinkOff
	}
	s.sockets = append(s.sockets, k)
	s.notifyLocked()
	return disconnectNotWanted
}

func disconnectFrame(reason DisconnectReason) map[string]any {
	return map[string]any{"type": "disconnect", "reason": reason, "debug_info": map[string]any{"host": "applink-1"}}
}

// writeFrames is the only writer of data frames. The keep-alive runs on real time: it guards a real connection.
func (s *Server) writeFrames(k *socket) {
	defer k.close()
	ping := time.NewTicker(s.options.PingInterval)
	defer ping.Stop()
	for {
		select {
		case <-k.gone:
			return
		case <-ping.C:
			if k.conn.WriteControl(websocket.PingMessage, []byte("ping"), time.Now().Add(writeWait)) != nil {
				return
			}
		case raw := <-k.out:
			if raw == nil {
				return
			}
			_ = k.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if k.conn.WriteMessage(websocket.TextMessage, raw) != nil {
				return
			}
		}
	}
}

func (s *Server) readFrames(k *socket) {
	k.conn.SetReadLimit(maxBody)
	for {
		kind, raw, err := k.conn.ReadMessage()
		if err != nil {
			return
		}
		if kind == websocket.TextMessage {
			s.receiveAck(k, raw)
		}
	}
}

func (s *Server) receiveAck(k *socket, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	const where = "socket"
	if len(raw) >= maxAck {
		s.violateLocked("ack_too_large", where, "Slack drops an acknowledgement of %d bytes without a word", len(raw))
		return
	}
	var ack struct {
		EnvelopeID string          `json:"envelope_id"`
		Payload    json.RawMessage `json:"payload"`
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&ack); err != nil || ack.EnvelopeID == "" {
		s.violateLocked("bad_ack", where, "not an acknowledgement: %.200s", raw)
		return
	}
	d := s.pending[ack.EnvelopeID]
	switch {
	case d == nil:
		s.violateLocked("unknown_envelope", where, "acknowledged %q, which is not waiting", ack.EnvelopeID)
	case d.state == stateAcked: // The acknowledgement of a duplicate.
	case d.state != stateWaiting || d.socket != k:
		d.stray++
		s.notifyLocked()
	case emptyAck(ack.Payload):
		s.ackedLocked(d, nil)
	default:
		s.ackedLocked(d, ack.Payload)
	}
}

// nextSocketLocked takes turns among the sockets that accept deliveries.
func (s *Server) nextSocketLocked() *socket {
	for i, k := range s.sockets {
		if k.draining {
			continue
		}
		s.sockets = append(slices.Delete(s.sockets, i, i+1), k)
		return k
	}
	return nil
}

// Sockets returns how many Socket Mode connections are open.
func (s *Server) Sockets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sockets)
}

// WaitSockets returns once exactly n connections are open.
func (s *Server) WaitSockets(ctx context.Context, n int) error {
	if err := s.await(ctx, func() bool { return len(s.sockets) == n }); err != nil {
		return fmt.Errorf("wait for %d sockets (%d are open): %w", n, s.Sockets(), err)
	}
	return nil
}

// Disconnect sends a disconnect frame on up to n of the open sockets, the longest idle first, and returns on how many it
// did. After a warning the socket still gets deliveries for ten seconds of the fake's clock; after refresh_requested it
// gets none but may still acknowledge for that time; for the other reasons it is closed at once.
func (s *Server) Disconnect(reason DisconnectReason, n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = min(n, len(s.sockets))
	for _, k := range slices.Clone(s.sockets[:n]) {
		k.send(disconnectFrame(reason))
		switch reason {
		case DisconnectWarning:
		case DisconnectRefresh:
			k.draining = true
		default:
			k.draining = true
			k.finish()
			continue
		}
		s.later(disconnectWait, k.close)
	}
	return n
}

// SetSocketMode switches Socket Mode on or off in the app's settings. Off, open sockets get link_disabled, and new ones
// get it right after their hello.
func (s *Server) SetSocketMode(on bool) {
	s.mu.Lock()
	s.linkOff = !on
	n := len(s.sockets)
	s.mu.Unlock()
	if !on {
		s.Disconnect(DisconnectLinkOff, n)
	}
}

// CutSockets drops every connection without a word, as a broken network does.
func (s *Server) CutSockets() {
	s.mu.Lock()
	sockets := slices.Clone(s.sockets)
	s.mu.Unlock()
	for _, k := range sockets {
		k.close()
	}
}
