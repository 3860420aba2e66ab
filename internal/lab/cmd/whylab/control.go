package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"time"

	"whybot/internal/lab"
)

// socketName is the control socket in a lab's directory. A request is one line,
// "VERB WORD"; the answer is text, its first word ok or error.
const socketName = "control"

const orderTimeout = 60 * time.Second

// listen serves orders for a lab until the listener is closed.
func listen(ctx context.Context, l *lab.Lab) (net.Listener, error) {
	listener, err := net.Listen("unix", filepath.Join(l.Dir, socketName))
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			answer(ctx, l, conn) // one after another: orders change the same lab
		}
	}()
	return listener, nil
}

func answer(ctx context.Context, l *lab.Lab, conn net.Conn) {
	defer func() { _ = conn.Close() }() // answered or given up: nothing is lost
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	if err := conn.SetDeadline(time.Now().Add(orderTimeout)); err != nil {
		return
	}
	line, err := bufio.NewReader(io.LimitReader(conn, 4096)).ReadString('\n')
	if err != nil {
		return // the other side is gone
	}
	verb, word, _ := strings.Cut(strings.TrimSpace(line), " ")
	said, err := obey(ctx, l, verb, word)
	if err != nil {
		said = "error " + err.Error()
	} else {
		said = "ok " + said
	}
	_, _ = io.WriteString(conn, said+"\n") // the asker sees a broken answer by itself
}

func obey(ctx context.Context, l *lab.Lab, verb, word string) (string, error) {
	switch verb {
	case "fault", "heal":
		return change(ctx, l, verb, word)
	}
	vm := l.VM(word)
	if vm == nil {
		return "", fmt.Errorf("no guest %q in this lab", word)
	}
	switch verb {
	case "renew":
		return word + " asks anew", vm.Renew(ctx)
	case "silence":
		return word + " is silent", vm.StopAsking(ctx)
	case "lease":
		if ip, ok := vm.Lease(); ok {
			return ip, nil
		}
		return "none", nil
	}
	return "", fmt.Errorf("unknown order %q", verb)
}

func change(ctx context.Context, l *lab.Lab, verb, name string) (string, error) {
	faults, err := lab.FindFaults(name)
	if err != nil {
		return "", err
	}
	if len(faults) > 1 {
		return "", fmt.Errorf("%s has several variants, name one as whylab faults lists them", name)
	}
	if verb == "heal" {
		return "healed " + name, faults[0].Heal(ctx, l)
	}
	return "injected " + name, faults[0].Inject(ctx, l)
}

// ask sends an order to a running lab and prints its answer.
func ask(ctx context.Context, verb string, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("whylab "+verb, flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", "", "the lab's directory; needed when several are up")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || strings.ContainsAny(flags.Arg(0), "\n\r") {
		return fmt.Errorf("%w: whylab %s [--dir DIR] NAME", errUsage, verb)
	}
	socket, err := findSocket(*dir)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{Timeout: orderTimeout}).DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("no lab answers: %w", err)
	}
	defer func() { _ = conn.Close() }() // all of the answer was read
	if _, err := fmt.Fprintf(conn, "%s %s\n", verb, flags.Arg(0)); err != nil {
		return err
	}
	said, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	text := strings.TrimSpace(string(said))
	if rest, ok := strings.CutPrefix(text, "ok "); ok {
		_, err := fmt.Fprintln(stdout, rest)
		return err
	}
	return errors.New(strings.TrimPrefix(text, "error "))
}

func findSocket(dir string) (string, error) {
	if dir != "" {
		return filepath.Join(dir, socketName), nil
	}
	sockets, err := filepath.Glob(filepath.Join(lab.DefaultParent, "*", socketName))
	if err != nil {
		return "", err
	}
	switch len(sockets) {
	case 0:
		return "", errors.New("no lab is up; start one with whylab up")
	case 1:
		return sockets[0], nil
	}
	return "", fmt.Errorf("%d labs are up: choose one with --dir", len(sockets))
}
