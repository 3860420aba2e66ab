package differential

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A node is the machine under test and the wire around it. It belongs to the
// thread that made it.
type node struct {
	inside, wire *os.File

	far    map[string]int // packet sockets on the wire, by interface
	near   []int          // sockets that see what is delivered to the node
	own    map[ownKey]int // raw sockets that send as the node
	marker [2]int         // ends of the way that no firewall sees
	flush  int            // netlink socket to connection tracking

	serial uint32
	calls  map[bool]bool // bridge-nf-call-iptables (false) and -ip6tables (true), as set
}

// ownKey names a raw socket of the node: where it sends, and what.
type ownKey struct {
	device string
	v6     bool
}

// newNode makes a node for the calling thread, and leaves the thread in it.
func newNode(ctx context.Context) (n *node, err error) {
	n = &node{far: map[string]int{}, own: map[ownKey]int{}, marker: [2]int{-1, -1}, flush: -1, calls: map[bool]bool{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("differential: making the node: %w", err), n.close())
		}
	}()
	if n.wire, err = newNamespace(); err != nil {
		return n, err
	}
	if err := quiet(false); err != nil {
		return n, err
	}
	if _, err := run(ctx, markerWay, "ip", "-batch", "-"); err != nil {
		return n, err
	}
	if n.inside, err = newNamespace(); err != nil {
		return n, err
	}
	if err := quiet(true); err != nil {
		return n, err
	}
	if _, err := run(ctx, n.wiring(), "ip", "-batch", "-"); err != nil {
		return n, err
	}
	for _, v := range []string{"-4", "-6"} {
		if _, err := run(ctx, onlyOwn, "ip", v, "-batch", "-"); err != nil {
			return n, err
		}
	}
	var static strings.Builder
	for _, p := range ports {
		fmt.Fprintf(&static, "fdb replace %s dev %s master static\n", farMAC(p), p)
	}
	if _, err := run(ctx, static.String(), "bridge", "-batch", "-"); err != nil {
		return n, err
	}
	if _, err := run(ctx, n.neighbours(), "ip", "-batch", "-"); err != nil {
		return n, err
	}
	// Connection tracking runs on every node, whether or not a rule of the
	// tables under test needs it: without it nobody asks the nat table.
	if err := clearNFT(ctx); err != nil {
		return n, err
	}
	if err := n.open(ctx); err != nil {
		return n, err
	}
	return n, silence(ctx)
}

// silence waits until the node has told the wire which IPv6 groups it joined:
// the reports would count in the rules under test.
func silence(ctx context.Context) error {
	const quietFor, tries = 250 * time.Millisecond, 80
	tick := time.NewTicker(quietFor)
	defer tick.Stop()
	last := ""
	for range tries {
		b, err := os.ReadFile("/proc/thread-self/net/snmp6")
		if err != nil {
			return err
		}
		_, sent, _ := strings.Cut(string(b), "Ip6OutRequests")
		sent, _, _ = strings.Cut(sent, "\n")
		if sent == last && last != "" {
			return nil
		}
		last = sent
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return errors.New("the node does not stop sending by itself")
}

// markerWay is three cables in a row, joined by bridges without rules: a frame
// takes longer through it than any packet under test does through the node.
const markerWay = `link add m0 type veth peer name m1
link add m2 type veth peer name m3
link add m4 type veth peer name m5
link add mb0 type bridge mcast_snooping 0
link add mb1 type bridge mcast_snooping 0
link set m1 master mb0
link set m2 master mb0
link set m3 master mb1
link set m4 master mb1
link set mb0 up
link set mb1 up
link set m0 up
link set m1 up
link set m2 up
link set m3 up
link set m4 up
link set m5 up
`

// quiet keeps a namespace from sending anything of its own accord.
func quiet(router bool) error {
	settings := []string{
		"net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1",
	}
	if router {
		settings = []string{
			"net.ipv4.ip_forward=1", "net.ipv4.conf.all.accept_local=1", "net.ipv4.conf.all.rp_filter=0",
			"net.ipv4.conf.default.rp_filter=0", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.default.send_redirects=0",
			"net.ipv4.conf.all.arp_ignore=8", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.default.accept_dad=0",
			"net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.router_solicitations=0", "net.ipv6.conf.default.accept_ra=0",
			"net.ipv6.conf.default.mldv2_unsolicited_report_interval=1", "net.ipv6.conf.default.mldv1_unsolicited_report_interval=1",
		}
	}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		if err := sysctl(name, value); err != nil {
			return err
		}
	}
	return nil
}

// wiring lays the cables.
func (n *node) wiring() string {
	var b strings.Builder
	fmt.Fprintf(&b, "link set lo up\nlink add %s address %s type bridge mcast_snooping 0\n", bridge, nearMAC(bridge))
	for i, l := range links {
		fmt.Fprintf(&b, "link add %s type veth peer name e%d netns /proc/%d/fd/%d\n", l, i, os.Getpid(), n.wire.Fd())
		if isPort(l) {
			fmt.Fprintf(&b, "link set %s master %s addrgenmode none\n", l, bridge)
		} else {
			fmt.Fprintf(&b, "link set %s address %s\n", l, nearMAC(l))
		}
		fmt.Fprintf(&b, "link set %s up\n", l)
	}
	fmt.Fprintf(&b, "link set %s up\n", bridge)
	for _, d := range []string{bridge, "r0", "r1"} {
		fmt.Fprintf(&b, "addr add %s/24 dev %s\naddr add %s/64 dev %s nodad\n", nearIP(d, false), d, nearIP(d, true), d)
	}
	return b.String()
}

// ownTOS marks what the test sends as the node.
const ownTOS = 0x10

// onlyOwn finds a route for what the test sends as the node, by a socket bound
// to an interface, and with ownTOS. What the node sends by itself (answers, ICMP
// errors, resets) finds none: it would count in the rules under test.
const onlyOwn = `rule add pref 1 oif br0 tos 0x10 lookup main
rule add pref 1 oif r0 tos 0x10 lookup main
rule add pref 1 oif r1 tos 0x10 lookup main
rule add pref 2 iif lo blackhole
rule add pref 3 lookup local
rule del pref 0
`

func (n *node) neighbours() string {
	var b strings.Builder
	for _, l := range links {
		for _, v6 := range []bool{false, true} {
			fmt.Fprintf(&b, "neigh replace %s lladdr %s dev %s nud permanent\n", farIP(l, v6), farMAC(l), device(l))
		}
	}
	return b.String()
}

// open makes the sockets, and raises the far ends of the cables.
func (n *node) open(ctx context.Context) error {
	if err := enter(n.wire); err != nil {
		return err
	}
	for i, l := range links {
		end := fmt.Sprintf("e%d", i)
		if _, err := run(ctx, "", "ip", "link", "set", end, "address", farMAC(l).String(), "up"); err != nil {
			return err
		}
		fd, err := packetSocket(end, unix.ETH_P_ALL)
		if err != nil {
			return err
		}
		n.far[l] = fd
	}
	for i, end := range []string{"m0", "m5"} {
		fd, err := packetSocket(end, markerType)
		if err != nil {
			return err
		}
		n.marker[i] = fd
	}
	if err := enter(n.inside); err != nil {
		return err
	}
	return n.openInside()
}

func (n *node) openInside() error {
	for _, s := range [][2]int{
		{unix.AF_INET, unix.IPPROTO_UDP},
		{unix.AF_INET, unix.IPPROTO_TCP},
		{unix.AF_INET, unix.IPPROTO_ICMP},
		{unix.AF_INET6, unix.IPPROTO_UDP},
		{unix.AF_INET6, unix.IPPROTO_TCP},
		{unix.AF_INET6, unix.IPPROTO_ICMPV6},
	} {
		fd, err := unix.Socket(s[0], unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, s[1])
		if err != nil {
			return fmt.Errorf("a raw socket: %w", err)
		}
		n.near = append(n.near, fd)
	}
	fd, err := packetSocket(bridge, unix.ETH_P_ARP)
	if err != nil {
		return err
	}
	n.near = append(n.near, fd)
	for _, d := range []string{bridge, "r0", "r1"} {
		for family, v6 := range map[int]bool{unix.AF_INET: false, unix.AF_INET6: true} {
			fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
			if err != nil {
				return fmt.Errorf("a raw socket: %w", err)
			}
			n.own[ownKey{d, v6}] = fd
			if err := unix.BindToDevice(fd, d); err != nil {
				return fmt.Errorf("binding a raw socket to %s: %w", d, err)
			}
			level, option := unix.IPPROTO_IP, unix.IP_TOS
			if v6 {
				level, option = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
			}
			if err := unix.SetsockoptInt(fd, level, option, ownTOS); err != nil {
				return fmt.Errorf("the TOS of a raw socket: %w", err)
			}
		}
	}
	n.flush, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("a netlink socket: %w", err)
	}
	return nil
}

// close gives everything back.
func (n *node) close() error {
	var errs []error
	shut := func(fd int) {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	for _, fd := range n.far {
		shut(fd)
	}
	for _, fd := range n.near {
		shut(fd)
	}
	for _, fd := range n.own {
		shut(fd)
	}
	shut(n.marker[0])
	shut(n.marker[1])
	shut(n.flush)
	for _, f := range []*os.File{n.inside, n.wire} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// showBridged sets whether bridged frames are shown to the IP layer's hooks.
func (n *node) showBridged(v6, on bool) error {
	if was, set := n.calls[v6]; set && was == on {
		return nil
	}
	name, value := "net.bridge.bridge-nf-call-iptables", "0"
	if v6 {
		name = "net.bridge.bridge-nf-call-ip6tables"
	}
	if on {
		value = "1"
	}
	n.calls[v6] = on
	return sysctl(name, value)
}
