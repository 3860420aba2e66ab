package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Machine is one node of the cloud.
type Machine struct {
	Name string
	// Address is where its sshd listens, reachable from the root namespace.
	Address string

	cell *cell
}

// Run runs a program on the machine as root and returns what it printed.
func (m *Machine) Run(ctx context.Context, argv ...string) (string, error) {
	return m.cell.run(ctx, "", argv...)
}

// Sh runs a shell script on the machine as root; args are its $1, $2, ...
func (m *Machine) Sh(ctx context.Context, script string, args ...string) (string, error) {
	return m.cell.run(ctx, "", append([]string{"sh", "-euc", script, "sh"}, args...)...)
}

// ReadFile reads a file of the machine.
func (m *Machine) ReadFile(path string) (string, error) {
	b, err := os.ReadFile(m.hostPath(path))
	return string(b), err
}

// WriteFile writes a file of the machine, in place.
func (m *Machine) WriteFile(path, text string) error {
	return os.WriteFile(m.hostPath(path), []byte(text), 0o644)
}

// hostPath is the machine's file as this process can open it.
func (m *Machine) hostPath(path string) string {
	return fmt.Sprintf("/proc/%d/root%s", m.cell.pid(), path)
}

// A cell is a process tree in namespaces of its own. Its pid 1 lives as long
// as this process holds the other end of its standard input.
type cell struct {
	cmd     *exec.Cmd
	orders  *os.File
	answers *os.File
	reader  *bufio.Reader
	enter   []string // nsenter's words for the namespaces
}

// startCell starts pid 1 from a script inside a network namespace and waits
// until it says a line.
func startCell(ctx context.Context, netns string, flags uintptr, logFile string, argv ...string) (*cell, error) {
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer closeQuietly(inR)
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, inW.Close())
	}
	defer closeQuietly(outW)
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, errors.Join(err, inW.Close(), outR.Close())
	}
	defer closeQuietly(log)
	cmd := exec.Command("nsenter", append([]string{"--net=/run/netns/" + netns, "--"}, argv...)...)
	cmd.Env = []string{commandPath, "LC_ALL=C.UTF-8", "HOME=/root"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | flags}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("lab: start %s: %w", netns, err), inW.Close(), outR.Close())
	}
	c := &cell{cmd: cmd, orders: inW, answers: outR, reader: bufio.NewReader(outR)}
	c.enter = []string{"nsenter", "-t", strconv.Itoa(c.pid()), "-n", "-p"}
	if flags&syscall.CLONE_NEWNS != 0 {
		c.enter = append(c.enter, "-m", "-u", "-i")
	}
	if err := c.answer(ctx); err != nil {
		said, _ := os.ReadFile(logFile) // best effort: it only explains the error
		c.kill()
		return nil, fmt.Errorf("lab: %s did not come up: %w: %s", netns, err, strings.TrimSpace(string(said)))
	}
	return c, nil
}

// closeQuietly gives up our copy of a descriptor that the child has.
func closeQuietly(f *os.File) { _ = f.Close() }

func (c *cell) pid() int { return c.cmd.Process.Pid }

func (c *cell) run(ctx context.Context, input string, argv ...string) (string, error) {
	return run(ctx, input, append(append(append([]string(nil), c.enter...), "--"), argv...)...)
}

// answer waits for one line of pid 1.
func (c *cell) answer(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = c.answers.SetReadDeadline(time.Now()) })
	defer stop()
	_, err := c.reader.ReadString('\n')
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, io.EOF) {
		return errors.New("its first process ended")
	}
	return err
}

// order sends pid 1 one line and waits for its answer.
func (c *cell) order(ctx context.Context, line string) error {
	if _, err := c.orders.WriteString(line + "\n"); err != nil {
		return err
	}
	return c.answer(ctx)
}

// kill ends the cell and everything in it.
func (c *cell) kill() {
	_ = c.cmd.Process.Kill() // an error means that it is gone already
	_ = c.cmd.Wait()         // killed: always an error
	_ = c.orders.Close()
	_ = c.answers.Close()
}

// boot brings a machine up from its files.
func (l *Lab) boot(ctx context.Context, name string) (*Machine, error) {
	dir := filepath.Join(l.fs(), name)
	if err := l.writeRoot(name, dir); err != nil {
		return nil, fmt.Errorf("lab: files of %s: %w", name, err)
	}
	c, err := startCell(ctx, l.claim.namespace(name), syscall.CLONE_NEWNS|syscall.CLONE_NEWUTS|syscall.CLONE_NEWIPC,
		filepath.Join(l.Dir, name+".log"), "sh", filepath.Join(l.Dir, "init.sh"), name, dir, filepath.Join(l.Dir, "bpf"))
	if err != nil {
		return nil, err
	}
	return &Machine{Name: name, Address: l.claim.address(machineNumber(name)), cell: c}, nil
}
