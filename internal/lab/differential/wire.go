package differential

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// markerType is an experimental EtherType, for frames on the marker's way.
const markerType = 0x88b5

// networkOrder returns an EtherType as packet sockets want it.
func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

func packetSocket(device string, etherType uint16) (int, error) {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return -1, fmt.Errorf("%s: %w", device, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("a packet socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(etherType), Ifindex: dev.Index}); err != nil {
		return -1, errors.Join(fmt.Errorf("a packet socket on %s: %w", device, err), unix.Close(fd))
	}
	return fd, nil
}

// nextTag is what marks the next packet as one of the test's.
func (n *node) nextTag() []byte {
	n.serial++
	return binary.BigEndian.AppendUint32([]byte("whyb"), n.serial)
}

// send puts a shot on the wire and says where it arrived. A marker follows it
// on a way that is longer and sees no firewall, through the same CPU's queues,
// so that a loss is seen without waiting.
func (n *node) send(s shot) (map[string]bool, error) {
	tag := n.nextTag()
	frame := s.frame(tag)
	if err := n.emit(s, frame); err != nil {
		return nil, fmt.Errorf("sending %v: %w", s, err)
	}
	marker := append(bytes.Repeat([]byte{0xff}, 6), farMAC("p0")...)
	marker = binary.BigEndian.AppendUint16(marker, markerType)
	marker = append(append(marker, tag...), make([]byte, 40)...)
	if _, err := unix.Write(n.marker[0], marker); err != nil {
		return nil, fmt.Errorf("sending the marker: %w", err)
	}
	if err := n.await(tag); err != nil {
		return nil, err
	}
	arrived := map[string]bool{}
	for l, fd := range n.far {
		found, err := drain(fd, tag)
		if err != nil {
			return nil, fmt.Errorf("reading behind %s: %w", l, err)
		}
		arrived[l] = found
	}
	for _, fd := range n.near {
		found, err := drain(fd, tag)
		if err != nil {
			return nil, fmt.Errorf("reading in the node: %w", err)
		}
		arrived[host] = arrived[host] || found
	}
	return arrived, nil
}

// emit sends from a far end, or from the node itself. A packet of the node's
// own that a rule drops on its way out is refused with EPERM: that is an answer.
func (n *node) emit(s shot, frame []byte) error {
	if s.From != host {
		_, err := unix.Write(n.far[s.From], frame)
		return err
	}
	key := ownKey{device(s.To), s.v6()}
	var err error
	if dst := s.packet().Dst; key.v6 {
		err = unix.Sendto(n.own[key], frame[etherHeader:], 0, &unix.SockaddrInet6{Addr: dst.As16()})
	} else {
		err = unix.Sendto(n.own[key], frame[etherHeader:], 0, &unix.SockaddrInet4{Addr: dst.As4()})
	}
	if errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

// markerTimeout is far beyond what a frame takes on a busy machine.
const markerTimeout = 20 * time.Second

func (n *node) await(tag []byte) error {
	for deadline := time.Now().Add(markerTimeout); time.Now().Before(deadline); {
		found, err := drain(n.marker[1], tag)
		if found || err != nil {
			return err
		}
		fds := []unix.PollFd{{Fd: int32(n.marker[1]), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, 200); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return errors.New("the marker frame was lost: the node's wire is broken")
}

// drain reads what a socket holds and says whether a frame with the tag came in.
func drain(fd int, tag []byte) (found bool, err error) {
	buf := make([]byte, 2048)
	for {
		size, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return found, nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return found, err
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		found = found || bytes.Contains(buf[:size], tag)
	}
}

// forget empties the connection tracking table: every rule set begins without
// a memory of the packets before.
func (n *node) forget() error {
	const deleteAll = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2 // IPCTNL_MSG_CT_DELETE
	m := binary.NativeEndian.AppendUint32(nil, 20)
	m = binary.NativeEndian.AppendUint16(m, deleteAll)
	m = binary.NativeEndian.AppendUint16(m, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	m = append(m, make([]byte, 12)...) // sequence, port, and a nfgenmsg of any family
	if err := unix.Sendto(n.flush, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("emptying the connection tracking table: %w", err)
	}
	answer := make([]byte, 256)
	size, _, err := unix.Recvfrom(n.flush, answer, 0)
	if err != nil {
		return fmt.Errorf("emptying the connection tracking table: %w", err)
	}
	if size < 20 {
		return errors.New("emptying the connection tracking table: the answer is cut short")
	}
	if code := int32(binary.NativeEndian.Uint32(answer[16:])); code != 0 {
		return fmt.Errorf("emptying the connection tracking table: %w", unix.Errno(-code))
	}
	return nil
}
