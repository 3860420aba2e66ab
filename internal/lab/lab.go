package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"whybot/internal/cloudfake"
)

const (
	bootTimeout  = 30 * time.Second
	closeTimeout = 20 * time.Second
)

// A Lab is a running cloud.
type Lab struct {
	// Dir holds ssh_config, known_hosts, clouds.yaml, whybot.yaml and the logs.
	Dir string
	// Cloud is the OpenStack API of the lab, on loopback.
	Cloud *cloudfake.Cloud

	options  Options
	plan     plan
	claim    claim
	keys     *keys
	machines map[string]*Machine
	vms      map[string]*VM

	telling sync.Mutex
	// told is, by machine, network and file, what its DHCP agent was told;
	// downTaps are the ports whose taps the L2 agents have set down.
	told     map[string]map[string]map[string]string
	downTaps map[string]bool

	relays map[string]*relay

	closing sync.Once
	closed  error
}

// Up makes a lab. Its guests have begun to ask for their addresses when it
// returns; Close ends it. ctx bounds the making only.
func Up(ctx context.Context, o Options) (*Lab, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := EnsureTools(); err != nil {
		return nil, err
	}
	c, err := newClaim(o.Parent)
	if err != nil {
		return nil, err
	}
	l := &Lab{Dir: c.dir, options: o, plan: newPlan(o), claim: c, machines: map[string]*Machine{}, vms: map[string]*VM{}, relays: map[string]*relay{}, downTaps: map[string]bool{}}
	l.Cloud = cloudfake.New(newModel(l.plan, o))
	l.Cloud.OnDHCPNetwork = func(string, string, bool) { l.onChange() } //nolint:contextcheck // no request's context: Neutron goes on when its client left
	l.Cloud.OnChange, l.Cloud.AgentAlive = l.onChange, l.agentRuns
	l.told = l.firstOrders()
	ctx, cancel := context.WithTimeoutCause(ctx, bootTimeout, errors.New("lab: not up in time"))
	defer cancel()
	start := time.Now()
	if err := l.build(ctx); err != nil {
		return nil, errors.Join(err, l.Close()) //nolint:contextcheck // a lab is taken down also when ctx has ended
	}
	o.Log.Info("lab up", "dir", l.Dir, "took_ms", time.Since(start).Milliseconds())
	return l, nil
}

func (l *Lab) build(ctx context.Context) error {
	if err := l.mountDirs(); err != nil {
		return err
	}
	for _, s := range []string{"init.sh", "guest.sh"} {
		if err := os.WriteFile(filepath.Join(l.Dir, s), script(s), 0o755); err != nil {
			return err
		}
	}
	var keyErr error
	var wg sync.WaitGroup
	wg.Go(func() { l.keys, keyErr = newKeys(ctx, l.Dir, l.plan.machines) })
	err := l.makeFabric(ctx)
	wg.Wait()
	if err := errors.Join(err, keyErr); err != nil {
		return err
	}
	if err := errors.Join(l.bootMachines(ctx), l.writeSSH(), l.serveCloud()); err != nil {
		return err
	}
	for _, g := range l.plan.guests {
		vm, err := l.startVM(ctx, g)
		if err != nil {
			return err
		}
		l.vms[g.Name] = vm
	}
	return nil
}

// fs is where the machines' and guests' files are, in memory.
func (l *Lab) fs() string { return filepath.Join(l.Dir, "fs") }

func (l *Lab) mountDirs() error {
	bpf := filepath.Join(l.Dir, "bpf")
	for _, m := range []struct{ kind, dir, options string }{{"tmpfs", l.fs(), "mode=755,size=512m"}, {"bpf", bpf, "mode=755"}} {
		if err := os.Mkdir(m.dir, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount("whylab", m.dir, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("lab: mount %s on %s: %w", m.kind, m.dir, err)
		}
		if err := syscall.Mount("", m.dir, "", syscall.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("lab: make %s private: %w", m.dir, err)
		}
	}
	return pinTagPrograms(bpf)
}

func (l *Lab) bootMachines(ctx context.Context) error {
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for _, name := range l.plan.machines {
		wg.Go(func() {
			m, err := l.boot(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			if err == nil {
				l.machines[name] = m
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Close ends the lab and leaves nothing of it. Calling it again returns what
// the first call did.
func (l *Lab) Close() error {
	l.closing.Do(func() { l.closed = l.close() })
	return l.closed
}

func (l *Lab) close() error {
	l.Cloud.Close()
	for _, r := range l.relays {
		r.close()
	}
	for _, v := range l.vms {
		v.cell.kill()
	}
	for _, m := range l.machines {
		m.cell.kill()
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return l.claim.remove(ctx)
}

// Machine returns a machine by its name; nil when this lab has none of it.
func (l *Lab) Machine(name string) *Machine { return l.machines[name] }

// VM returns a guest by its name; nil when this lab has none of it.
func (l *Lab) VM(name string) *VM { return l.vms[name] }

// Options returns the options in force, defaults filled in.
func (l *Lab) Options() Options { return l.options }
