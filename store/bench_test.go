package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"whybot/commands"
)

// eventsEnv sets how many events the read benchmarks build.
const eventsEnv = "WHYBOT_BENCH_EVENTS"

// BenchmarkAppend compares a durable append with what bbolt offers, and with
// the two syncs that a commit of bbolt cannot do without.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("store/writers=%d", writers), func(b *testing.B) {
			s := benchStore(b)
			inc, err := s.OpenIncident(b.Context(), benchIncident(0))
			benchOK(b, err)
			benchWriters(b, writers, func() error { return s.Append(b.Context(), benchEvent(inc.ID, 0)) })
		})
		b.Run(fmt.Sprintf("batch/writers=%d", writers), func(b *testing.B) {
			db, err := bbolt.Open(filepath.Join(b.TempDir(), "batch.db"), 0o600, nil)
			benchOK(b, err)
			b.Cleanup(func() { benchOK(b, db.Close()) })
			_, record, err := encodeEvent(benchEvent("inc-1", 0))
			benchOK(b, err)
			benchWriters(b, writers, func() error {
				return db.Batch(func(tx *bbolt.Tx) error {
					events, err := tx.CreateBucketIfNotExists(eventsBucket)
					if err != nil {
						return err
					}
					n, err := events.NextSequence()
					return errors.Join(err, events.Put(number(n), record))
				})
			})
		})
	}
	b.Run("two syncs", func(b *testing.B) {
		file, err := os.Create(filepath.Join(b.TempDir(), "syncs"))
		benchOK(b, err)
		b.Cleanup(func() { benchOK(b, file.Close()) })
		page := make([]byte, 4096)
		_, err = file.Write(make([]byte, 1<<20))
		benchOK(b, errors.Join(err, file.Sync()))
		benchWriters(b, 1, func() error {
			for i := range int64(2) {
				if _, err := file.WriteAt(page, i*4096); err != nil {
					return err
				}
				if err := syscall.Fdatasync(int(file.Fd())); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// benchWriters shares b.N calls among writers and reports the median.
func benchWriters(b *testing.B, writers int, call func() error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	took := make([][]time.Duration, writers)
	var group sync.WaitGroup
	b.ResetTimer()
	for w := range writers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				start := time.Now()
				if err := call(); err != nil {
					b.Error(err)
					return
				}
				took[w] = append(took[w], time.Since(start))
			}
		})
	}
	group.Wait()
	b.StopTimer()
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkRead reads from a store with very many events.
func BenchmarkRead(b *testing.B) {
	s := benchStore(b)
	events := 100_000
	if n, err := strconv.Atoi(os.Getenv(eventsEnv)); err == nil {
		events = n
	}
	vms := fillStore(b, s, events)
	for name, q := range map[string]commands.EventQuery{
		"newest 50 of a VM":        {Entity: fmt.Sprintf("VM-%d", vms/2), Limit: 50},
		"newest 50 of a node":      {Entity: "controller01", Limit: 50},
		"newest 50 of an incident": {Incident: "inc-7", Limit: 50},
		"newest 50":                {Limit: 50},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				got, err := s.Events(b.Context(), q)
				benchOK(b, err)
				if len(got) != 50 {
					b.Fatalf("%d events", len(got))
				}
			}
		})
	}
	b.Run("verify all", func(b *testing.B) {
		for b.Loop() {
			n, err := s.VerifyChain(b.Context())
			benchOK(b, err)
			if n != events {
				b.Fatalf("%d events", n)
			}
		}
	})
	benchOK(b, s.Close())
	for name, check := range map[string]bool{"open": false, "open with check": true} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s, err := Open(b.Context(), Options{Path: s.opts.Path, Check: check, CheckTimeout: time.Minute})
				benchOK(b, err)
				benchOK(b, s.Close())
			}
		})
	}
}

// fillStore stores events in incidents of a hundred, of which ten are about
// the same VM.
func fillStore(b *testing.B, s *Store, events int) (vms int) {
	b.Helper()
	vms = max(events/1000, 1)
	for i := range events / 100 {
		inc, err := s.OpenIncident(b.Context(), benchIncident(i%vms))
		benchOK(b, err)
		batch := make([]commands.Event, 100)
		for j := range batch {
			batch[j] = benchEvent(inc.ID, i*100+j)
		}
		benchOK(b, s.Append(b.Context(), batch...))
	}
	return vms
}

func benchStore(b *testing.B) *Store {
	b.Helper()
	s, err := Open(b.Context(), Options{Path: filepath.Join(b.TempDir(), "whybot.db")})
	benchOK(b, err)
	b.Cleanup(func() { benchOK(b, s.Close()) })
	return s
}

func benchIncident(vm int) commands.Incident {
	return commands.Incident{
		Opened: noon, Entities: []string{fmt.Sprintf("vm-%d", vm), fmt.Sprintf("port-%d", vm), "compute01", "controller01"},
		Question: commands.Question{Kind: commands.KindDHCP, Text: "why can't vm-1 get an IP", Subjects: map[string]string{"vm": "vm-1"}},
	}
}

func benchEvent(incident string, i int) commands.Event {
	return commands.Event{
		Incident: incident, Kind: commands.EventObserved, At: noon.Add(time.Duration(i) * time.Second),
		Actor: commands.Actor{Via: "slack", ID: "U01ABCDEF", Team: "T01ABCDEF"},
		Text:  "controller01: the reply enters the bridge and does not leave it", Refs: map[string]string{"node": "controller01"},
	}
}

func benchOK(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
