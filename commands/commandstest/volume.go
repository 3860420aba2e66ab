package commandstest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"whybot/commands"
	"whybot/runners"
)

// volumeKeys are the lines of the cloud that are about volumes, by key. A holder
// is a server that has to do with the volume; times are durations before the
// look, such as 90m.
var volumeKeys = map[string]string{
	"volume":   " id status host cluster migration group project meta made changed bootable size",
	"attached": "server record device host since", "record": " server id status", "snapshot": " id status made",
	"service": " binary up heard cluster frozen off", "holder": " id status gone deleted host fault project", "mapping": " server device dies",
	"action": " server ago failed", "transfer": " id", "idle": " id made status project size", "machine": "",
}

// A volumeWorld answers about the volume of a fixture.
type volumeWorld struct{ c cloudFacts }

// isVolume reports whether the fixture asks about a volume.
func (f *Fixture) isVolume() bool {
	return f.kind == commands.KindVolumeLeft || f.kind == commands.KindVolumeStuck
}

// asked is the fixture's question.
func (f *Fixture) asked() commands.Question {
	q := commands.Question{Kind: commands.KindDHCP, Text: f.question, Subjects: map[string]string{"vm": f.cloud.first("server")[""]}}
	if f.kind == commands.KindPing {
		return f.askedPing()
	}
	if f.kind == commands.KindConsole {
		q.Kind = f.kind
	}
	if f.isVolume() {
		q.Kind, q.Subjects = f.kind, map[string]string{"volume": f.cloud.first("volume")[""]}
	}
	return q
}

// before is the moment so long before the fixture's look; the zero time when it
// is not said.
func (w words) before(key string) (time.Time, error) {
	if w[key] == "" {
		return time.Time{}, nil
	}
	d, err := time.ParseDuration(w[key])
	return lastHeard.Add(-d), err
}

// FindVolumes finds the one volume whatever it is called.
func (v volumeWorld) FindVolumes(context.Context, string) ([]runners.Volume, error) {
	vol, err := v.volume(v.c.first("volume"))
	return []runners.Volume{vol}, err
}

// VolumesOf returns the one server with the one volume.
func (v volumeWorld) VolumesOf(context.Context, string) ([]runners.Leftover, error) {
	servers, err := v.servers()
	if err != nil || len(servers) == 0 {
		return nil, fmt.Errorf("the fixture has no holder (%w)", err)
	}
	vol, err := v.volume(v.c.first("volume"))
	return []runners.Leftover{{Server: servers[0], Volumes: []runners.Volume{vol}}}, err
}

// VolumeCase returns what the fixture says of the volume.
func (v volumeWorld) VolumeCase(context.Context, runners.Volume, string) (runners.VolumeCase, error) {
	c := runners.VolumeCase{At: lastHeard}
	var err error
	if c.Volume, err = v.volume(v.c.first("volume")); err != nil {
		return c, err
	}
	if c.Snapshots, err = listed(v.c["snapshot"], func(w words) (runners.Snapshot, error) {
		at, err := w.before("made")
		return runners.Snapshot{ID: w["id"], Name: w[""], Status: w["status"], Created: at}, err
	}); err != nil {
		return c, err
	}
	if c.Attachments, err = listed(v.c["record"], func(w words) (runners.VolumeAttachment, error) {
		return runners.VolumeAttachment{ID: w["id"], Status: w["status"], ServerID: w["server"]}, nil
	}); err != nil {
		return c, err
	}
	if c.Services, err = listed(v.c["service"], words.service); err != nil {
		return c, err
	}
	if c.Idle, err = listed(v.c["idle"], v.volume); err != nil {
		return c, err
	}
	c.Transfers, err = listed(v.c["transfer"], func(w words) (runners.Transfer, error) {
		return runners.Transfer{ID: w["id"], Name: w[""]}, nil
	})
	if err != nil {
		return c, err
	}
	c.Machines, err = listed(v.c["machine"], func(w words) (string, error) { return w[""], nil })
	if err != nil {
		return c, err
	}
	c.GroupName, c.Messages = runners.NotKnown[string]("it is in no group"), runners.Known([]runners.VolumeMessage{})
	c.Servers, err = v.servers()
	return c, err
}

// listed are the lines of a kind, unless they say that they are hidden.
func listed[T any](lines []words, read func(words) (T, error)) (runners.Maybe[[]T], error) {
	all := make([]T, 0, len(lines))
	for _, w := range lines {
		if w[""] == hidden {
			return runners.NotKnown[[]T](hiddenWhy), nil
		}
		v, err := read(w)
		if err != nil {
			return runners.Maybe[[]T]{}, err
		}
		all = append(all, v)
	}
	return runners.Known(all), nil
}

func (v volumeWorld) volume(w words) (runners.Volume, error) {
	size, _ := strconv.Atoi(w["size"]) // not said: nobody cares
	vol := runners.Volume{
		ID: w["id"], Name: w[""], Status: w["status"], ProjectID: w["project"], Size: size, Bootable: w["bootable"] == "yes",
		Host: w.maybe("host"), Cluster: w.maybe("cluster"), Migration: w.maybe("migration"), GroupID: w["group"],
	}
	if key, value, ok := strings.Cut(w["meta"], ":"); ok {
		vol.Metadata = map[string]string{key: value}
	}
	var err error
	if vol.Created, err = w.before("made"); err != nil {
		return vol, err
	}
	if vol.Updated, err = w.before("changed"); err != nil || vol.ID != v.c.first("volume")["id"] {
		return vol, err
	}
	for _, a := range v.c["attached"] {
		at, err := a.before("since")
		if err != nil {
			return vol, err
		}
		vol.Attached = append(vol.Attached, runners.AttachedTo{AttachmentID: a["record"], ServerID: a["server"], Host: a["host"], Device: a["device"], At: at})
	}
	return vol, nil
}

// service is a row of Cinder's services, of cinder-volume unless it says so.
func (w words) service() (runners.VolumeService, error) {
	at, err := w.before("heard")
	s := runners.VolumeService{
		Binary: "cinder-volume", Host: w[""], Up: w["up"] != "no", Updated: at, Cluster: w["cluster"], Enabled: w["off"] == "", DisabledReason: w["off"],
		Frozen: runners.Known(w["frozen"] == "yes"),
	}
	if w["binary"] != "" {
		s.Binary = w["binary"]
	}
	if w["frozen"] == hidden {
		s.Frozen = runners.NotKnown[bool](hiddenWhy)
	}
	if at.IsZero() {
		s.Updated = lastHeard
	}
	return s, err
}

// servers are the holders with what Nova has of each.
func (v volumeWorld) servers() ([]runners.ServerTrace, error) {
	var all []runners.ServerTrace
	for _, w := range v.c["holder"] {
		t := runners.ServerTrace{
			ID: w["id"], Gone: runners.Known(w["gone"] == "yes"), Deleted: runners.NotKnown[time.Time]("it is not deleted"),
			Server: runners.Known(runners.Server{ID: w["id"], Name: w[""], Status: w["status"], Host: w.maybe("host"), ProjectID: w["project"], Fault: strings.ReplaceAll(w["fault"], "_", " ")}),
		}
		if w["gone"] == hidden {
			t.Gone, t.Server = runners.NotKnown[bool](hiddenWhy), runners.NotKnown[runners.Server](hiddenWhy)
		}
		deleted, err := w.before("deleted")
		if err != nil {
			return nil, err
		}
		if !deleted.IsZero() {
			t.Deleted = runners.Known(deleted)
		}
		if t.Mappings, t.Actions, err = v.ofServer(w["id"]); err != nil {
			return nil, err
		}
		if w["gone"] == hidden {
			t.Mappings, t.Actions = runners.NotKnown[[]runners.Mapping](hiddenWhy), runners.NotKnown[[]runners.ServerAction](hiddenWhy)
		}
		all = append(all, t)
	}
	return all, nil
}

func (v volumeWorld) ofServer(id string) (runners.Maybe[[]runners.Mapping], runners.Maybe[[]runners.ServerAction], error) {
	mine := func(w words) bool { return w["server"] != id && w[""] != hidden }
	mappings, err := listed(slices.DeleteFunc(slices.Clone(v.c["mapping"]), mine), func(w words) (runners.Mapping, error) {
		m := runners.Mapping{ServerID: id, VolumeID: v.c.first("volume")["id"], Device: w["device"], DeleteOnTermination: runners.Known(w["dies"] == "yes")}
		if w["dies"] == hidden {
			m.DeleteOnTermination = runners.NotKnown[bool](hiddenWhy)
		}
		return m, nil
	})
	if err != nil {
		return mappings, runners.Maybe[[]runners.ServerAction]{}, err
	}
	actions, err := listed(slices.DeleteFunc(slices.Clone(v.c["action"]), mine), func(w words) (runners.ServerAction, error) {
		at, err := w.before("ago")
		return runners.ServerAction{Action: w[""], Started: at, Failed: w["failed"] == "yes"}, err
	})
	return mappings, actions, err
}

// keysOf returns the words that the lines of a cloud section may have.
func keysOf() map[string]string {
	all := maps.Clone(cloudKeys)
	maps.Copy(all, volumeKeys)
	maps.Copy(all, pingKeys)
	maps.Copy(all, consoleKeys)
	maps.Copy(all, vsphereKeys)
	return all
}
