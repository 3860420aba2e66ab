package openstack

import (
	"context"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"whybot/runners"
)

// A mapping is a volume that Nova holds for a server.
type mapping struct {
	ServerID string `json:"serverId"`
	VolumeID string `json:"volumeId"`
	Device   string
	// Delete is there from microversion 2.79 on.
	Delete optional[bool] `json:"delete_on_termination"`
}

// identity is the volume's: one is attached to a server once.
func (m mapping) identity() string { return m.VolumeID }

// An instanceAction is one thing that was asked of a server.
type instanceAction struct {
	Action  string
	Started stamp `json:"start_time"`
	Message string
	Request string `json:"request_id"`
}

func (a instanceAction) identity() string { return a.Request }

// trace returns what Nova still knows of a server. Each fact that it keeps from
// this role is missing on its own; an error means that Nova does not answer.
func (c *Client) trace(ctx context.Context, id string) (runners.ServerTrace, error) {
	t := runners.ServerTrace{ID: id}
	alive, err := c.serversByID(ctx, []string{id})
	if err != nil {
		return t, err
	}
	if len(alive) == 0 {
		return c.traceDeleted(ctx, t)
	}
	t.Server, t.Gone = runners.Known(alive[0].vocabulary()), runners.Known(alive[0].Status == "DELETED")
	t.Deleted = runners.NotKnown[time.Time]("it is not deleted")
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		t.Mappings = perhaps(c.mappings(gctx, id))
		return gctx.Err()
	})
	g.Go(func() error {
		t.Actions = perhaps(c.actions(gctx, id))
		return gctx.Err()
	})
	return t, g.Wait()
}

// traceDeleted looks for a server that Nova does not show by its id. That it is
// gone is known only where the servers of all projects are shown.
func (c *Client) traceDeleted(ctx context.Context, t runners.ServerTrace) (runners.ServerTrace, error) {
	const hidden = "Nova does not show it to this role: it is deleted, or another project's"
	t.Server, t.Gone = runners.NotKnown[runners.Server](hidden), runners.NotKnown[bool](hidden)
	t.Deleted = runners.NotKnown[time.Time](hidden)
	t.Mappings = runners.NotKnown[[]runners.Mapping]("Nova shows none of a server that is not there")
	t.Actions = runners.NotKnown[[]runners.ServerAction]("not shown of a server that is not there")
	query := url.Values{"all_tenants": {"1"}, "deleted": {"True"}, "uuid": {t.ID}}
	found, err := list[server](ctx, c, nova, "servers", query, "servers", "detail")
	switch {
	case isKind(err, runners.Hidden):
		return t, nil
	case err != nil:
		return t, err
	}
	t.Gone = runners.Known(true)
	t.Server = runners.NotKnown[runners.Server]("Nova's database has no trace of it any more")
	t.Deleted = runners.NotKnown[time.Time]("Nova's database has no trace of it any more")
	for _, s := range found {
		if s.ID != t.ID || s.Status != "DELETED" {
			continue
		}
		t.Server = runners.Known(s.vocabulary())
		if !s.Terminated.IsZero() {
			t.Deleted = runners.Known(s.Terminated.Time)
		}
		t.Actions = perhaps(c.actions(ctx, t.ID))
	}
	return t, ctx.Err()
}

func (c *Client) mappings(ctx context.Context, id string) ([]runners.Mapping, error) {
	found, err := list[mapping](ctx, c, nova, "volumeAttachments", nil, "servers", id, "os-volume_attachments")
	all := make([]runners.Mapping, 0, len(found))
	for _, m := range found {
		all = append(all, runners.Mapping{
			ServerID: id, VolumeID: m.VolumeID, Device: m.Device,
			DeleteOnTermination: m.Delete.maybe("this Nova does not tell delete_on_termination: it is older than 2.79"),
		})
	}
	return all, err
}

func (c *Client) actions(ctx context.Context, id string) ([]runners.ServerAction, error) {
	found, err := list[instanceAction](ctx, c, nova, "instanceActions", nil, "servers", id, "os-instance-actions")
	all := make([]runners.ServerAction, 0, len(found))
	for _, a := range found {
		all = append(all, runners.ServerAction{Action: a.Action, Started: a.Started.Time, Failed: a.Message == "Error"})
	}
	return all, err
}

// perhaps is a fact that an API was asked for, or why it did not say.
func perhaps[T any](v T, err error) runners.Maybe[T] {
	if err != nil {
		return runners.NotKnown[T](err.Error())
	}
	return runners.Known(v)
}
