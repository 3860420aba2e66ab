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
	if p.EtherType == Is(EtherTypeARP) {
		return arpFrame(p, payload)
	}
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

// arpFrame builds an ARP packet with payload in its padding.
func arpFrame(p Packet, payload []byte) []byte {
	op, _ := p.ARP.Operation.Get()
	f := append(append(append([]byte{}, p.DstMAC...), p.SrcMAC...), 8, 6, 0, 1, 8, 0, 6, 4)
	f = binary.BigEndian.AppendUint16(f, op)
	f = append(append(f, p.ARP.SenderMAC...), p.ARP.SenderIP.AsSlice()...)
	f = append(append(f, p.ARP.TargetMAC...), p.ARP.TargetIP.AsSlice()...)
	return append(f, payload...)
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

// requireTools skips, loudly, where one of the programs is missing.
func requireTools(t *testing.T, tools ...string) {
	t.Helper()
	requireKernel(t)
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if os.Getenv("WHYBOT_REQUIRE_LAB") == "1" {
			t.Fatalf("WHYBOT_REQUIRE_LAB=1, but %s is not installed", tool)
		}
		t.Skipf("THE EVALUATOR IS NOT COMPARED WITH THE KERNEL: %s is not installed", tool)
	}
}

func (l *kernelLab) nft(text string) {
	l.t.Helper()
	run(l.t, "flush ruleset\n"+text, "ip", "netns", "exec", l.inside, "nft", "-f", "-")
}

func (l *kernelLab) listNFT() *Ruleset {
	l.t.Helper()
	return parseNFT(l.t, run(l.t, "", "ip", "netns", "exec", l.inside, "nft", "-j", "list", "ruleset"))
}

// counts compares what the rules of nft counted with the walk of p.
func (l *kernelLab) counts(layer Layer, before, after *Ruleset, p Packet, arrived bool, hooks ...Hook) {
	l.t.Helper()
	growth, err := after.Sub(before)
	if err != nil {
		l.t.Fatal(err)
	}
	d := layer.Traverse(after, p, hooks...)
	if d.Verdict == Undecided || (d.Verdict == Accept) != arrived {
		l.t.Errorf("%v: arrived=%v, the evaluator says %v\n%s", p, arrived, d, strings.Join(d.Explain(), "\n"))
	}
	matched := map[*Rule]bool{}
	for _, s := range d.Walk {
		if s.Kind == StepRule && s.Result == Yes {
			matched[s.Rule] = true
		}
	}
	for _, g := range growth {
		marker := g.Rule != nil && strings.Contains(g.Rule.Spec, "-p 0x88b5")
		if g.Rule != nil && !marker && (g.Packets > 0) != matched[g.Rule] {
			l.t.Errorf("%v: the kernel counted %d at %s (%s), the evaluator says %v\n%s", p, g.Packets, g.Rule.place(), g.Rule.Line(), matched[g.Rule], strings.Join(d.Explain(), "\n"))
		}
	}
}

// Which of two chains of one priority comes first shows in whose counter grows.
func TestKernelChainsOfOnePriority(t *testing.T) {
	requireTools(t, "nft")
	l := newKernelLab(t, "nft", "br0", "p0", "p1")
	// Connection tracking, and with it nat, is only on where a rule asks for it.
	chain := func(family, table, name, kind, hook, priority string) string {
		return fmt.Sprintf("table %s %s {\n chain %s {\n type %s hook %s priority %s; policy accept;\n ip protocol udp ct state new,invalid counter drop\n }\n}\n", family, table, name, kind, hook, priority)
	}
	for name, text := range map[string]string{
		"one table":           chain("inet", "t", "a", "filter", "forward", "0") + chain("inet", "t", "b", "filter", "forward", "0"),
		"two tables":          chain("ip", "t", "a", "filter", "forward", "0") + chain("ip", "u", "b", "filter", "forward", "0"),
		"two families":        chain("inet", "t", "a", "filter", "forward", "0") + chain("ip", "u", "b", "filter", "forward", "0"),
		"two families again":  chain("ip", "t", "a", "filter", "forward", "0") + chain("inet", "u", "b", "filter", "forward", "0"),
		"priorities":          chain("inet", "t", "a", "filter", "forward", "1") + chain("inet", "t", "b", "filter", "forward", "-1"),
		"nat is called early": chain("inet", "t", "a", "filter", "prerouting", "-50") + chain("inet", "t", "b", "nat", "prerouting", "50"),
		"nat is called late":  chain("inet", "t", "a", "nat", "postrouting", "-150") + chain("inet", "t", "b", "filter", "postrouting", "50"),
	} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			l.nft(text)
			p := DHCPReply(endIP(0), endIP(1), endMAC(0), endMAC(1), "p0", "p1", "br0")
			p.Sport = Is(uint16(10000 + rand.IntN(50000)))
			before := l.listNFT()
			arrived := l.send(p, 0, 1)
			l.counts(LayerIP, before, l.listNFT(), p, arrived, Prerouting, Forward, Postrouting)
		})
	}
}

// What one rule does to the packet the next one sees: marks, tracking, sets.
func TestKernelStatementsOfNFT(t *testing.T) {
	requireTools(t, "nft")
	l := newKernelLab(t, "nft", "br0", "p0", "p1")
	for name, rules := range map[string]string{
		"marks":            "meta mark set 5\n meta mark 5 counter\n meta mark set meta mark | 8\n meta mark 13 counter\n meta mark & 8 == 8 counter\n meta mark set meta mark & 4 ^ 1\n meta mark 5 counter drop",
		"mark then fail":   "meta mark set 7 tcp dport 1\n meta mark 7 counter\n meta mark != 7 counter drop",
		"notrack too late": "notrack\n ct state untracked counter drop\n ct state new counter",
		"set":              "add @s { ip saddr }\n ip saddr 10.9.0.1 counter\n tcp dport 1 update @s { ip daddr } counter drop\n ip saddr @s counter drop",
		"vmap":             "ip saddr . udp dport vmap { 10.9.0.0/24 . 60-70 : jump u, 0.0.0.0/0 . 1-5 : drop }\n counter drop",
		"vmap of names":    "meta mark set 1 iifname vmap { \"br0\" : continue, \"p0\" : drop } \n counter\n oifname vmap { \"x*\" : accept, \"br0\" : goto u }\n counter drop",
		"reject for IPv6":  "counter reject with icmpv6 addr-unreachable\n ip protocol tcp counter reject with icmp host-prohibited\n counter",
		"return":           "udp dport 68 counter return\n counter drop",
		"bits":             "ip saddr & 0.0.0.255 == 0.0.0.1 counter\n ip saddr & 0.0.0.3 > 0.0.0.2 counter drop\n ip frag-off & 0x1fff != 0 counter drop\n ether saddr & ff:00:00:00:00:ff == 02:00:00:00:00:00 counter",
		"no field":         "tcp dport != 5 counter drop\n ip6 saddr != ::1 counter drop\n th dport 68 counter\n ct status dnat counter drop\n ct direction original counter\n ct state != established | related counter",
		"types":            "meta pkttype host counter\n meta pkttype other counter drop\n fib daddr type local counter drop\n fib saddr type unicast counter\n meta iiftype ether counter",
		"names":            "iifname \"b*\" counter\n iifname != \"b*\" counter drop\n oif br0 counter\n meta iifname { \"br0\", \"x\" } counter\n meta oifname . ip daddr { \"br0\" . 10.9.0.2 } counter",
	} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			l.nft("table inet t {\n set s { type ipv4_addr; flags dynamic; size 10; }\n chain u {\n counter return\n }\n chain f {\n type filter hook forward priority 0; policy accept;\n " + rules + "\n }\n}\n")
			p := DHCPReply(endIP(0), endIP(1), endMAC(0), endMAC(1), "p0", "p1", "br0")
			p.Sport, p.Local = Is(uint16(10000+rand.IntN(50000))), Is([]netip.Prefix{netip.MustParsePrefix("10.9.0.254/24")})
			before := l.listNFT()
			arrived := l.send(p, 0, 1)
			l.counts(LayerIP, before, l.listNFT(), p, arrived, Forward)
		})
	}
}

// The bridge's own chains: ports, frames that are no IP packets, and priorities
// on both sides of br_netfilter.
func TestKernelBridgeTables(t *testing.T) {
	requireTools(t, "nft", "ebtables-nft-restore", "ebtables-nft-save")
	l := newKernelLab(t, "nft", "br0", "p0", "p1")
	way := Way{In: "p0", Out: "p1", Bridge: "br0"}
	packets := []Packet{
		ARPRequest(endMAC(0), endIP(0), endIP(1), way), ARPReply(endMAC(0), endIP(0), endMAC(1), endIP(1), way),
		EchoRequest(endIP(0), endIP(1), endMAC(0), endMAC(1), way), DHCPRequest(endMAC(0), "p0", "p1", "br0"),
	}
	for name, rules := range map[string]string{
		"ports":     "iifname \"p0\" counter\n oifname \"p1\" counter\n iifname \"br0\" counter drop",
		"arp":       "arp operation request counter drop\n ether type arp arp saddr ip 10.9.0.1 counter\n arp daddr ether 02:00:00:00:00:01 counter drop\n meta protocol ip counter",
		"types":     "meta pkttype broadcast counter\n meta pkttype other counter\n meta pkttype host counter drop\n vlan id 5 counter drop\n ether daddr ff:ff:ff:ff:ff:ff counter drop",
		"ip":        "ip saddr 0.0.0.0 counter drop\n icmp type echo-request counter drop\n meta l4proto udp counter drop\n th dport 67 counter",
		"addresses": "ether saddr . ip saddr { 02:00:00:00:00:00 . 10.9.0.1 } counter drop\n ether saddr vmap { 02:00:00:00:00:00 : continue, 02:00:00:00:00:01 : drop }\n arp saddr ip != 10.9.0.1 counter drop\n counter",
	} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			l.nft("table bridge t {\n chain f {\n type filter hook forward priority 0; policy accept;\n ether type 0x88b5 accept\n " + rules + "\n }\n}\n")
			for _, p := range packets {
				before := l.listNFT()
				arrived := l.send(p, 0, 1)
				l.counts(LayerBridge, before, l.listNFT(), p, arrived, Forward)
			}
		})
	}
	t.Run("ebtables", func(t *testing.T) {
		l.t = t
		l.nft("")
		list := func() *Ruleset {
			return parseWith(t, ParseEbtables, run(t, "", "ip", "netns", "exec", l.inside, "ebtables-nft-save", "-c"))
		}
		run(t, "*filter\n:FORWARD ACCEPT\n:spoof DROP\n:open ACCEPT\n:back RETURN\n"+
			"-A spoof -p ARP --arp-ip-src 10.9.0.9 -j ACCEPT\n-A back -s 02:00:00:00:00:00 -j CONTINUE\n-A back -p IPv4 --ip-proto icmp -j DROP\n-A open -d Broadcast -j RETURN\n"+
			"-A FORWARD -p 0x88b5 -j ACCEPT\n-A FORWARD -i p0 -j back\n-A FORWARD -p ARP -i p+ -d ! Broadcast -j spoof\n-A FORWARD -p ARP --arp-op Request -j open\n-A FORWARD -j mark --mark-set 0x5 --mark-target CONTINUE\n-A FORWARD --mark 0x5 -p IPv4 -j DROP\n",
			"ip", "netns", "exec", l.inside, "ebtables-nft-restore")
		for _, p := range packets {
			before := list()
			arrived := l.send(p, 0, 1)
			l.counts(LayerBridge, before, list(), p, arrived, Forward)
		}
	})
}
