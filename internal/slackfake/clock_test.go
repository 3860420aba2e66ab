package slackfake_test

import (
	"slices"
	"testing"
	"time"

	"whybot/internal/slackfake"
)

func TestManualClockRunsTimersInOrder(t *testing.T) {
	clock := slackfake.NewManualClock(noon)
	var got []string
	note := func(s string) func() {
		return func() { got = append(got, s+clock.Now().Sub(noon).String()) }
	}
	clock.AfterFunc(2*time.Second, note("b"))
	clock.AfterFunc(time.Second, func() {
		note("a")()
		clock.AfterFunc(time.Second, note("c"))
	})
	stop := clock.AfterFunc(time.Second, note("stopped"))
	stop()
	clock.AfterFunc(time.Hour, note("late"))
	clock.Advance(time.Minute)
	if want := []string{"a1s", "b2s", "c2s"}; !slices.Equal(got, want) {
		t.Fatalf("ran %v, want %v", got, want)
	}
	if clock.Now() != noon.Add(time.Minute) {
		t.Fatalf("now %v", clock.Now())
	}
}

func TestTheSystemClockIsTheDefault(t *testing.T) {
	s := slackfake.New(slackfake.Options{})
	defer s.Close()
	if _, err := s.Say(slackfake.UserOperator, slackfake.ChannelOps, "", "hello"); err != nil {
		t.Fatal(err)
	}
	first := s.Messages(slackfake.ChannelOps)[0]
	if past := s.History(slackfake.ChannelOps, first.TS); len(past) != 1 || time.Since(past[0].At) > time.Hour {
		t.Fatalf("history = %+v", past)
	}
}

func TestABrokenWorkspacePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("a channel with an unknown member was accepted")
		}
	}()
	w := slackfake.DefaultWorkspace()
	w.Channels[0].Members = append(w.Channels[0].Members, "U0NOBODY")
	slackfake.New(slackfake.Options{Workspace: w})
}
