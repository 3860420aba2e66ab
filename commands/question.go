package commands

// A Kind is what a question is about.
type Kind string

// Kinds of questions.
const (
	KindDHCP        Kind = "dhcp"         // subject vm
	KindPing        Kind = "ping"         // subjects src, dst, both
	KindMetadata    Kind = "metadata"     // subject vm
	KindConsole     Kind = "console"      // subject vm
	KindVolumeLeft  Kind = "volume-left"  // subjects vm, volume
	KindVolumeStuck Kind = "volume-stuck" // subject volume
	KindHistory     Kind = "history"      // subjects query, target, incident, when, ...
	KindHelp        Kind = "help"
	KindNone        Kind = "none" // nothing for whybot to do
)

// A Question is one request from an operator, parsed.
type Question struct {
	Kind Kind   `json:"kind"`
	Text string `json:"text"` // as typed
	// Subjects holds names exactly as typed, by role: "vm", "ip", "host", ...
	Subjects map[string]string `json:"subjects"`
	// AsksBack says that a subject without which the question cannot be
	// worked on is missing.
	AsksBack bool `json:"asks_back"`
}

// An Actor is a person as a transport knows them.
type Actor struct {
	Via  string `json:"via"`            // "terminal" or "slack"
	ID   string `json:"id"`             // stable: Slack user id, or the name given in the terminal
	Team string `json:"team,omitempty"` // Slack team id
	Name string `json:"name,omitempty"` // for display only, never for decisions
	// Channel is the Slack channel in which they decided on a fix.
	Channel string `json:"channel,omitempty"`
}

// String returns the actor for a timeline line.
func (a Actor) String() string {
	if a.Name != "" && a.Name != a.ID {
		return a.Name + " (" + a.Via + " " + a.ID + ")"
	}
	return a.ID + " (" + a.Via + ")"
}
