package ssh

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"whybot/runners"
)

// A Login is who changes nodes, where that is somebody else than who looks at
// them.
type Login struct {
	// User is its name on every node; everything else about the way to a node
	// is as the client config says.
	User string
	// IdentityFile is its private key. It is read whenever a change is made and
	// forgotten right after.
	IdentityFile string
}

// A way is how an exec gets onto a node: as whom, and over which sessions.
type way struct {
	user string
	open opener
}

// looking is the way of all that only reads.
func (p *Pool) looking(node string) way { return way{p.userOn(node), p.session} }

// changing calls fn with the way of what changes node. With a login of its own
// that is a connection that is made for fn and ended after it.
func (p *Pool) changing(ctx context.Context, node, op string, fn func(way) error) error {
	if p.opts.Fix == nil {
		return fn(p.looking(node))
	}
	return p.apart(ctx, node, op, fn)
}

// apart calls fn with the way of what changes node over a connection that
// nobody else has.
func (p *Pool) apart(ctx context.Context, node, op string, fn func(way) error) error {
	t, err := p.changer(node)
	if err != nil {
		return err
	}
	c, err := p.dial(ctx, t)
	if err != nil {
		return err
	}
	gone := make(chan struct{})
	end := func() { _ = c.client.Wait(); c.parentRelease(); close(gone) }
	if !p.spawn(end) {
		c.drop()
		end()
		return closedFailure(node, op)
	}
	defer func() { c.drop(); <-gone }()
	return fn(way{t.user, func(ctx context.Context, _ string) (*session, error) {
		if !c.acquire() {
			return nil, failure(lostKind, node, op, "the connection was lost", errLost)
		}
		s, err := p.open(ctx, t, c)
		if err != nil {
			c.release()
		}
		return s, err
	}})
}

// changer is how node is reached by whoever changes it.
func (p *Pool) changer(node string) (*target, error) {
	t, err := p.config.resolve(node)
	if err != nil || p.opts.Fix == nil {
		return t, err
	}
	key := p.opts.Fix.IdentityFile
	if info, err := os.Stat(key); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, failure(runners.Authentication, node, "load key",
			fmt.Sprintf("key %s may be read or written by others (mode %03o): chmod 600 it", key, info.Mode().Perm()), nil)
	}
	t.user, t.identities, t.explicit, t.only = p.opts.Fix.User, []string{key}, true, true
	return t, nil
}

// LookAsChanger is Run with the login that changes nodes. It is there to ask
// what that may do; what whybot wants to know of a node it asks with Run.
func (p *Pool) LookAsChanger(ctx context.Context, node string, probes []runners.Probe) ([]runners.Result, error) {
	var results []runners.Result
	err := p.changing(ctx, node, "connect", func(w way) (err error) {
		results, err = p.look(ctx, node, w, probes)
		return err
	})
	return results, err
}

// UsersOn are the users that look at node and change it.
func (p *Pool) UsersOn(node string) (look, change string, err error) {
	t, err := p.config.resolve(node)
	if err != nil {
		return "", "", err
	}
	if p.opts.Fix != nil {
		return t.user, p.opts.Fix.User, nil
	}
	return t.user, t.user, nil
}

// Users are the users that look at the nodes and change them, each once, by the
// hosts and patterns of hosts that the client config names. Where it names none
// it is the user of a host of any name.
func (p *Pool) Users() (look, change []string) {
	for _, name := range p.config.names() {
		if t, err := p.config.resolve(name); err == nil && !slices.Contains(look, t.user) {
			look = append(look, t.user)
		}
	}
	slices.Sort(look)
	if p.opts.Fix != nil {
		return look, []string{p.opts.Fix.User}
	}
	return look, look
}

// names are the hosts that the config names, one for each pattern of names, but
// for those that others jump from.
func (c *clientConfig) names() []string {
	var all []string
	jumps := map[string]bool{}
	for _, h := range c.parsed.Hosts {
		for _, pattern := range h.Patterns {
			name := pattern.String()
			if name == "*" || strings.HasPrefix(name, "!") { // defaults for others, and exceptions
				continue
			}
			name = strings.NewReplacer("*", "node", "?", "1").Replace(name)
			if validName(name) != nil {
				continue
			}
			all = append(all, name)
			hops, _ := c.jumps(name) // what is wrong with them is told when the node is asked
			for _, j := range hops {
				jumps[j.host] = true
			}
		}
	}
	all = slices.DeleteFunc(all, func(name string) bool { return jumps[name] })
	if len(all) == 0 {
		return []string{"node"}
	}
	return all
}
