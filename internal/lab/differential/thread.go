package differential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// onThread runs work on an operating system thread that nothing else uses, so
// that it can change its network namespace. The thread ends with it, and the
// namespaces that it made, which have no names, end with its last socket.
func onThread(work func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- work()
	}()
	return <-done
}

// newNamespace moves the thread into a new network namespace and returns a
// file that names it.
func newNamespace() (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("a new network namespace: %w (it needs root)", err)
	}
	return os.Open("/proc/thread-self/ns/net")
}

func enter(namespace *os.File) error {
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering a network namespace: %w", err)
	}
	return nil
}

// pin keeps the thread, and the programs it starts, on one of the CPUs that it
// may use: frames sent from one CPU stay in order.
func pin(nth int) error {
	var allowed, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("reading the CPU affinity: %w", err)
	}
	nth %= max(1, allowed.Count())
	for cpu := range len(allowed) * 64 {
		if !allowed.IsSet(cpu) {
			continue
		}
		if nth == 0 {
			one.Set(cpu)
			break
		}
		nth--
	}
	return unix.SchedSetaffinity(0, &one)
}

// run runs a program in the thread's namespace and returns what it printed.
func run(ctx context.Context, stdin string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(argv, " "), context.Cause(ctx))
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("%s: exit %d: %s", strings.Join(argv, " "), exit.ExitCode(), strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), err
}

// sysctl sets a value in the thread's namespace.
func sysctl(name, value string) error {
	return os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0o644)
}
