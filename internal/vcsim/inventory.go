package vcsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// An Inventory is what a simulated vCenter holds: one cluster of ESXi hosts,
// the switches they have and the machines that run on them.
type Inventory struct {
	// Hosts is how many ESXi hosts the cluster has; zero means one.
	Hosts int `json:"hosts,omitempty"`
	// Standard are standard switches, made alike on every host.
	Standard []Standard `json:"standard,omitempty"`
	// Distributed are distributed switches, which every host is a member of.
	Distributed []Distributed `json:"distributed,omitempty"`
	Machines    []Machine     `json:"machines,omitempty"`
}

// A Security is a security policy. What is nil is taken from the level above.
type Security struct {
	Promiscuous *bool `json:"promiscuous,omitempty"`
	MACChanges  *bool `json:"mac_changes,omitempty"`
	Forged      *bool `json:"forged,omitempty"`
}

// A Standard is a standard switch.
type Standard struct {
	Name     string          `json:"name"`
	Uplinks  []string        `json:"uplinks,omitempty"`
	MTU      int             `json:"mtu,omitempty"`
	Security Security        `json:"security,omitzero"`
	Groups   []StandardGroup `json:"groups,omitempty"`
}

// A StandardGroup is a port group of a standard switch.
type StandardGroup struct {
	Name string `json:"name"`
	// VLAN is 4095 for guests that tag their frames.
	VLAN     int      `json:"vlan,omitempty"`
	Security Security `json:"security,omitzero"`
	// Active overrides which uplinks of the switch are used.
	Active []string `json:"active,omitempty"`
}

// A Distributed is a distributed switch.
type Distributed struct {
	Name    string             `json:"name"`
	Uplinks []string           `json:"uplinks,omitempty"`
	MTU     int                `json:"mtu,omitempty"`
	Groups  []DistributedGroup `json:"groups,omitempty"`
}

// A DistributedGroup is a port group of a distributed switch.
type DistributedGroup struct {
	Name string `json:"name"`
	// VLAN is the one id of a group that tags for its guests; Trunk are the
	// ranges of one that lets their tags pass.
	VLAN     int       `json:"vlan,omitempty"`
	Trunk    [][2]int  `json:"trunk,omitempty"`
	Security Security  `json:"security,omitzero"`
	Learning *Learning `json:"learning,omitempty"`
	// Old keeps the policy where vSphere before 6.7 has it, which knows no MAC
	// learning. Unset leaves it out altogether, as a server that tells nothing.
	Old   bool `json:"old,omitempty"`
	Unset bool `json:"unset,omitempty"`
}

// A Learning is the MAC learning of a distributed port group.
type Learning struct {
	Enabled  bool   `json:"enabled"`
	Flooding bool   `json:"flooding"`
	Limit    int32  `json:"limit"`
	Policy   string `json:"policy"` // ALLOW or DROP
}

// A Machine is a virtual machine.
type Machine struct {
	Name string `json:"name"`
	UUID string `json:"uuid,omitempty"`
	// IP and HostName are what VMware Tools report.
	IP       string `json:"ip,omitempty"`
	HostName string `json:"host_name,omitempty"`
	// Host is the index of the ESXi host that it runs on.
	Host     int    `json:"host,omitempty"`
	Template bool   `json:"template,omitempty"`
	Cards    []Card `json:"cards,omitempty"`
}

// A Card is a network card of a machine.
type Card struct {
	MAC   string `json:"mac"`
	Group string `json:"group"`
	// Port is its port of a distributed switch.
	Port string `json:"port,omitempty"`
	// Unplugged is a card that is not connected, Blocked one whose port is.
	Unplugged bool `json:"unplugged,omitempty"`
	Blocked   bool `json:"blocked,omitempty"`
	// Own is the policy of its own port, which wins over the group's.
	Own *Security `json:"own,omitempty"`
}

// ReadInventory reads an inventory as JSON.
func ReadInventory(r io.Reader) (Inventory, error) {
	d := json.NewDecoder(io.LimitReader(r, 1<<20))
	d.DisallowUnknownFields()
	var inv Inventory
	if err := d.Decode(&inv); err != nil {
		return Inventory{}, fmt.Errorf("vcsim: read the inventory: %w", err)
	}
	return inv, inv.check()
}

// check finds what the simulator would panic about.
func (inv Inventory) check() error {
	if inv.Hosts < 0 || inv.Hosts > 64 {
		return fmt.Errorf("vcsim: %d hosts: give 1 to 64", inv.Hosts)
	}
	groups, seen := map[string]bool{}, map[string]bool{}
	name := func(kind, n string) error {
		if n == "" || seen[kind+n] {
			return fmt.Errorf("vcsim: a %s is named %q: names are there, and each once", kind, n)
		}
		seen[kind+n] = true
		return nil
	}
	var errs []error
	for _, s := range inv.Standard {
		errs = append(errs, name("switch", s.Name))
		for _, g := range s.Groups {
			errs, groups[g.Name] = append(errs, name("port group", g.Name)), true
		}
	}
	for _, s := range inv.Distributed {
		errs = append(errs, name("switch", s.Name))
		for _, g := range s.Groups {
			errs, groups[g.Name] = append(errs, name("port group", g.Name)), true
		}
	}
	for _, m := range inv.Machines {
		errs = append(errs, name("machine", m.Name))
		if m.Host < 0 || m.Host >= max(1, inv.Hosts) {
			errs = append(errs, fmt.Errorf("vcsim: machine %q runs on host %d, which is not there", m.Name, m.Host))
		}
		for _, c := range m.Cards {
			if !groups[c.Group] {
				errs = append(errs, fmt.Errorf("vcsim: machine %q has a card on %q, which is not there", m.Name, c.Group))
			}
		}
	}
	return errors.Join(errs...)
}
