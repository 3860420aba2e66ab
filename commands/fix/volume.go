package fix

import (
	"fmt"

	"whybot/commands"
	"whybot/runners"
)

// DeleteWithServer has Nova delete a volume with its server. Args: server,
// server_name, volume, volume_name.
var DeleteWithServer = register(&commands.Fix{
	Name: "delete-with-server",
	Doc: `Set delete_on_termination of the volume that the server has (Nova 2.85 or newer).

Nothing is deleted now. From then on whoever deletes the server deletes the volume
with it, and its data. Undo sets it to false again.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Have Nova delete volume %s with server %s", s.Args["volume_name"], s.Args["server_name"])
	},
	Plan: func(_ *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		return []commands.Step{{Kind: setAttribute.Name, Args: map[string]string{
			"kind": runners.ServerVolume, "id": s.Args["server"] + "/" + s.Args["volume"], "attribute": "delete_on_termination", "from": "false", "to": "true",
		}}}, nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{fmt.Sprintf("The data on %s: when %s is deleted, they are gone, too. Only what is to die with the server should.", s.Args["volume_name"], s.Args["server_name"])}
	},
})

// ThawBackend lets Cinder change the volumes of a back end again. Args: host.
var ThawBackend = register(&commands.Fix{
	Name:  "thaw-backend",
	Doc:   `Thaw the back end (openstack volume host set --enable). Undo freezes it again.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string { return "Thaw back end " + s.Args["host"] },
	Plan: func(_ *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		return []commands.Step{{Kind: setAttribute.Name, Args: map[string]string{
			"kind": runners.VolumeBackend, "id": s.Args["host"], "attribute": "frozen", "from": "true", "to": "false",
		}}}, nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{"Every volume of " + s.Args["host"] + ": it may be changed and deleted again. Somebody froze it on purpose, as is done while a back end is failed over."}
	},
})
