package openstack

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"golang.org/x/sync/errgroup"

	"whybot/runners"
)

// A snapshot is Cinder's answer.
type snapshot struct {
	ID, Name, Status string
	Size             int
	VolumeID         string `json:"volume_id"`
	Created          stamp  `json:"created_at"`
}

func (s snapshot) identity() string { return s.ID }

// A volumeAttachment is Cinder's record. The rest of it, which may hold the
// back end's passwords, is not asked for.
type volumeAttachment struct {
	ID, Status, Instance string
	VolumeID             string `json:"volume_id"`
}

func (a volumeAttachment) identity() string { return a.ID }

// A volumeService is Cinder's answer.
type volumeService struct {
	Binary, Host, Zone, Status, State string
	Reason                            string `json:"disabled_reason"`
	Cluster                           string
	Updated                           stamp          `json:"updated_at"`
	Frozen                            optional[bool] // of cinder-volume only
}

// identity is not used: services come on one page.
func (s volumeService) identity() string { return s.Host }

type volumeTransfer struct {
	ID, Name string
	VolumeID string `json:"volume_id"`
	Created  stamp  `json:"created_at"`
}

func (t volumeTransfer) identity() string { return t.ID }

type volumeMessage struct {
	ID      string
	Text    string `json:"user_message"`
	Level   string `json:"message_level"`
	About   string `json:"resource_uuid"`
	Created stamp  `json:"created_at"`
}

func (m volumeMessage) identity() string { return m.ID }

// VolumeCase reads everything about a volume, and about serverID when it is not
// empty. The volume itself is read anew: what it was when it was found may be
// over. Each other fact that cannot be read is missing on its own.
func (c *Client) VolumeCase(ctx context.Context, v runners.Volume, serverID string) (runners.VolumeCase, error) {
	found, err := c.volumeByID(ctx, v.ID)
	if err != nil {
		return runners.VolumeCase{}, err
	}
	vc := runners.VolumeCase{Volume: found.vocabulary(), At: time.Now()}
	g, gctx := errgroup.WithContext(ctx)
	for _, read := range []func(context.Context, *runners.VolumeCase){
		c.readSnapshots, c.readServices, c.readTransfers, c.readGroup, c.readMessages, c.readIdle, c.readMachines,
	} {
		g.Go(func() error {
			read(gctx, &vc) // each has a field of its own
			return gctx.Err()
		})
	}
	g.Go(func() error {
		c.readAttachments(gctx, &vc)
		return c.readServers(gctx, &vc, serverID)
	})
	return vc, g.Wait()
}

func (c *Client) readSnapshots(ctx context.Context, vc *runners.VolumeCase) {
	query := url.Values{"volume_id": {vc.Volume.ID}, "all_tenants": {"1"}}
	found, err := list[snapshot](ctx, c, cinder, "snapshots", query, "snapshots", "detail")
	all := make([]runners.Snapshot, 0, len(found))
	for _, s := range found {
		if s.VolumeID == vc.Volume.ID {
			all = append(all, runners.Snapshot{ID: s.ID, Name: s.Name, Status: s.Status, Size: s.Size, Created: s.Created.Time})
		}
	}
	vc.Snapshots = perhaps(all, err)
}

func (c *Client) readAttachments(ctx context.Context, vc *runners.VolumeCase) {
	query := url.Values{"volume_id": {vc.Volume.ID}, "all_tenants": {"1"}}
	found, err := list[volumeAttachment](ctx, c, cinder, "attachments", query, "attachments")
	all := make([]runners.VolumeAttachment, 0, len(found))
	for _, a := range found {
		if a.VolumeID == vc.Volume.ID {
			all = append(all, runners.VolumeAttachment{ID: a.ID, Status: a.Status, ServerID: a.Instance})
		}
	}
	vc.Attachments = perhaps(all, err)
}

func (c *Client) readServices(ctx context.Context, vc *runners.VolumeCase) {
	found, err := list[volumeService](ctx, c, cinder, "services", nil, "os-services")
	all := make([]runners.VolumeService, 0, len(found))
	for _, s := range found {
		all = append(all, runners.VolumeService{
			Binary: s.Binary, Host: s.Host, Zone: s.Zone, Enabled: s.Status == "enabled", DisabledReason: s.Reason, Up: s.State == "up",
			Updated: s.Updated.Time, Cluster: s.Cluster, Frozen: s.Frozen.maybe("Cinder does not say whether it is frozen"),
		})
	}
	vc.Services = perhaps(all, err)
}

func (c *Client) readTransfers(ctx context.Context, vc *runners.VolumeCase) {
	found, err := list[volumeTransfer](ctx, c, cinder, "transfers", url.Values{"all_tenants": {"1"}}, "os-volume-transfer", "detail")
	all := make([]runners.Transfer, 0, len(found))
	for _, t := range found {
		if t.VolumeID == vc.Volume.ID {
			all = append(all, runners.Transfer{ID: t.ID, Name: t.Name, Created: t.Created.Time})
		}
	}
	vc.Transfers = perhaps(all, err)
}

func (c *Client) readGroup(ctx context.Context, vc *runners.VolumeCase) {
	if vc.Volume.GroupID == "" {
		vc.GroupName = runners.NotKnown[string]("it is in no group")
		return
	}
	found, err := one[struct{ Name string }](ctx, c, cinder, "group", "groups", vc.Volume.GroupID)
	vc.GroupName = perhaps(found.Name, err)
}

// readMessages reads what Cinder has to say to whybot's own project: it shows
// nobody those of another one.
func (c *Client) readMessages(ctx context.Context, vc *runners.VolumeCase) {
	found, err := list[volumeMessage](ctx, c, cinder, "messages", url.Values{"resource_uuid": {vc.Volume.ID}}, "messages")
	all := make([]runners.VolumeMessage, 0, len(found))
	for _, m := range found {
		if m.About == vc.Volume.ID {
			all = append(all, runners.VolumeMessage{At: m.Created.Time, Level: m.Level, Text: m.Text})
		}
	}
	slices.SortStableFunc(all, func(a, b runners.VolumeMessage) int { return b.At.Compare(a.At) })
	vc.Messages = perhaps(all, err)
}

func (c *Client) readIdle(ctx context.Context, vc *runners.VolumeCase) {
	found, err := c.listVolumes(ctx, url.Values{"status": {"available"}})
	all := make([]runners.Volume, 0, len(found))
	for _, v := range found {
		if v.ID != vc.Volume.ID && v.ProjectID == vc.Volume.ProjectID && v.Status == "available" && len(v.Attachments) == 0 {
			all = append(all, v.vocabulary())
		}
	}
	slices.SortStableFunc(all, func(a, b runners.Volume) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	vc.Idle = perhaps(all, err)
}

// A computeService is Nova's answer.
type computeService struct {
	ID, Binary, Host string
}

// identity is not used: services come on one page.
func (s computeService) identity() string { return s.ID }

func (c *Client) readMachines(ctx context.Context, vc *runners.VolumeCase) {
	found, err := list[computeService](ctx, c, nova, "services", nil, "os-services")
	all := make([]string, 0, len(found))
	for _, s := range found {
		if s.Binary != "nova-compute" && !slices.Contains(all, s.Host) {
			all = append(all, s.Host)
		}
	}
	slices.Sort(all)
	vc.Machines = perhaps(all, err)
}

// readServers traces every server that an attachment names, and the one that was
// asked about.
func (c *Client) readServers(ctx context.Context, vc *runners.VolumeCase, about string) error {
	var ids []string
	add := func(id string) {
		if uuid.MatchString(id) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	add(about)
	for _, a := range vc.Volume.Attached {
		add(a.ServerID)
	}
	records, _ := vc.Attachments.Get()
	for _, a := range records {
		add(a.ServerID)
	}
	traces, errs := runners.Each(ctx, 8, ids, c.trace)
	for i, err := range errs {
		if err != nil { // Nova does not answer; Cinder's side still tells much
			traces[i] = unasked(ids[i], err)
		}
	}
	vc.Servers = traces
	return ctx.Err()
}

// unasked is a server that Nova could not be asked about.
func unasked(id string, err error) runners.ServerTrace {
	why := err.Error()
	return runners.ServerTrace{
		ID: id, Server: runners.NotKnown[runners.Server](why), Gone: runners.NotKnown[bool](why), Deleted: runners.NotKnown[time.Time](why),
		Mappings: runners.NotKnown[[]runners.Mapping](why), Actions: runners.NotKnown[[]runners.ServerAction](why),
	}
}

// isNotAcceptable reports whether a service is older than a microversion.
func isNotAcceptable(err error) bool {
	code, ok := errors.AsType[gophercloud.ErrUnexpectedResponseCode](err)
	return ok && code.Actual == http.StatusNotAcceptable
}
