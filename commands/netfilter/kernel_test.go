package netfilter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests in this file put rules into the real kernel, send real frames
// across a real bridge and compare what happened, rule by rule, with what the
// evaluator says.

var backends = []string{"nft", "legacy"}

// requireKernel skips, loudly, where the kernel cannot be asked.
func requireKernel(t *testing.T) {
	t.Helper()
	missing := ""
	if os.Getuid() != 0 {
		missing = "not root"
	}
	for _, tool := range []string{"ip", "bridge", "sysctl", "bash", "iptables-nft-restore", "iptables-nft-save", "iptables-legacy-restore", "iptables-legacy-save"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = tool + " is not installed"
		}
	}
	if missing == "" {
		return
	}
	if os.Getenv("WHYBOT_REQUIRE_LAB") == "1" {
		t.Fatalf("WHYBOT_REQUIRE_LAB=1, but %s", missing)
	}
	t.Skipf("THE EVALUATOR IS NOT COMPARED WITH THE KERNEL: %s", missing)
}

// A kernelLab is a bridge in a namespace of its own, with one veth port per
// name, whose far ends are in a second namespace.
type kernelLab struct {
	t       *testing.T
	backend string
	bridge  string
	ports   []string
	inside  string // the namespace of the bridge
	outside string
	ends    []int // sockets on the far ends
	serial  uint32
}

func run(t *testing.T, stdin string, argv ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", strings.Join(argv, " "), err, stderr.String(), stdin)
	}
	return stdout.String()
}

func newKernelLab(t *testing.T, backend, bridge string, ports ...string) *kernelLab {
	t.Helper()
	requireKernel(t)
	id := fmt.Sprintf("nft%d-%s%d", os.Getpid(), backend[:1], rand.IntN(1_000_000))
	l := &kernelLab{t: t, backend: backend, bridge: bridge, ports: ports, inside: id + "b", outside: id + "e"}
	for _, ns := range []string{l.inside, l.outside} {
		run(t, "", "ip", "netns", "add", ns)
		t.Cleanup(func() {
			if out, err := exec.Command("ip", "netns", "del", ns).CombinedOutput(); err != nil {
				t.Errorf("ip netns del %s: %v: %s", ns, err, out)
			}
		})
		run(t, "", "ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
	}
	run(t, "", "ip", "-n", l.inside, "link", "add", bridge, "address", "02:00:00:00:00:fe", "type", "bridge", "mcast_snooping", "0")
	run(t, "", "ip", "-n", l.inside, "addr", "add", "10.9.0.254/24", "dev", bridge)
	run(t, "", "ip", "-n", l.inside, "link", "set", bridge, "up")
	l.sysctl("1")
	for i, p := range ports {
		end := fmt.Sprintf("end%d", i)
		run(t, "", "ip", "-n", l.inside, "link", "add", p, "type", "veth", "peer", "name", end, "netns", l.outside)
		run(t, "", "ip", "-n", l.outside, "link", "set", end, "address", endMAC(i).String(), "up")
		run(t, "", "ip", "-n", l.inside, "link", "set", p, "master", bridge, "up")
		run(t, "", "bridge", "-n", l.inside, "fdb", "replace", endMAC(i).String(), "dev", p, "master", "static")
	}
	l.open()
	return l
}

func endMAC(i int) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, byte(i)} }

func endIP(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, 0, byte(i + 1)}) }

func (l *kernelLab) sysctl(v string) {
	run(l.t, "", "ip", "netns", "exec", l.inside, "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables="+v)
}

// open makes a packet socket on every far end. A socket stays in the namespace
// it was made in, so only the making needs to go there; the thread that went is
// not given back to the runtime.
func (l *kernelLab) open() {
	l.t.Helper()
	type made struct {
		fds []int
		err error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		fds, err := socketsIn("/run/netns/"+l.outside, len(l.ports))
		done <- made{fds, err}
	}()
	m := <-done
	if m.err != nil {
		l.t.Fatal(m.err)
	}
	l.ends = m.fds
	l.t.Cleanup(func() {
		for _, fd := range l.ends {
			_ = unix.Close(fd)
		}
	})
}

func socketsIn(namespace string, n int) ([]int, error) {
	ns, err := unix.Open(namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(ns) }()
	if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	var fds []int
	for i := range n {
		dev, err := net.InterfaceByName(fmt.Sprintf("end%d", i))
		if err != nil {
			return nil, err
		}
		proto := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff}) // network order
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(proto))
		if err != nil {
			return nil, err
		}
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: dev.Index}); err != nil {
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func (l *kernelLab) restore(text string) {
	l.t.Helper()
	run(l.t, text, "ip", "netns", "exec", l.inside, "iptables-"+l.backend+"-restore")
}

func (l *kernelLab) list() *Ruleset {
	l.t.Helper()
	rs, err := Parse(run(l.t, "", "ip", "netns", "exec", l.inside, "iptables-"+l.backend+"-save", "-c"))
	if err != nil {
		l.t.Fatal(err)
	}
	return rs
}

const markerType = 0x88b5 // an experimental EtherType, which iptables never sees

// send puts p on the wire at one end and says whether it arrived at another.
// A marker that no firewall sees follows it, so loss is seen without waiting.
func (l *kernelLab) send(p Packet, from, to int) bool {
	l.t.Helper()
	l.serial++
	tag := make([]byte, 8)
	copy(tag, "whyb")
	binary.BigEndian.PutUint32(tag[4:], l.serial)
	f := frame(l.t, p, tag)
	marker := append(append(append(append([]byte{}, endMAC(to)...), endMAC(from)...), markerType>>8, markerType&0xff), tag...)
	marker = append(marker, make([]byte, 60)...)
	runtime.LockOSThread() // both frames must go through one CPU's queue
	var old, first unix.CPUSet
	_ = unix.SchedGetaffinity(0, &old)
	for cpu := range len(old) * 64 {
		if old.IsSet(cpu) {
			first.Set(cpu)
			break
		}
	}
	_ = unix.SchedSetaffinity(0, &first)
	err := errors.Join(write(l.ends[from], f), write(l.ends[from], marker))
	_ = unix.SchedSetaffinity(0, &old)
	runtime.UnlockOSThread()
	if err != nil {
		l.t.Fatal(err)
	}
	return l.receive(to, tag)
}

func write(fd int, b []byte) error {
	_, err := unix.Write(fd, b)
	return err
}

func (l *kernelLab) receive(at int, tag []byte) (arrived bool) {
	l.t.Helper()
	buf := make([]byte, 4096)
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		fds := []unix.PollFd{{Fd: int32(l.ends[at]), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 200); err != nil && !errors.Is(err, unix.EINTR) {
			l.t.Fatal(err)
		} else if n <= 0 {
			continue
		}
		n, from, err := unix.Recvfrom(l.ends[at], buf, unix.MSG_DONTWAIT)
		if err != nil {
			continue
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if !strings.Contains(string(buf[:n]), string(tag)) {
			continue
		}
		if binary.BigEndian.Uint16(buf[12:]) == markerType {
			return arrived
		}
		arrived = true
	}
	l.t.Fatal("the marker frame did not cross the bridge")
	return false
}

// frame builds the Ethernet frame that p describes, with payload in it.
func frame(t *testing.T, p Packet, payload []byte) []byte {
	t.Helper()
	proto, _ := p.Proto.Get()
	sport, _ := p.Sport.Get()
	dport, _ := p.Dport.Get()
	var l4 []byte
	switch proto {
	case ProtoUDP:
		l4 = binary.BigEndian.AppendUint16(l4, sport)
		l4 = binary.BigEndian.AppendUint16(l4, dport)
		l4 = binary.BigEndian.AppendUint16(l4, uint16(8+len(payload)))
		l4 = append(l4, 0, 0) // no checksum, which IPv4 allows
	case ProtoTCP:
		l4 = binary.BigEndian.AppendUint16(l4, sport)
		l4 = binary.BigEndian.AppendUint16(l4, dport)
		flags, _ := p.TCPFlags.Get()
		l4 = append(l4, 0, 0, 0, 1, 0, 0, 0, 0, 5<<4, flags, 0xff, 0xff, 0, 0, 0, 0)
		src, dst := p.Src.As4(), p.Dst.As4()
		pseudo := append(append(append([]byte{}, src[:]...), dst[:]...), 0, ProtoTCP, 0, byte(len(l4)+len(payload)))
		binary.BigEndian.PutUint16(l4[16:], checksum(append(append(pseudo, l4...), payload...)))
	case ProtoICMP:
		kind, _ := p.ICMPType.Get()
		l4 = append(l4, kind, 0, 0, 0, byte(rand.IntN(256)), byte(rand.IntN(256)), 0, 1)
		binary.BigEndian.PutUint16(l4[2:], checksum(append(append([]byte{}, l4...), payload...)))
	default:
		t.Fatalf("no frame for protocol %d", proto)
	}
	l4 = append(l4, payload...)
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, proto, 0, 0}
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(l4)))
	src, dst := p.Src.As4(), p.Dst.As4()
	ip = append(append(ip, src[:]...), dst[:]...)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	f := append(append(append([]byte{}, p.DstMAC...), p.SrcMAC...), 8, 0)
	return append(append(f, ip...), l4...)
}

func checksum(b []byte) uint16 {
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// compare checks the counters that grew between two listings against the walk
// of each hook: exactly the rules that matched must have counted. It says
// whether every step was known.
func (l *kernelLab) compare(before, after *Ruleset, p Packet, hooks ...Hook) bool {
	l.t.Helper()
	growth, err := after.Sub(before)
	if err != nil {
		l.t.Fatal(err)
	}
	matched, maybe, inScope := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, h := range hooks {
		inScope[string(h)] = true
	}
	d := Traverse(after, p, hooks...)
	for _, s := range d.Walk {
		if s.Kind == StepRule && s.Result != No {
			matched[s.Rule.place()] = true
		}
		if s.Kind == StepRule && s.Result == Unknown {
			maybe[s.Rule.place()] = true
		}
	}
	if len(maybe) > 0 {
		return false
	}
	for _, g := range growth {
		if g.Rule == nil || !inScope[g.Rule.Chain] && after.Chain(g.Rule.Table, g.Rule.Chain).Hook != "" {
			continue
		}
		if (g.Packets > 0) != matched[g.Rule.place()] {
			l.t.Errorf("%s back end, %v: kernel counted %d at %s (%s), the evaluator says match=%v\n%s",
				l.backend, p, g.Packets, g.Rule.place(), g.Rule.Line(), matched[g.Rule.place()], strings.Join(d.Explain(), "\n"))
		}
	}
	return true
}

func TestKernelDHCPAcrossTheSampleRules(t *testing.T) {
	requireKernel(t)
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			const uplink, tap, bridge = "eth3.3092", "tap004b787f-9b", "brq91e78b9c-cf"
			l := newKernelLab(t, backend, bridge, uplink, tap)
			request := DHCPRequest(endMAC(0), uplink, tap, bridge)
			reply := DHCPReply(endIP(1), endIP(0), endMAC(1), endMAC(0), tap, uplink, bridge)
			for _, c := range []struct {
				file                   string
				requestPass, replyPass bool
			}{
				{"seed1.txt", true, false},
				{"both_dirs.txt", true, true},
				{"reject_all_no_neutron.txt", false, false},
				{"policy_drop.txt", false, false},
			} {
				l.restore(sample(t, c.file))
				before := l.list()
				gotRequest := l.send(request, 0, 1)
				between := l.list()
				gotReply := l.send(reply, 1, 0)
				after := l.list()
				if gotRequest != c.requestPass || gotReply != c.replyPass {
					t.Errorf("%s: the kernel passed request=%v reply=%v, want %v %v", c.file, gotRequest, gotReply, c.requestPass, c.replyPass)
				}
				l.agree(between, request, gotRequest, Forward)
				l.agree(after, reply, gotReply, Forward)
				if !l.compare(before, between, request, Forward) || !l.compare(between, after, reply, Forward) {
					t.Errorf("%s: a match of these rules is unknown", c.file)
				}
			}
		})
	}
}

// agree compares the fate of a frame with the verdict.
func (l *kernelLab) agree(rs *Ruleset, p Packet, arrived bool, hooks ...Hook) {
	l.t.Helper()
	d := Traverse(rs, p, hooks...)
	if d.Verdict != Undecided && (d.Verdict == Accept) != arrived {
		l.t.Errorf("%s back end, %v: arrived=%v, the evaluator says %v\n%s", l.backend, p, arrived, d, strings.Join(d.Explain(), "\n"))
	}
}

func TestKernelBridgeCalls(t *testing.T) {
	requireKernel(t)
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			l := newKernelLab(t, backend, "br0", "p0", "p1")
			l.restore("*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n")
			p := DHCPReply(endIP(0), endIP(1), endMAC(0), endMAC(1), "p0", "p1", "br0")
			for _, c := range []struct{ sysctl, bridge string }{{"1", "0"}, {"0", "0"}, {"0", "1"}, {"1", "1"}} {
				l.sysctl(c.sysctl)
				run(t, "", "ip", "-n", l.inside, "link", "set", "br0", "type", "bridge", "nf_call_iptables", c.bridge)
				calls, why := BridgeNetfilter{Loaded: Yes, Sysctl: Truth(c.sysctl == "1"), Bridge: Truth(c.bridge == "1")}.Calls()
				if arrived := l.send(p, 0, 1); Truth(!arrived) != calls {
					t.Errorf("sysctl %s, bridge %s: arrived=%v, but %q", c.sysctl, c.bridge, arrived, why)
				}
			}
		})
	}
}

// TestKernelHooks counts, at every hook of a bridged and of a delivered
// packet, what -i, -o, physdev, state, addrtype and mark see there.
func TestKernelHooks(t *testing.T) {
	requireKernel(t)
	asks := []string{
		"-i br0", "-o br0", "! -o br0", "-m physdev --physdev-in p0", "-m physdev ! --physdev-in p0", "-m physdev --physdev-out p1",
		"-m physdev ! --physdev-out p1", "-m physdev ! --physdev-out p0", "-m physdev --physdev-is-bridged", "-m physdev ! --physdev-is-bridged",
		"-m physdev --physdev-is-in", "-m physdev --physdev-is-out", "-m physdev ! --physdev-is-out",
		"-m state --state NEW", "-m state --state INVALID", "-m conntrack ! --ctstate NEW",
		"-m addrtype --src-type BROADCAST", "-m addrtype --dst-type BROADCAST", "-m addrtype --dst-type MULTICAST", "-m addrtype ! --dst-type MULTICAST",
		"-m pkttype --pkt-type broadcast", "-m pkttype --pkt-type unicast", "-m mac --mac-source 02:00:00:00:00:00", "-m mark --mark 0x0",
		"-f", "! -f", "-s 0.0.0.0/32", "-d 255.255.255.255/32", "-s 10.9.0.0/255.0.255.0", "-p udp -m udp --sport 68 --dport 67",
	}
	text := ""
	for _, table := range []string{"raw", "mangle", "filter", "security"} {
		rules := ""
		text += "*" + table + "\n"
		for _, h := range []Hook{Prerouting, Input, Forward, Output, Postrouting} {
			if _, ok := attachments[table][h]; !ok {
				continue
			}
			// iptables takes -i and -o at any hook in user chains only.
			text += ":" + string(h) + " ACCEPT [0:0]\n:ask-" + string(h) + " - [0:0]\n"
			rules += "-A " + string(h) + " -p udp -j ask-" + string(h) + "\n"
			for _, ask := range asks {
				// What the kernel refuses: there is no source MAC on the way out,
				// and no bridge port out for a packet of the node's own.
				noMAC := strings.Contains(ask, "mac-source") && (h == Postrouting || h == Output)
				noPort := (strings.Contains(ask, "physdev-out") || strings.Contains(ask, "is-out")) && h == Output
				if !noMAC && !noPort {
					rules += "-A ask-" + string(h) + " " + ask + "\n"
				}
			}
		}
		text += rules + "COMMIT\n"
	}
	bridged := []Hook{Prerouting, Forward, Postrouting}
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			l := newKernelLab(t, backend, "br0", "p0", "p1")
			l.restore(text)
			reply := DHCPReply(endIP(0), endIP(1), endMAC(0), endMAC(1), "p0", "p1", "br0")
			local := reply
			local.Dst, local.DstMAC = netip.MustParseAddr("10.9.0.254"), net.HardwareAddr{2, 0, 0, 0, 0, 0xfe}
			local.Bridged, local.PhysOut, local.Out = false, Is(""), Is("")
			for _, c := range []struct {
				p     Packet
				hooks []Hook
			}{
				{DHCPRequest(endMAC(0), "p0", "p1", "br0"), bridged}, {reply, bridged}, {local, []Hook{Prerouting, Input}},
			} {
				before := l.list()
				if arrived := l.send(c.p, 0, 1); arrived != c.p.Bridged {
					t.Fatalf("%v: arrived=%v", c.p, arrived)
				}
				after := l.list()
				for _, h := range c.hooks {
					l.compareKnown(before, after, c.p, h)
				}
			}
			before := l.list()
			run(t, "", "ip", "netns", "exec", l.inside, "ip", "link", "set", "lo", "up")
			run(t, "", "ip", "netns", "exec", l.inside, "bash", "-c", "echo whybot > /dev/udp/10.9.0.254/9")
			own := Packet{
				Family: IPv4, Proto: Is(ProtoUDP), Src: local.Dst, Dst: local.Dst, Dport: Is[uint16](9),
				In: Is(""), Out: Is("lo"), PhysIn: Is(""), PhysOut: Is(""), PacketType: TypeUnicast, CT: CTNew, Mark: Is[uint32](0),
			}
			after := l.list()
			l.compareKnown(before, after, own, Output)
			l.compareKnown(before, after, own, Postrouting)
			own.In, own.Out = Is("lo"), Is("")
			l.compareKnown(before, after, own, Prerouting)
			l.compareKnown(before, after, own, Input)
		})
	}
}

// compareKnown compares the rules whose answer is known.
func (l *kernelLab) compareKnown(before, after *Ruleset, p Packet, h Hook) {
	l.t.Helper()
	growth, err := after.Sub(before)
	if err != nil {
		l.t.Fatal(err)
	}
	known := 0
	for _, s := range Evaluate(after, h, p).Walk {
		if s.Kind != StepRule || s.Result == Unknown {
			continue
		}
		known++
		g, ok := GrowthOf(growth, s.Rule)
		if !ok {
			l.t.Fatalf("no growth of %s", s.Rule.Line())
		}
		if (g.Packets > 0) != (s.Result == Yes) {
			l.t.Errorf("%s back end, %v: kernel counted %d at %s (%s), the evaluator says %v", l.backend, p, g.Packets, s.Rule.place(), s.Rule.Line(), s.Result)
		}
	}
	if known < 10 {
		l.t.Errorf("only %d answers known at %s", known, h)
	}
}

// TestKernelRandomRules compares random rulesets with the kernel.
func TestKernelRandomRules(t *testing.T) {
	requireKernel(t)
	const rulesets, packets = 25, 5
	for i, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			l := newKernelLab(t, backend, "br0", "p0", "p1", "p2")
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			known, lost := 0, 0
			for range rulesets {
				l.restore(randomRules(rnd))
				for range packets {
					from := rnd.IntN(3)
					to := (from + 1 + rnd.IntN(2)) % 3
					p := randomPacket(rnd, from, to)
					before := l.list()
					arrived := l.send(p, from, to)
					after := l.list()
					l.agree(after, p, arrived, Forward)
					if l.compare(before, after, p, Forward) {
						known++
					}
					if !arrived {
						lost++
					}
				}
				if t.Failed() {
					t.FailNow()
				}
			}
			if known < rulesets*packets/2 || lost == 0 || lost == rulesets*packets {
				t.Errorf("%d of %d packets were compared and %d lost: the rules are no test", known, rulesets*packets, lost)
			}
		})
	}
}

func pick(rnd *rand.Rand, from ...string) string { return from[rnd.IntN(len(from))] }

// randomRules writes a filter table whose chains call only later chains.
func randomRules(rnd *rand.Rand) string {
	const chains = 5
	var b strings.Builder
	fmt.Fprintf(&b, "*filter\n:FORWARD %s [0:0]\n", pick(rnd, "ACCEPT", "DROP"))
	for i := range chains {
		fmt.Fprintf(&b, ":u%d - [0:0]\n", i)
	}
	for i := -1; i < chains; i++ {
		name := "FORWARD"
		if i >= 0 {
			name = fmt.Sprintf("u%d", i)
		}
		for range 2 + rnd.IntN(6) {
			target := pick(rnd, "-j ACCEPT", "-j DROP", "-j REJECT --reject-with icmp-host-prohibited", "-j RETURN", "", "", "-j MARK --set-xmark 0x1/0xffffffff")
			if i+1 < chains && rnd.IntN(5) < 3 {
				target = pick(rnd, "-j", "-j", "-g") + fmt.Sprintf(" u%d", i+1+rnd.IntN(chains-i-1))
			}
			fmt.Fprintf(&b, "-A %s %s %s\n", name, randomMatches(rnd), target)
		}
	}
	return b.String() + "COMMIT\n"
}

func randomMatches(rnd *rand.Rand) string {
	not := func() string { return pick(rnd, "", "", "! ") }
	port := func() string { return pick(rnd, "p0", "p1", "p2", "p+", "q+") }
	addr := func() string {
		return pick(rnd, "10.9.0.1/32", "10.9.0.2/32", "10.9.0.0/30", "10.0.0.0/8", "10.9.0.0/255.0.255.0", "192.168.0.0/16")
	}
	parts := []string{
		"", not() + "-s " + addr(), not() + "-d " + addr(), not() + "-i " + pick(rnd, "br0", "br+", "p0"), not() + "-o " + pick(rnd, "br0", "b+"),
		"-m physdev " + not() + "--physdev-in " + port(), "-m physdev " + not() + "--physdev-out " + port(),
		"-m physdev " + not() + "--physdev-in " + port() + " " + not() + "--physdev-out " + port() + " --physdev-is-bridged",
		"-p " + pick(rnd, "udp", "tcp", "icmp", "112"), "! -p " + pick(rnd, "udp", "tcp"),
		"-p udp -m udp " + not() + "--dport " + pick(rnd, "67", "60:70", ":100"), "-p tcp -m tcp " + not() + "--dport " + pick(rnd, "22", "20:25", "1024:"),
		"-p udp -m multiport " + not() + pick(rnd, "--dports", "--ports", "--sports") + " " + pick(rnd, "67,68", "1024:65535", "22,60:66"),
		"-p tcp -m tcp " + pick(rnd, "--syn", "! --syn", "--tcp-flags SYN,ACK SYN,ACK", "--tcp-flags ALL SYN"),
		"-p icmp -m icmp " + not() + "--icmp-type " + pick(rnd, "8", "0", "8/0", "8/1", "any"),
		"-m state " + not() + "--state " + pick(rnd, "NEW", "ESTABLISHED,RELATED", "INVALID", "NEW,INVALID"), "-m conntrack --ctstate NEW,UNTRACKED",
		"-m mac " + not() + "--mac-source 02:00:00:00:00:0" + pick(rnd, "0", "1", "2"), "-m pkttype " + not() + "--pkt-type " + pick(rnd, "unicast", "broadcast"),
		"-m mark " + not() + "--mark " + pick(rnd, "0x0", "0x1", "0x0/0xff"), `-m comment --comment "a \"b\" -j DROP"`,
		"-m addrtype " + not() + "--dst-type MULTICAST",
	}
	return parts[rnd.IntN(len(parts))]
}

func randomPacket(rnd *rand.Rand, from, to int) Packet {
	p := DHCPReply(endIP(from), endIP(to), endMAC(from), endMAC(to), fmt.Sprintf("p%d", from), fmt.Sprintf("p%d", to), "br0")
	p.Sport = Is(uint16(10000 + rnd.IntN(50000))) // a connection of its own
	switch rnd.IntN(3) {
	case 0:
		p.Dport = Is(uint16([]int{67, 53, 4000}[rnd.IntN(3)]))
	case 1:
		p.Proto, p.TCPFlags, p.Dport = Is(ProtoTCP), Is(flagSYN), Is(uint16([]int{22, 80, 5900}[rnd.IntN(3)]))
	default:
		p.Proto, p.ICMPType, p.ICMPCode = Is(ProtoICMP), Is[uint8](8), Is[uint8](0)
		p.Sport, p.Dport = Fact[uint16]{}, Fact[uint16]{}
	}
	return p
}
