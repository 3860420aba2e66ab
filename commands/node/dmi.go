package node

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"whybot/runners"
)

const dmiDir = "/sys/class/dmi/id/"

// VendorProbe prints who made the machine that the node runs on.
func VendorProbe() runners.Probe {
	return runners.Probe{Name: "dmi-vendor", Argv: []string{"cat", dmiDir + "sys_vendor"}}
}

// IsVMware reports whether the output of VendorProbe names VMware's hypervisor.
func IsVMware(text string) bool { return strings.HasPrefix(strings.TrimSpace(text), "VMware") }

// IdentityProbe prints the serial number and the UUID that the firmware gives the
// machine, which only root may read.
func IdentityProbe() runners.Probe {
	return runners.Probe{Name: "dmi-identity", Sudo: true, Argv: []string{"grep", "-H", ".", dmiDir + "product_serial", dmiDir + "product_uuid"}}
}

// ParseIdentity reads the output of IdentityProbe; empty is what it does not show.
func ParseIdentity(text string) (serial, uuid string) {
	for line := range strings.Lines(text) {
		file, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch strings.TrimPrefix(file, dmiDir) {
		case "product_serial":
			serial = value
		case "product_uuid":
			uuid = value
		}
	}
	return serial, uuid
}

// nobody is an address that no machine has (RFC 5737): to ask for a guest's own
// could look to it as if somebody else had it.
const nobody = "192.0.2.1"

// OwnFrameProbe has the node ask, out of a bridge, who has an address: a question
// that goes to all, under the bridge's own MAC address. It exits 1 when that was
// sent, as nobody answers, and 2 when it could not be.
func OwnFrameProbe(bridge string) runners.Probe {
	return runners.Probe{Name: "own-frame", Sudo: true, Argv: []string{"ping", "-n", "-c", "1", "-W", "1", "-I", bridge, nobody}}
}

// LearntProbe lists the addresses that a bridge has learnt, and when it last saw
// each.
func LearntProbe(bridge string) runners.Probe {
	return runners.Probe{Name: "learnt", Argv: []string{"bridge", "-s", "fdb", "show", "br", bridge}}
}

// A Learnt is a line of LearntProbe.
type Learnt struct {
	MAC, Device string
	// Ago is how long ago a frame from there was seen.
	Ago time.Duration
}

// ParseLearnt reads the output of LearntProbe. Entries that no frame made are left
// out.
func ParseLearnt(text string) ([]Learnt, error) {
	var all []Learnt
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) < 3 || words[1] != "dev" || strings.Count(words[0], ":") != 5 {
			return nil, fmt.Errorf("not an entry of a bridge: %.60q", line)
		}
		_, updated, ok := strings.Cut(after(words, "used"), "/")
		seconds, err := strconv.ParseUint(updated, 10, 31)
		if !ok || err != nil || words[len(words)-1] == "permanent" || words[len(words)-1] == "static" {
			continue
		}
		all = append(all, Learnt{MAC: strings.ToLower(words[0]), Device: words[2], Ago: time.Duration(seconds) * time.Second})
	}
	return all, nil
}
