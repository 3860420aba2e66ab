package runners

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// Each calls fn once per item, at most limit at a time, and returns what each
// call returned, in the order of the items.
//
// During an incident "that node did not answer" is an answer, so one item's
// failure never cancels another; only ctx ends the run early, and an item not
// started by then reports context.Cause(ctx). A panic in fn becomes that
// item's error: one bad probe must not take the bot down in an outage.
//
// Each returns after every started fn has returned, so fn must honour ctx.
func Each[T, R any](ctx context.Context, limit int, items []T, fn func(context.Context, T) (R, error)) ([]R, []error) {
	values, errs := make([]R, len(items)), make([]error, len(items))
	slots := make(chan struct{}, max(1, limit))
	var wg sync.WaitGroup
	for i, item := range items {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		// select picks at random when a slot is free and ctx is done, so ask.
		if ctx.Err() != nil {
			errs[i] = context.Cause(ctx)
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			values[i], errs[i] = guarded(ctx, item, fn) // each goroutine owns one index
		})
	}
	wg.Wait()
	return values, errs
}

func guarded[T, R any](ctx context.Context, item T, fn func(context.Context, T) (R, error)) (r R, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(ctx, item)
}
