package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// rs begins a mark.
const rs = '\x1e'

// maxMark bounds one mark, which holds a path at most.
const maxMark = 8 << 10

// A frame is what one stream carried between the marks of one probe.
type frame struct {
	data      []byte
	began     bool
	ended     bool
	truncated bool
	at        time.Time // when the start mark came
	start     float64   // the node's uptime; NaN when it did not say
	end       float64
	code      int
	noSudo    bool // sudo is not installed
	bounded   bool // timeout(1) watched it
	direct    bool // run without sudo
	place     string
}

// A stream is one output stream of an exec, cut into frames as it arrives.
type stream struct {
	token  []byte
	limit  int           // bytes kept per frame
	left   *atomic.Int64 // bytes that the whole exec may still send
	frames []frame
	open   int    // the frame being filled, or -1
	rest   []byte // not yet told apart: may begin a mark
	stray  []byte // the first bytes outside any frame
	done   bool   // the script's last mark came
	stuck  bool   // ... because a command could not be ended
}

var (
	errFlood  = errors.New("the output limit was reached")
	errFrames = errors.New("the node's answer is not framed as whybot's script frames it")
)

func newStream(nonce string, probes, limit int, left *atomic.Int64) *stream {
	return &stream{
		token: append([]byte{rs}, nonce+" "...), limit: limit, left: left,
		frames: make([]frame, probes), open: -1,
	}
}

// read cuts r into frames until the script's last mark, the end of r, or an
// error: errFlood, errFrames or r's own.
func (s *stream) read(r io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if err2 := s.feed(buf[:n]); err2 != nil || s.done {
			return err2
		}
		if err == io.EOF {
			return s.keep(s.rest)
		}
		if err != nil {
			return err
		}
	}
}

func (s *stream) feed(b []byte) error {
	left := s.left.Add(-int64(len(b)))
	over := left < 0
	if over {
		b = b[:max(0, int64(len(b))+left)]
	}
	s.rest = append(s.rest, b...)
	for !s.done {
		i := bytes.Index(s.rest, s.token)
		if i < 0 {
			break
		}
		if err := s.keep(s.rest[:i]); err != nil {
			return err
		}
		s.rest = s.rest[i:]
		end := bytes.IndexByte(s.rest, '\n')
		if end < 0 && len(s.rest) > maxMark {
			return errFrames
		}
		if end < 0 {
			return s.flooded(over) // the rest of the mark is under way
		}
		fields := strings.Fields(string(s.rest[len(s.token):end]))
		s.rest = s.rest[end+1:]
		if err := s.mark(fields); err != nil {
			return err
		}
	}
	if s.done {
		return nil
	}
	// Whatever cannot be the beginning of a mark is output.
	safe := len(s.rest) - partial(s.rest, s.token)
	if err := s.keep(s.rest[:safe]); err != nil {
		return err
	}
	s.rest = append(s.rest[:0], s.rest[safe:]...)
	return s.flooded(over)
}

func (s *stream) flooded(over bool) error {
	if !over {
		return nil
	}
	if s.open >= 0 {
		s.frames[s.open].truncated = true
	}
	return errFlood
}

// partial returns how many of b's last bytes token begins with.
func partial(b, token []byte) int {
	for n := min(len(b), len(token)-1); n > 0; n-- {
		if bytes.HasPrefix(token, b[len(b)-n:]) {
			return n
		}
	}
	return 0
}

// keep stores b in the open frame, up to the limit.
func (s *stream) keep(b []byte) error {
	if s.open < 0 {
		if room := 512 - len(s.stray); room > 0 {
			s.stray = append(s.stray, b[:min(room, len(b))]...)
		}
		return nil
	}
	f := &s.frames[s.open]
	if room := s.limit - len(f.data); len(b) > room {
		f.data = append(f.data, b[:room]...)
		f.truncated = true
		return errFlood
	}
	f.data = append(f.data, b...)
	return nil
}

// mark acts on one mark: S index uptime, E index code uptime how place, X
// index, Z.
func (s *stream) mark(fields []string) error {
	if len(fields) == 0 {
		return errFrames
	}
	switch fields[0] {
	case "Z":
		s.done = s.open < 0
	case "X":
		s.done, s.stuck = s.open < 0, true
	case "S":
		return s.begin(fields)
	case "E":
		return s.finish(fields)
	}
	if !s.done {
		return errFrames
	}
	return nil
}

func (s *stream) begin(fields []string) error {
	if len(fields) != 3 || s.open >= 0 {
		return errFrames
	}
	i, err := s.index(fields[1])
	if err != nil || s.frames[i].began {
		return errFrames
	}
	s.open = i
	s.frames[i].began, s.frames[i].at, s.frames[i].start = true, time.Now(), uptime(fields[2])
	return nil
}

func (s *stream) finish(fields []string) error {
	if len(fields) < 6 {
		return errFrames
	}
	i, err := s.index(fields[1])
	if err != nil || i != s.open {
		return errFrames
	}
	f := &s.frames[i]
	if fields[2] == "nosudo" {
		f.noSudo = true
	} else if f.code, err = strconv.Atoi(fields[2]); err != nil || f.code < 0 || f.code > 255 {
		return errFrames
	}
	bound, direct, ok := strings.Cut(fields[4], "-")
	if !ok {
		return errFrames
	}
	f.end, f.bounded, f.direct = uptime(fields[3]), bound == "1", direct == "1"
	f.place = strings.Join(fields[5:], " ")
	f.ended = true
	s.open = -1
	return nil
}

func (s *stream) index(field string) (int, error) {
	i, err := strconv.Atoi(field)
	if err != nil || i < 0 || i >= len(s.frames) {
		return 0, fmt.Errorf("%w: no probe %q", errFrames, field)
	}
	return i, nil
}

func uptime(field string) float64 {
	v, err := strconv.ParseFloat(field, 64)
	if err != nil || v < 0 || math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

// took is how long the probe ran by the node's own clock; false when the node
// has no such clock.
func (f *frame) took() (time.Duration, bool) {
	d := f.end - f.start
	if math.IsNaN(d) || d < 0 || d > 1e6 {
		return 0, false
	}
	return time.Duration(d * float64(time.Second)), true
}

var plainPath = regexp.MustCompile(`^/[A-Za-z0-9._/+-]{1,200}$`)

// found says whether the login user's PATH has the program; the script looks
// it up only for what sudo may have refused.
func (f *frame) found() bool { return f.place != "-" }

// path is the program's place on the node when it is fit to be shown.
func (f *frame) path(def string) string {
	if plainPath.MatchString(f.place) {
		return f.place
	}
	return def
}
