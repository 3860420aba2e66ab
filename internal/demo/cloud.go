package demo

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

var (
	_ commands.Shell        = (*Cloud)(nil)
	_ commands.Sniffer      = (*Cloud)(nil)
	_ commands.Changer      = (*Cloud)(nil)
	_ commands.Cloud        = (*Cloud)(nil)
	_ commands.CloudChanger = (*Cloud)(nil)
)

// A Cloud is the simulated cloud. Its methods may be called at the same time.
type Cloud struct {
	pace time.Duration
	stop chan struct{}
	life sync.WaitGroup

	mu       sync.Mutex
	machines []*machine
	guests   []*guest
	streams  []*stream
	closed   bool
	// waiting are frames that were sent while another was on its way.
	waiting []sending
	sending bool
	lastPID int
	// unmodelled are commands that were asked for and are not in the model.
	unmodelled []string

	// What OpenStack knows.
	servers     []runners.Server
	attachments map[string]runners.Attachment // by server id
	hosted      bool                          // the DHCP agent hosts the network
}

// A sending is a frame about to come into a link.
type sending struct {
	machine *machine
	link    *link
	frame   frame
}

// Pace is how often a guest without a lease asks, unless New is told otherwise.
const Pace = 1600 * time.Millisecond

// New starts the simulated cloud, broken as it is in the demo. Pace is the time
// between two DISCOVERs of a guest, and half of what a lease lasts; zero is
// Pace. The caller closes it.
func New(pace time.Duration) (*Cloud, error) {
	if pace <= 0 {
		pace = Pace
	}
	c := &Cloud{pace: pace, stop: make(chan struct{})}
	if err := c.build(); err != nil {
		return nil, fmt.Errorf("the demo's own rules: %w", err)
	}
	c.life.Go(c.live)
	return c, nil
}

// Close ends the guests and every capture.
func (c *Cloud) Close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	streams := slices.Clone(c.streams)
	c.mu.Unlock()
	close(c.stop)
	c.life.Wait()
	for _, s := range streams {
		_ = s.Close() // a stream's Close cannot fail
	}
}

// live lets the guests act until Close.
func (c *Cloud) live() {
	tick := time.NewTicker(max(c.pace/20, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		c.mu.Lock()
		for _, g := range c.guests {
			g.act(c, time.Now())
		}
		c.mu.Unlock()
	}
}

// send lets a frame come into a link, and then the frames that answer it, each
// after the one before has gone all its ways. The caller holds the lock.
func (c *Cloud) send(m *machine, l *link, f frame) {
	c.waiting = append(c.waiting, sending{m, l, f})
	if c.sending {
		return
	}
	c.sending = true
	for len(c.waiting) > 0 {
		next := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.enter(next.machine, next.link, next.frame)
	}
	c.sending = false
}

// Rules returns the iptables rules of a node without their counters.
func (c *Cloud) Rules(nodeName string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := c.machine(nodeName)
	if err != nil {
		return "", err
	}
	return m.firewall.rules(), nil
}

// Unmodelled returns the commands that were asked for and are not in the
// model: each of them is a place where the demo has fallen behind.
func (c *Cloud) Unmodelled() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.unmodelled)
}

// AwaitAsking waits until the guest of a server holds no lease, so that it
// asks for one.
func (c *Cloud) AwaitAsking(ctx context.Context, server string) error {
	tick := time.NewTicker(max(c.pace/20, time.Millisecond))
	defer tick.Stop()
	for {
		asking, err := c.asking(ctx, server)
		if asking || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func (c *Cloud) asking(ctx context.Context, server string) (bool, error) {
	found, err := c.FindServers(ctx, server)
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	hw, _ := parseMAC(c.attachments[found[0].ID].Port.MAC)
	return slices.ContainsFunc(c.guests, func(g *guest) bool { return g.mac == hw && !g.bound() }), nil
}

// FindServers returns the server that ref names. It implements commands.Cloud.
func (c *Cloud) FindServers(ctx context.Context, ref string) ([]runners.Server, error) {
	if ctx.Err() != nil {
		return nil, &runners.Error{Kind: runners.TooSlow, Runner: "demo", Target: "nova", Op: "GET servers", Hint: context.Cause(ctx).Error()}
	}
	var names []string
	for _, s := range c.servers {
		if s.ID == ref || s.Name == ref {
			return []runners.Server{s}, nil
		}
		names = append(names, s.Name)
	}
	why := &runners.Error{Kind: runners.NotFound, Runner: "demo", Target: "nova", Op: "server " + commands.Clean(ref, 80)}
	return nil, &noServer{why: why, names: names}
}

// A noServer is the error for a name that no server has.
type noServer struct {
	why   *runners.Error
	names []string
}

func (e *noServer) Error() string { return e.why.Error() }

func (e *noServer) Unwrap() error { return e.why }

// Nearest returns the names there are: few enough to name all.
func (e *noServer) Nearest() []string { return slices.Clone(e.names) }

// OnlyOwnProject reports that every project was searched.
func (e *noServer) OnlyOwnProject() bool { return false }

// Attachments returns the ports of a server. It implements commands.Cloud.
func (c *Cloud) Attachments(_ context.Context, s runners.Server) ([]runners.Attachment, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.attachments[s.ID]
	if !ok {
		return nil, nil
	}
	return []runners.Attachment{a}, nil
}

// Do makes a change through OpenStack: a DHCP agent is given a network, or loses
// it. It implements commands.CloudChanger.
func (c *Cloud) Do(_ context.Context, call runners.CloudCall) error {
	agent, network := call.Args["agent"], call.Args["network"]
	switch call.Op {
	case runners.CloudAddDHCPNetwork:
		return c.onAgent(agent, network, func(m *machine) {
			if !c.hosted { // it writes the host file from Neutron's ports and starts dnsmasq
				c.serve(m)
			}
		})
	case runners.CloudRemoveDHCPNetwork:
		return c.onAgent(agent, network, func(m *machine) { // it ends the dnsmasq
			c.hosted = false
			m.space.dnsmasq = nil
			delete(m.files, hostFile)
			delete(m.files, leaseFile)
		})
	}
	return &runners.Error{Kind: runners.NotFound, Runner: "demo", Target: "neutron", Op: call.Op}
}

// Object says which DHCP agent hosts a network; nothing else is changed through
// OpenStack here. It implements commands.CloudChanger.
func (c *Cloud) Object(_ context.Context, ref runners.CloudRef) (runners.CloudObject, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ref != (runners.CloudRef{Kind: runners.HostingAgents, ID: network}) {
		return nil, &runners.Error{Kind: runners.NotFound, Runner: "demo", Target: "neutron", Op: ref.Kind + " " + ref.ID}
	}
	o := runners.CloudObject{}
	if c.hosted {
		o[dhcpAgentID] = "true"
	}
	return o, nil
}

func (c *Cloud) onAgent(agentID, networkID string, do func(*machine)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if agentID != dhcpAgentID || networkID != network {
		return &runners.Error{Kind: runners.NotFound, Runner: "demo", Target: "neutron", Op: "DHCP agent " + agentID + ", network " + networkID}
	}
	m, err := c.machine(controller)
	if err != nil {
		return err
	}
	do(m)
	return nil
}

// The files of dnsmasq that the DHCP agent writes before it starts it; as
// leases it puts down what each port is to have.
var (
	hostFile  = path.Join(node.DHCPDir, network, "host")
	leaseFile = path.Join(node.DHCPDir, network, "leases")
)

// serve does what the DHCP agent does for a network it is given.
func (c *Cloud) serve(m *machine) {
	var lines, leases []string
	until := time.Now().Add(24 * time.Hour).Unix()
	for _, a := range c.attachments {
		for _, ip := range a.Port.FixedIPs {
			leases = append(leases, fmt.Sprintf("%d %s %s host-%s *\n", until, a.Port.MAC, ip.Address, strings.ReplaceAll(ip.Address, ".", "-")))
			lines = append(lines, fmt.Sprintf("%s,host-%s.openstacklocal,%s\n", a.Port.MAC, strings.ReplaceAll(ip.Address, ".", "-"), ip.Address))
		}
	}
	slices.Sort(lines)
	slices.Sort(leases)
	m.files[hostFile], m.files[leaseFile] = strings.Join(lines, ""), strings.Join(leases, "")
	c.lastPID++
	m.space.dnsmasq = &dnsmasq{pid: c.lastPID, hosts: m.hosts(), lease: 2 * c.pace}
	c.hosted = true
}

// hosts is the host file as dnsmasq reads it.
func (m *machine) hosts() map[string][]netip.Addr { return node.HostEntries(m.files[hostFile]) }
