package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"whybot/runners"
)

// Shell runs read-only probes on a node: all of one call travel together. The
// error says why nothing could be run; each Result has its own.
type Shell interface {
	Run(ctx context.Context, node string, probes []runners.Probe) ([]runners.Result, error)
}

// Sniffer captures packets on a node. The returned stream is a pcap file that
// grows until Close, which stops the capture on the node.
type Sniffer interface {
	Capture(ctx context.Context, node string, spec runners.CaptureSpec) (io.ReadCloser, error)
}

// Changer runs commands that change a node, in order, until one fails.
type Changer interface {
	Change(ctx context.Context, node string, commands []runners.Probe) ([]runners.Result, error)
}

// Cloud reads what OpenStack knows about servers.
type Cloud interface {
	FindServers(ctx context.Context, ref string) ([]runners.Server, error)
	Attachments(ctx context.Context, s runners.Server) ([]runners.Attachment, error)
}

// CloudChanger makes changes through OpenStack, and reads what they are made
// to. A call may be made again without harm.
type CloudChanger interface {
	Object(ctx context.Context, ref runners.CloudRef) (runners.CloudObject, error)
	Do(ctx context.Context, call runners.CloudCall) error
}

// Options configures an Engine. Zero durations, FanOut, Now and Log have
// defaults; the rest must be set.
type Options struct {
	Diagnoses []*Diagnosis
	Fixes     []*Fix
	StepKinds []*StepKind

	Shell   Shell
	Sniffer Sniffer
	Changer Changer
	// Committer makes the steps that may cut a node off; without one, where no
	// node is at stake, Changer makes them too.
	Committer Committer
	Cloud     Cloud
	// Volumes may be left out where nobody asks about volumes.
	Volumes Volumes
	// Groups may be left out where nobody asks about pings.
	Groups Groups
	// Consoles may be left out where nobody asks about consoles.
	Consoles Consoles
	// VSwitches is left out where there is no vCenter.
	VSwitches    VSwitches
	CloudChanger CloudChanger
	Memory       Memory

	// Policy decides who may apply, undo or decline a proposal. It is asked at
	// the click and again right before the change.
	Policy Policy

	// NoEcho leaves out asking the guest's address from the DHCP namespace.
	NoEcho bool

	FanOut  int           // nodes asked at once; default 64
	Static  time.Duration // budget of the static stage; default 10 s
	Packet  time.Duration // most the packet stage may take; default 20 s
	Total   time.Duration // budget of one question; default 60 s
	Settle  time.Duration // how long a change may take to show; default 30 s
	Confirm time.Duration // how long a node waits before it takes an unconfirmed change back; default 60 s
	Expires time.Duration // how long a proposal stands; default 30 min
	Now     func() time.Time
	Log     *slog.Logger
}

// An Engine answers questions and applies approved fixes. It is safe for
// concurrent use.
type Engine struct {
	o     Options
	kinds map[string]*StepKind
	hands hands
}

// New validates the catalogue and returns an Engine. It touches neither disk
// nor network.
func New(o Options) (*Engine, error) {
	if o.Shell == nil || o.Sniffer == nil || o.Changer == nil || o.Cloud == nil || o.CloudChanger == nil || o.Memory == nil || o.Policy == nil {
		return nil, errors.New("an engine needs a shell, a sniffer, a changer, a cloud, a memory and a policy")
	}
	if err := Validate(o.Diagnoses); err != nil {
		return nil, err
	}
	kinds, err := indexKinds(o.StepKinds)
	if err != nil {
		return nil, err
	}
	if err := validateFixes(o.Fixes); err != nil {
		return nil, err
	}
	return &Engine{o: withDefaults(o), kinds: kinds}, nil
}

func indexKinds(all []*StepKind) (map[string]*StepKind, error) {
	kinds := make(map[string]*StepKind, len(all))
	for _, k := range all {
		onNode, inCloud := k.Read != nil && k.State != nil, k.Ref != nil && k.Compare != nil
		if k.Name == "" || k.Do == nil || k.Undo == nil || onNode == inCloud || k.Guard != nil && (inCloud || k.Resolve != nil) {
			return nil, fmt.Errorf("step kind %q is incomplete", k.Name)
		}
		if kinds[k.Name] != nil {
			return nil, fmt.Errorf("step kind %q is there twice", k.Name)
		}
		kinds[k.Name] = k
	}
	return kinds, nil
}

func validateFixes(all []*Fix) error {
	seen := map[string]bool{}
	for _, f := range all {
		if f.Name == "" || f.Doc == "" || f.Title == nil || f.Plan == nil || (f.Class != F1 && f.Class != F2) {
			return fmt.Errorf("fix %q is incomplete, or of a class that is never offered", f.Name)
		}
		if seen[f.Name] {
			return fmt.Errorf("fix %q is there twice", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}

func withDefaults(o Options) Options {
	for d, v := range map[*time.Duration]time.Duration{
		&o.Static: 10 * time.Second, &o.Packet: 20 * time.Second, &o.Total: 60 * time.Second,
		&o.Settle: 30 * time.Second, &o.Confirm: 60 * time.Second, &o.Expires: 30 * time.Minute,
	} {
		if *d == 0 {
			*d = v
		}
	}
	if o.FanOut == 0 {
		o.FanOut = 64
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
