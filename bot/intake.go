package bot

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"whybot/commands"
)

const (
	recordTime = 2 * time.Second // of Slack's three for an acknowledgement
	queueOver  = 8               // requests that may wait for each worker
)

// lanes of work: questions never keep a fix waiting.
type lane int

const (
	askLane lane = iota
	fixLane
	laneCount
)

// A request is one delivery that there is something to do about.
type request struct {
	key  string // what a repeated delivery has in common with the first
	lane lane
	from place // where to answer if there is no room for it
	work func(context.Context)
}

// intake records deliveries and lets them work in bounded numbers.
type intake struct {
	deliveries commands.Deliveries
	log        *slog.Logger
	busy       func(context.Context, place)

	refusing chan struct{} // holds one for each request that is told so
	running  sync.WaitGroup
	lanes    [laneCount]*track
}

// track is one lane.
type track struct {
	queue   chan struct{}   // holds one for each request that waits or works
	workers chan struct{}   // holds one for each request that works
	ctx     context.Context //nolint:containedctx // the life of the lane's work, longer than that of the delivery
	cancel  context.CancelCauseFunc
}

func newTrack(workers int) *track {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &track{queue: make(chan struct{}, workers*(1+queueOver)), workers: make(chan struct{}, workers), ctx: ctx, cancel: cancel}
}

func newIntake(d commands.Deliveries, workers int, log *slog.Logger, busy func(context.Context, place)) *intake {
	in := &intake{deliveries: d, log: log, busy: busy, refusing: make(chan struct{}, workers)}
	for i := range in.lanes {
		in.lanes[i] = newTrack(workers)
	}
	return in
}

// record notes a delivery and reports whether it is the first. On an error it
// must not be acknowledged: Slack then brings it again.
func (in *intake) record(ctx context.Context, r *request) (first bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, recordTime, fmt.Errorf("recording a delivery took longer than %s", recordTime))
	defer cancel()
	first, err = in.deliveries.First(ctx, r.key)
	if err != nil {
		in.log.Error("delivery not recorded, so not accepted", slog.String("key", r.key), slog.Any("error", err))
		return false, err
	}
	return first, nil
}

// start lets an acknowledged request work when a worker is free. It returns at
// once.
func (in *intake) start(r *request) {
	l := in.lanes[r.lane]
	select {
	case l.queue <- struct{}{}:
	default:
		in.refuse(l.ctx, r)
		return
	}
	in.running.Go(func() {
		defer func() { <-l.queue }()
		select {
		case l.workers <- struct{}{}:
		case <-l.ctx.Done():
			in.guarded(l.ctx, func(ctx context.Context) { in.busy(ctx, r.from) })
			return
		}
		defer func() { <-l.workers }()
		in.guarded(l.ctx, r.work)
	})
}

// refuse tells the person that there is no room, unless too many are being
// told already.
func (in *intake) refuse(ctx context.Context, r *request) {
	select {
	case in.refusing <- struct{}{}:
	default:
		in.log.Warn("request dropped: too many", slog.String("key", r.key))
		return
	}
	in.running.Go(func() {
		defer func() { <-in.refusing }()
		in.guarded(ctx, func(ctx context.Context) { in.busy(ctx, r.from) })
	})
}

// guarded keeps a panic of one request from ending the bot.
func (in *intake) guarded(ctx context.Context, work func(context.Context)) {
	defer func() {
		if p := recover(); p != nil {
			in.log.Error("request panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		}
	}()
	work(ctx)
}

// end cancels the work of a lane.
func (in *intake) end(l lane, cause error) { in.lanes[l].cancel(cause) }

// idle returns a channel that is closed when nothing works any more.
func (in *intake) idle() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		in.running.Wait()
		close(done)
	}()
	return done
}
