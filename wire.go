package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os/user"
	"strings"

	"whybot/bot"
	"whybot/commands"
	"whybot/commands/diagnose"
	"whybot/commands/fix"
	"whybot/config"
	"whybot/runners"
	"whybot/runners/openstack"
	"whybot/runners/ssh"
	"whybot/runners/vsphere"
	"whybot/store"
)

// An app is everything a command needs, wired from the configuration.
type app struct {
	config *config.Config
	log    *slog.Logger
	store  *store.Store
	nodes  *ssh.Pool
	cloud  *openstack.Client
	vms    *vsphere.Client // nil without a vCenter
	engine *commands.Engine
	slack  *bot.Workspace // nil without Slack
}

// getenv looks a variable up in the environment that main was given.
func (e environment) getenv(name string) string {
	for i := len(e.environ) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(e.environ[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// load reads the configuration; what is wrong in it is a usage error that
// names file, line and cure.
func (e environment) load(path string) (*config.Config, error) {
	if path == "" {
		path = e.getenv("WHYBOT_CONFIG")
	}
	if path == "" {
		path = "whybot.yaml"
	}
	cfg, err := config.Load(path, e.environ)
	if err != nil {
		return nil, usageError{err}
	}
	if err := cfg.CheckFixes(fixNames()); err != nil {
		return nil, usageError{err}
	}
	return cfg, nil
}

// open wires the app. The caller closes it.
func (e environment) open(ctx context.Context, path string) (*app, error) {
	cfg, err := e.load(path)
	if err != nil {
		return nil, err
	}
	a := &app{config: cfg, log: logger(e.err, cfg.Log)}
	if err := a.connect(ctx, e); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func logger(w io.Writer, c config.Log) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.Level}
	if c.Format == config.JSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// connect makes the parts; none of them touches the network yet.
func (a *app) connect(ctx context.Context, e environment) error {
	var err error
	c := a.config
	if a.store, err = store.Open(ctx, store.Options{Path: c.Store.Path, Log: a.log}); err != nil {
		return err
	}
	if a.nodes, err = ssh.New(e.sshOptions(c, a.log)); err != nil {
		return usageError{err}
	}
	if a.cloud, err = openstack.New(openstack.Options{
		Cloud: c.OpenStack.Cloud, CloudsFile: c.OpenStack.CloudsFile, Getenv: e.getenv, Timeout: c.OpenStack.Timeout, Log: a.log,
	}); err != nil {
		return usageError{err}
	}
	if v := c.VSphere; v != nil {
		if a.vms, err = vsphere.New(vsphere.Options{
			URL: v.URL, User: v.User, Password: v.Password.Reveal, Thumbprint: v.Thumbprint, Log: a.log,
		}); err != nil {
			return usageError{err}
		}
	}
	if c.Slack != nil {
		if a.slack, err = bot.NewWorkspace(a.workspaceOptions()); err != nil {
			return usageError{err}
		}
	}
	a.engine, err = commands.New(commands.Options{
		Diagnoses: diagnose.All(), Fixes: fix.All(), StepKinds: fix.Kinds(),
		Shell: a.nodes, Sniffer: sniffer{a.nodes}, Changer: a.nodes, Committer: a.nodes, Cloud: a.cloud, Volumes: a.cloud, Groups: a.cloud, Consoles: a.cloud, VSwitches: a.vswitches(), CloudChanger: changer{a.cloud, a.vms}, Memory: a.store,
		Policy: a.policy(), NoEcho: !c.Diagnose.ARPCheck, FanOut: c.SSH.FanOut, Static: c.Diagnose.StaticBudget, Packet: c.Diagnose.Capture,
		Total: c.Diagnose.Total, Expires: c.Approvals.Expires, Log: a.log,
	})
	return err
}

// vswitches is the vCenter, where one is configured: a nil client must not become
// a non-nil interface.
func (a *app) vswitches() commands.VSwitches {
	if a.vms == nil {
		return nil
	}
	return a.vms
}

// A changer makes changes where the thing to change is kept: in OpenStack, or in a
// vCenter.
type changer struct {
	cloud *openstack.Client
	vms   *vsphere.Client
}

// errNoVCenter is what comes of a change that was planned while a vCenter was
// configured.
var errNoVCenter = &runners.Error{Runner: "vsphere", Target: "vcenter", Hint: "no vCenter is configured any more"}

func (c changer) Object(ctx context.Context, ref runners.CloudRef) (runners.CloudObject, error) {
	switch {
	case ref.Kind != runners.VStandardGroup && ref.Kind != runners.VDistributedGroup:
		return c.cloud.Object(ctx, ref)
	case c.vms == nil:
		return nil, errNoVCenter
	}
	return c.vms.Object(ctx, ref)
}

func (c changer) Do(ctx context.Context, call runners.CloudCall) error {
	switch {
	case call.Op != runners.VSetSecurity:
		return c.cloud.Do(ctx, call)
	case c.vms == nil:
		return errNoVCenter
	}
	return c.vms.Do(ctx, call)
}

// sshOptions say how nodes are reached.
func (e environment) sshOptions(c *config.Config, log *slog.Logger) ssh.Options {
	o := ssh.Options{
		ConfigFile: c.SSH.ConfigFile, AgentSocket: c.SSH.AgentSocket, Home: e.getenv("HOME"),
		Dial: c.SSH.DialTimeout, Handshake: c.SSH.HandshakeTimeout, Exec: c.SSH.ExecTimeout, Idle: c.SSH.Idle, Log: log,
	}
	if f := c.SSH.Fix; f != nil {
		o.Fix = &ssh.Login{User: f.User, IdentityFile: f.IdentityFile}
	}
	return o
}

func (a *app) close() {
	if a.slack != nil {
		a.slack.Close()
	}
	if a.nodes != nil {
		_ = a.nodes.Close() // connections only; nothing is left to save
	}
	if a.cloud != nil {
		a.cloud.Close()
	}
	if a.vms != nil {
		a.vms.Close()
	}
	if a.store != nil {
		if err := a.store.Close(); err != nil {
			a.log.Error("store not closed", slog.Any("error", err))
		}
	}
}

// sniffer gives the SSH pool's captures the shape the engine asks for.
type sniffer struct{ pool *ssh.Pool }

func (s sniffer) Capture(ctx context.Context, node string, spec runners.CaptureSpec) (io.ReadCloser, error) {
	c, err := s.pool.Capture(ctx, node, spec)
	if err != nil {
		return nil, err // a nil *Capture must not become a non-nil interface
	}
	return c, nil
}

// person is who sits at the terminal.
func (e environment) person(as string) commands.Actor {
	if as == "" {
		as = e.getenv("SUDO_USER")
	}
	if as == "" {
		if u, err := user.Current(); err == nil {
			as = u.Username
		}
	}
	return commands.Actor{Via: "terminal", ID: commands.Clean(as, 60)}
}

// publicText is what a person at the terminal is told of err. Here, unlike in
// chat, the text of whybot's own packages may be shown.
func publicText(err error) string {
	if e, ok := errors.AsType[*commands.Error](err); ok {
		return e.Error()
	}
	return err.Error()
}
