package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"whybot/commands"
)

// lockRetry is how often a taken lock is tried again.
const lockRetry = 25 * time.Millisecond

// lock takes the lock that bbolt takes, but before anything is read: what
// another process is writing would look like damage.
func lock(ctx context.Context, file *os.File, path string) error {
	busy := busyError(path)
	ctx, cancel := context.WithTimeoutCause(ctx, lockTimeout, busy)
	defer cancel()
	retry := time.NewTicker(lockRetry)
	defer retry.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return placeError(err, fmt.Sprintf("The store %s could not be locked.", path), "Put it on a local file system that knows flock.")
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), busy) {
				return busy
			}
			return contextError(ctx)
		}
	}
}

func busyError(path string) error {
	return &commands.Error{
		Code:   commands.CodeBusy,
		Public: fmt.Sprintf("Another whybot has the store %s open.", path),
		Hint:   "Wait until it is done or stop it (is whybot serve running?), or set another store.path.",
	}
}
