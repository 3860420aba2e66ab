package node

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"whybot/runners"
)

// CinderLogDir is where Cinder's services write their logs.
const CinderLogDir = "/var/log/cinder/"

// noted are the words of cinder-volume's log that say why a volume stays; lines
// that name the volume itself are asked for besides.
var noted = []string{
	logBegins, "busy", "Busy", "is dependent on the snapshot", "not initialized", "reporting problems", "Unable to delete encryption key",
}

// CinderLogProbe prints the lines of cinder-volume's log that speak of a volume,
// or of what keeps volumes in general, under the names that distributions give
// it. It exits 2 when one of them is not there, which is always so. volumeID must
// not be empty: every line has an empty word in it.
func CinderLogProbe(volumeID string) runners.Probe {
	argv := []string{"grep", "-h", "-F"}
	for _, words := range noted {
		argv = append(argv, "-e", words)
	}
	argv = append(argv, "-e", volumeID, "--", CinderLogDir+"cinder-volume.log", CinderLogDir+"volume.log")
	return runners.Probe{Name: "cinder log", Sudo: true, Argv: argv}
}

var requestID = regexp.MustCompile(`\breq-[0-9a-f-]{36}\b`)

// LinesAbout returns the lines that name the volume, and those of the same
// requests: the one that says why often does not say of what. Nothing from before
// the service was last started is returned.
func LinesAbout(log, volumeID string) []string {
	var all []string
	requests := map[string]bool{}
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\r\n")
		if strings.Contains(line, logBegins) {
			all, requests = nil, map[string]bool{}
			continue
		}
		if id := requestID.FindString(line); id != "" && strings.Contains(line, volumeID) {
			requests[id] = true
		}
		all = append(all, line)
	}
	var about []string
	for _, line := range all {
		if strings.Contains(line, volumeID) || requests[requestID.FindString(line)] {
			about = append(about, line)
		}
	}
	return about
}

// SinceStart returns the lines of the log that the service wrote since it was
// last started.
func SinceStart(log string) []string {
	var all []string
	for line := range strings.Lines(log) {
		if all = append(all, strings.TrimRight(line, "\r\n")); strings.Contains(line, logBegins) {
			all = nil
		}
	}
	return all
}

// VolumesProbe lists LVM's logical volumes and whether something has them open.
func VolumesProbe() runners.Probe {
	return runners.Probe{
		Name: "lvs", Sudo: true,
		Argv: []string{"lvs", "--reportformat", "json", "-o", "vg_name,lv_name,lv_attr,lv_device_open"},
	}
}

// A LogicalVolume is one line of VolumesProbe.
type LogicalVolume struct {
	Group string `json:"vg_name"`
	Name  string `json:"lv_name"`
	Attr  string `json:"lv_attr"`
	// Opened is "open" or empty.
	Opened string `json:"lv_device_open"`
}

// Open reports whether something has the device open.
func (v LogicalVolume) Open() bool {
	return v.Opened == "open" || len(v.Attr) > 5 && v.Attr[5] == 'o'
}

// ParseVolumes reads the output of VolumesProbe.
func ParseVolumes(text string) ([]LogicalVolume, error) {
	var out struct {
		Report []struct {
			LV []LogicalVolume `json:"lv"`
		} `json:"report"`
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return nil, fmt.Errorf("the list of logical volumes could not be understood: %w", err)
	}
	if out.Report == nil {
		return nil, fmt.Errorf("the list of logical volumes has no report")
	}
	var all []LogicalVolume
	for _, r := range out.Report {
		all = append(all, r.LV...)
	}
	return all, nil
}

// ComputeLogProbe prints the lines of nova-compute's log in which a volume was to
// be deleted with its server and was not. volumeID must not be empty.
func ComputeLogProbe(volumeID string) runners.Probe {
	return runners.Probe{
		Name: "nova-compute log", Sudo: true,
		Argv: []string{"grep", "-h", "-F", "-e", "Failed to delete volume: " + volumeID, "--", "/var/log/nova/nova-compute.log"},
	}
}

// CinderConfigProbe prints the names under which cinder-volume works on the
// node: the lines of its configuration that hold no secret.
func CinderConfigProbe() runners.Probe {
	return runners.Probe{
		Name: "cinder.conf names", Sudo: true,
		Argv: []string{"grep", "-h", "-E", `^([[:space:]]+)?(\[|(host|backend_host|cluster|enabled_backends|volume_driver|volume_backend_name)([[:space:]]+)?=)`, "/etc/cinder/cinder.conf"},
	}
}

// CinderProcessProbe lists the processes of cinder-volume; it exits 1 when there
// is none.
func CinderProcessProbe() runners.Probe {
	return runners.Probe{Name: "cinder-volume processes", Argv: []string{"pgrep", "-a", "-f", `[/ ]cinder-volume( |$)`}}
}

// CinderNames are the names that a cinder.conf gives.
type CinderNames struct {
	// Host is [DEFAULT] host; Cluster is [DEFAULT] cluster.
	Host, Cluster string
	// BackendHosts are backend_host by section.
	BackendHosts map[string]string
}

// ParseCinderNames reads the output of CinderConfigProbe.
func ParseCinderNames(text string) CinderNames {
	n := CinderNames{BackendHosts: map[string]string{}}
	section := "DEFAULT"
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSuffix(name, "]")
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		switch key = strings.TrimSpace(key); {
		case key == "backend_host":
			n.BackendHosts[section] = value
		case section == "DEFAULT" && key == "host":
			n.Host = value
		case section == "DEFAULT" && key == "cluster":
			n.Cluster = value
		}
	}
	return n
}
