package store

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"whybot/commands"
)

// appendForever is the child of TestKilled: it appends until it is killed, and
// writes the text of every event to its output once the event is acknowledged.
func appendForever(path string) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // should the parent die
	defer cancel()
	s, err := Open(ctx, Options{Path: path})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	inc, err := s.OpenIncident(ctx, commands.Incident{Entities: []string{"web-1", "compute01"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				text := fmt.Sprintf("%s/%d/%d", inc.ID, w, i)
				if err := s.Append(ctx, note(inc.ID, text)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				fmt.Fprintln(os.Stdout, text)
			}
		})
	}
	writers.Wait()
	return 1
}

// TestKilled kills a process that appends, fifty times, on one file: every
// event that was acknowledged is there.
func TestKilled(t *testing.T) {
	iterations := 50
	if testing.Short() {
		iterations = 5
	}
	path := filepath.Join(t.TempDir(), "whybot.db")
	acknowledged := map[string]bool{}
	for i := range iterations {
		killAfter(t, path, 1+rand.IntN(200), acknowledged)
		s, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatalf("iteration %d: %v", i, err)
		}
		events, err := s.Events(t.Context(), commands.EventQuery{Entity: "web-1"})
		ok(t, err)
		stored := map[string]bool{}
		for _, e := range events {
			stored[e.Text] = true
		}
		for text := range acknowledged {
			if !stored[text] {
				t.Errorf("iteration %d: event %s was acknowledged and is lost", i, text)
			}
		}
		wantEvents(t, s, len(events))
		ok(t, s.Close())
	}
	boltCheck(t, path)
	t.Logf("%d kills, %d acknowledged events, none lost", iterations, len(acknowledged))
	if len(acknowledged) < iterations {
		t.Error("too few events for the test to mean anything")
	}
}

// killAfter starts a child, kills it after it has acknowledged n events, and
// adds all that it acknowledged.
func killAfter(t *testing.T, path string, n int, acknowledged map[string]bool) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childEnv+"="+path)
	var stderr strings.Builder
	child.Stderr = &stderr
	out, err := child.StdoutPipe()
	ok(t, err)
	ok(t, child.Start())
	lines := bufio.NewReader(out)
	read := 0
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // what comes without a line's end was cut off
		}
		ok(t, err)
		acknowledged[strings.TrimSpace(line)] = true
		if read++; read == n {
			ok(t, child.Process.Kill())
		}
	}
	if err := child.Wait(); err == nil || read < n {
		t.Fatalf("the child ended by itself after %d of %d events: %v\n%s", read, n, err, stderr.String())
	}
}
