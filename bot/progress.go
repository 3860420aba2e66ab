package bot

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/slack-go/slack"
)

const (
	progressEvery = time.Second     // between two drawings of progress
	progressCall  = 5 * time.Second // of one drawing, which may be skipped
)

// progress draws the newest of the lines it is told, once a second at most.
// What Slack limits is skipped. After stop it draws nothing more.
type progress struct {
	draw func(context.Context, string) error

	mu     sync.Mutex
	newest string
	told   chan struct{}
	quit   chan struct{}
	done   chan struct{}
}

// follow starts a progress whose first line is drawn after first at the
// earliest.
func follow(ctx context.Context, first time.Duration, draw func(context.Context, string) error) *progress {
	p := &progress{draw: draw, told: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.run(ctx, first)
	}()
	return p
}

// say tells a line; it does not wait.
func (p *progress) say(line string) {
	p.mu.Lock()
	p.newest = line
	p.mu.Unlock()
	select {
	case p.told <- struct{}{}:
	default:
	}
}

// stop ends the drawing and waits for the line that is being drawn.
func (p *progress) stop() {
	close(p.quit)
	<-p.done
}

func (p *progress) run(ctx context.Context, pause time.Duration) {
	for {
		if !p.sleep(ctx, pause) {
			return
		}
		select {
		case <-p.told:
		case <-p.quit:
			return
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		line := p.newest
		p.mu.Unlock()
		pause = p.once(ctx, line)
	}
}

// once draws a line and returns how long to leave the message alone then.
func (p *progress) once(ctx context.Context, line string) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, progressCall)
	defer cancel()
	if limit, ok := errors.AsType[*slack.RateLimitedError](p.draw(ctx, line)); ok {
		return max(progressEvery, limit.RetryAfter)
	}
	return progressEvery
}

func (p *progress) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.quit:
	case <-ctx.Done():
	}
	return false
}
