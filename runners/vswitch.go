package runners

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// A MachineID is what a node shows of itself, by which the virtual machine that
// it is can be found.
type MachineID struct {
	Node string
	// Serial and UUID are what the firmware tells: product_serial and
	// product_uuid. Empty where the node does not show them.
	Serial, UUID string
	// MACs are those of its network cards. One of the machine's must be among
	// them, whatever else it was found by.
	MACs []string
	// Addresses and Name are looked for last: the guest itself reports them.
	Addresses []string
	Name      string
}

// A VMachine is the virtual machine that a node is.
type VMachine struct {
	Name string
	// ID is vCenter's own name of it.
	ID string
	// FoundBy is what of the MachineID led to it, such as "product_serial".
	FoundBy string
	// Host is the ESXi host that it runs on, and Cluster that one's cluster;
	// hidden from a role without rights there.
	Host, Cluster Maybe[string]
	Cards         []VCard
	At            time.Time
}

// Card returns the card with a MAC address.
func (m VMachine) Card(mac string) (VCard, bool) {
	i := slices.IndexFunc(m.Cards, func(c VCard) bool { return strings.EqualFold(c.MAC, mac) })
	if i < 0 {
		return VCard{}, false
	}
	return m.Cards[i], true
}

// A VCard is a network card of a virtual machine and what its port says.
type VCard struct {
	MAC string
	// Label is vSphere's own: "Network adapter 1".
	Label string
	// Connected says whether the card is plugged in.
	Connected Maybe[bool]
	// Blocked says whether its port lets nothing pass.
	Blocked Maybe[bool]
	// Group is its port group, with what holds for this very port.
	Group VGroup
	// Elsewhere is the port group of the same name on the other hosts of the
	// cluster, where the machine may run next. Only groups of standard switches
	// differ from host to host; of distributed ones it is known and empty.
	Elsewhere Maybe[[]VGroup]
}

// A VSwitchKind is what kind of virtual switch a port group belongs to.
type VSwitchKind string

// Kinds of virtual switches.
const (
	StandardSwitch    VSwitchKind = "standard"
	DistributedSwitch VSwitchKind = "distributed"
	// ForeignSwitch is managed by something other than vCenter, such as NSX.
	ForeignSwitch VSwitchKind = "foreign"
)

// A VGroup is a port group of a virtual switch.
type VGroup struct {
	// Ref is by what it can be read again and changed; the zero Ref where it
	// cannot.
	Ref          CloudRef
	Kind         VSwitchKind
	Name, Switch string
	// Host is the ESXi host, of a standard switch.
	Host string
	// Missing says that the host has no port group of this name.
	Missing bool

	// Own is the policy that the group itself has, by which a change is planned,
	// and Version the one of its configuration; empty where there is none.
	Own     Maybe[VSecurity]
	Version string

	// Promiscuous delivers every frame of the port group, MACChanges lets the
	// guest change its own address, and Forged lets frames with other senders out.
	Promiscuous, MACChanges, Forged VSetting
	// Learning is the MAC learning; known and off on standard switches, which
	// have none.
	Learning Maybe[VLearning]
	VLANs    Maybe[VLANs]
	MTU      Maybe[int]
	// Active are the uplinks in use. More than one of them reflect what a
	// promiscuous port sends.
	Active Maybe[[]string]
}

// A VSecurity is the security policy of a port group, whole: what a change
// replaces and its inverse puts back. Nil is inherited.
type VSecurity struct {
	// Inherited says that all of it comes from the switch, whatever is in it.
	Inherited   bool           `json:"inherited,omitempty"`
	Promiscuous *bool          `json:"promiscuous"`
	MACChanges  *bool          `json:"mac_changes"`
	Forged      *bool          `json:"forged"`
	Learning    *VLearningRule `json:"learning,omitempty"`
}

// A VLearningRule is the MAC learning in a VSecurity.
type VLearningRule struct {
	Enabled  bool   `json:"enabled"`
	Flooding *bool  `json:"flooding"`
	Limit    *int32 `json:"limit"`
	Policy   string `json:"policy"` // ALLOW or DROP
}

// JSON is the policy in its one form, so that two of them can be compared.
func (s VSecurity) JSON() string {
	b, err := json.Marshal(s)
	if err != nil {
		return "" // unreachable: there is nothing in it that has no JSON
	}
	return string(b)
}

// VSetSecurity is the operation of a CloudCall that gives a port group another
// security policy if it still has the one it is known by. Args: kind, id, from, to
// (as VSecurity.JSON) and version, of which an empty one is not compared.
const VSetSecurity = "vsphere-set-security"

// What vCenter says of a port group, as a CloudObject.
const (
	VObjectSecurity = "security"
	VObjectVersion  = "version"
)

// A VSetting is a policy that holds, and the level that it comes from.
type VSetting struct {
	Allowed Maybe[bool]
	// From is "port", "port group" or "switch"; empty where it is not known.
	From string
}

// A VLearning is the MAC learning of a distributed port group.
type VLearning struct {
	Enabled bool
	// Flooding delivers frames to addresses that were not learnt.
	Flooding Maybe[bool]
	// Limit is how many addresses a port learns, and Drop what becomes of frames
	// from further ones.
	Limit Maybe[int]
	Drop  Maybe[bool]
}

// VLANs are what a port group does with VLAN tags.
type VLANs struct {
	// ID is the VLAN that it tags its guests' frames with, 0 for none; guests'
	// own tags then do not pass.
	ID int
	// Trunk are the ranges of guests' own tags that pass; nil unless it is a trunk.
	Trunk []VLANRange
	// Private is a private VLAN.
	Private bool
}

// A VLANRange is a range of VLAN ids, both ends included.
type VLANRange struct{ From, To int }

// Carries reports whether frames that a guest tags with id pass; with id 0,
// whether frames without a tag do.
func (v VLANs) Carries(id int) bool {
	if v.Trunk == nil {
		return id == 0
	}
	return id == 0 || slices.ContainsFunc(v.Trunk, func(r VLANRange) bool { return r.From <= id && id <= r.To })
}

// Kinds of a CloudRef that vCenter keeps.
const (
	// VStandardGroup is a port group of a standard switch on one host; its id is
	// that host's network system, a slash and the group's name.
	VStandardGroup = "vsphere-standard-group"
	// VDistributedGroup is a distributed port group.
	VDistributedGroup = "vsphere-distributed-group"
)
