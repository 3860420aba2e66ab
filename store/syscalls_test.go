package store

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An operation is what a process did to the store's file, or a line that it
// wrote to its output.
type operation struct {
	kind   opKind
	offset int64
	data   []byte // of a write
	size   int64  // of a truncation
	line   string // of an acknowledgement
}

type opKind int

const (
	opWrite opKind = iota
	opTruncate
	opSync
	opLine
)

// A syscallStop is the kernel's struct ptrace_syscall_info.
type syscallStop struct {
	op   uint8
	_    [3]byte
	_    uint32 // architecture
	_    uint64 // instruction pointer
	_    uint64 // stack pointer
	body [8]uint64
}

// A tracer follows the system calls of a process, as strace does: what was
// written to one file, what was synced when, and what the process said in
// between, in the order in which the kernel saw it. Nothing in the process is
// replaced for that.
type tracer struct {
	pid     int
	file    string
	log     []operation
	syncing map[int]bool // threads that are in a sync of the file
	memory  *os.File
}

// record runs a child of the test binary to its end and returns what it did to
// file. The kernel kills the child if this process dies; it bounds itself
// otherwise.
func record(t *testing.T, file string, env ...string) []operation {
	t.Helper()
	runtime.LockOSThread() // only the thread that started a process may trace it
	defer runtime.UnlockOSThread()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), env...)
	child.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := child.Start(); err != nil {
		t.Skipf("NOT TESTED: power failures; a child cannot be traced here: %v", err)
	}
	defer func() { _ = child.Wait() }() // its end has been seen already
	file, err := filepath.EvalSymlinks(filepath.Dir(file))
	ok(t, err)
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", child.Process.Pid))
	ok(t, err)
	defer memory.Close()
	tr := &tracer{pid: child.Process.Pid, file: filepath.Join(file, storeName), syncing: map[int]bool{}, memory: memory}
	if err := tr.follow(); err != nil {
		_ = child.Process.Kill() // the error says more
		t.Fatal("tracing:", err)
	}
	return tr.log
}

// follow resumes every thread at each of its stops until the process has ended.
func (tr *tracer) follow() error {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(tr.pid, &status, unix.WALL, nil); err != nil {
		return err
	}
	options := unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := syscall.PtraceSetOptions(tr.pid, options); err != nil {
		return err
	}
	for thread := tr.pid; ; {
		deliver := 0
		switch {
		case status.Exited() || status.Signaled():
			if thread == tr.pid {
				return exitError(status)
			}
		case status.StopSignal() == syscall.SIGTRAP|0x80:
			if err := tr.stopped(thread); err != nil {
				return err
			}
		case status.StopSignal() != syscall.SIGTRAP && status.StopSignal() != syscall.SIGSTOP:
			deliver = int(status.StopSignal()) // the runtime's own, to preempt a goroutine
		}
		if status.Stopped() {
			if err := syscall.PtraceSyscall(thread, deliver); err != nil && err != syscall.ESRCH {
				return err
			}
		}
		var err error
		if thread, err = wait(&status); err != nil {
			return err
		}
	}
}

// wait waits for a thread that this thread traces; other children of the test
// are none of its business.
func wait(status *syscall.WaitStatus) (thread int, err error) {
	for {
		thread, err = syscall.Wait4(-1, status, unix.WALL|unix.WNOTHREAD, nil)
		if err != syscall.EINTR {
			return thread, err
		}
	}
}

func exitError(status syscall.WaitStatus) error {
	if status.Exited() && status.ExitStatus() == 0 {
		return nil
	}
	return fmt.Errorf("the child ended with exit code %d, signal %v", status.ExitStatus(), status.Signal())
}

// stopped notes what a thread is about to do, but of a sync that it is done.
func (tr *tracer) stopped(thread int) error {
	var stop syscallStop
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(thread),
		unsafe.Sizeof(stop), uintptr(unsafe.Pointer(&stop)), 0, 0)
	if errno == unix.ESRCH {
		return nil // it has just been ended with its process
	}
	if errno != 0 {
		return errno
	}
	if stop.op == unix.PTRACE_SYSCALL_INFO_EXIT {
		if tr.syncing[thread] && stop.body[0] == 0 {
			tr.log = append(tr.log, operation{kind: opSync})
		}
		delete(tr.syncing, thread)
		return nil
	}
	return tr.entered(thread, stop.body[0], stop.body[1:])
}

func (tr *tracer) entered(thread int, call uint64, args []uint64) error {
	switch call {
	case unix.SYS_PWRITE64, unix.SYS_FTRUNCATE, unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		if tr.name(args[0]) != tr.file {
			return nil
		}
	case unix.SYS_WRITE:
		if args[0] != 1 {
			if tr.name(args[0]) == tr.file {
				return fmt.Errorf("the store's file is written by a call that is not followed")
			}
			return nil
		}
	case unix.SYS_PWRITEV, unix.SYS_PWRITEV2, unix.SYS_WRITEV, unix.SYS_FALLOCATE, unix.SYS_SYNC_FILE_RANGE:
		if tr.name(args[0]) == tr.file {
			return fmt.Errorf("the store's file is written by call %d, which is not followed", call)
		}
		return nil
	default:
		return nil
	}
	switch call {
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		tr.syncing[thread] = true
	case unix.SYS_FTRUNCATE:
		tr.log = append(tr.log, operation{kind: opTruncate, size: int64(args[1])})
	default:
		data := make([]byte, args[2])
		if _, err := tr.memory.ReadAt(data, int64(args[1])); err != nil {
			return err
		}
		if call == unix.SYS_WRITE {
			tr.log = append(tr.log, operation{kind: opLine, line: strings.TrimSpace(string(data))})
			return nil
		}
		tr.log = append(tr.log, operation{kind: opWrite, offset: int64(args[3]), data: data})
	}
	return nil
}

// name is the file behind one of the child's descriptors.
func (tr *tracer) name(fd uint64) string {
	name, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tr.pid, fd)) // a pipe or nothing is no file
	return name
}
