package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A relay carries frames between two devices of one network namespace through
// this process, as the process of a hypervisor does: what the kernel knows about
// a frame besides its bytes (that its checksum is still to be filled in) is lost
// on the way. It may take its time.
type relay struct {
	ends []*os.File
	stop chan struct{}
	done sync.WaitGroup
}

// startRelay joins two devices in the namespace that a path names; every frame
// is kept for delay.
func startRelay(netns, first, second string, delay time.Duration) (*relay, error) {
	r := &relay{stop: make(chan struct{})}
	for _, device := range []string{first, second} {
		f, err := openDevice(netns, device)
		if err != nil {
			r.close()
			return nil, fmt.Errorf("lab: relay on %s: %w", device, err)
		}
		r.ends = append(r.ends, f)
	}
	r.done.Go(func() { r.pump(r.ends[0], r.ends[1], delay) })
	r.done.Go(func() { r.pump(r.ends[1], r.ends[0], delay) })
	return r, nil
}

func (r *relay) close() {
	close(r.stop)
	for _, f := range r.ends {
		_ = f.Close() // the pump that reads from it ends
	}
	r.done.Wait()
}

// maxFrame is more than any frame of the lab.
const maxFrame = 1 << 16

func (r *relay) pump(from, to *os.File, delay time.Duration) {
	frame := make([]byte, maxFrame)
	for {
		n, err := from.Read(frame)
		if errors.Is(err, unix.ENETDOWN) {
			continue // said once when the device goes down; it may come up again
		}
		if err != nil {
			return
		}
		select {
		case <-time.After(delay):
		case <-r.stop:
			return
		}
		_, _ = to.Write(frame[:n]) // a frame may be lost on any wire
	}
}

// openDevice opens a packet socket on a device of another namespace. The thread
// that went there is not used for anything else: it ends with its goroutine.
func openDevice(netns, device string) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	result := make(chan opened)
	go func() {
		runtime.LockOSThread()
		f, err := packetSocketIn(netns, device)
		result <- opened{f, err}
	}()
	o := <-result
	return o.file, o.err
}

func packetSocketIn(netns, device string) (*os.File, error) {
	ns, err := os.Open(netns)
	if err != nil {
		return nil, err
	}
	defer closeQuietly(ns)
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter %s: %w", netns, err)
	}
	nic, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), device)
	everything := uint16(unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8) // network order
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: nic.Index}),
	)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// addRelay keeps a relay until it is taken away by its name or the lab ends.
func (l *Lab) addRelay(name, netns, first, second string, delay time.Duration) error {
	r, err := startRelay(netns, first, second, delay)
	if err != nil {
		return err
	}
	l.dropRelay(name)
	l.relays[name] = r
	return nil
}

func (l *Lab) dropRelay(name string) {
	if r := l.relays[name]; r != nil {
		r.close()
		delete(l.relays, name)
	}
}
