package lab

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
)

// A Distro says where the machines keep their firewall rules.
type Distro string

// Distros.
const (
	RHEL   Distro = "rhel"   // /etc/sysconfig/iptables, unit iptables
	Debian Distro = "debian" // /etc/iptables/rules.v4, unit netfilter-persistent
)

// A Backend is the kernel interface that the machines' iptables speaks.
type Backend string

// Backends.
const (
	NFT    Backend = "iptables-nft"
	Legacy Backend = "iptables-legacy"
)

// A Style says how Neutron accepts trusted (DHCP) ports.
type Style string

// Styles.
const (
	NewStyle Style = "new" // both directions: Neutron 13 and later
	OldStyle Style = "old" // only --physdev-out: Neutron 12, LP#1762736
)

// A VXLANMode says how the VXLAN devices of the linuxbridge agents find one
// another.
type VXLANMode string

// Modes of VXLAN.
const (
	NoVXLAN   VXLANMode = ""
	Multicast VXLANMode = "multicast"    // what has no known place goes to a group
	L2Pop     VXLANMode = "l2population" // Neutron fills in where everything is
)

// Options say what lab to make. The zero value is a healthy cloud with one
// controller, RHEL paths, iptables-nft and a recent Neutron.
type Options struct {
	Distro           Distro  // RHEL when empty
	Backend          Backend // NFT when empty
	Style            Style   // NewStyle when empty
	SecondController bool    // a second node that serves DHCP
	Flat             bool    // a flat network on physnet2 with the guest flat-1
	TwoPorts         bool    // web-1 has a second NIC, on payments-db-net
	// VXLAN adds tenant networks of that type with the guests vx-1, vx-2 and vx-3.
	VXLAN VXLANMode
	// IPv6 gives payments-net an IPv6 subnet and a router on controller01.
	IPv6 IPv6Mode
	// User is the login in the written ssh_config: root when empty, or
	// whyprobe, with sudo for what whybot looks at (FixUser then changes the
	// nodes), or nosudo.
	User string
	// Parent is the directory that holds the labs' directories; /run/whylab
	// when empty. Sweep must be given the same one.
	Parent string
	// Log receives what the lab does; nil is silence.
	Log *slog.Logger
}

// DefaultParent is where labs live when Options.Parent is empty.
const DefaultParent = "/run/whylab"

// Logins of every machine. FixUser has a key of its own, and no ssh_config.
const (
	probeUser  = "whyprobe"
	nobodyUser = "nosudo"
	FixUser    = "whyfix"
)

// users are the logins with an ssh_config.
var users = []string{"root", probeUser, nobodyUser}

func (o Options) withDefaults() (Options, error) {
	if o.Distro == "" {
		o.Distro = RHEL
	}
	if o.Backend == "" {
		o.Backend = NFT
	}
	if o.Style == "" {
		o.Style = NewStyle
	}
	if o.User == "" {
		o.User = "root"
	}
	if o.Parent == "" {
		o.Parent = DefaultParent
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, errors.Join(
		oneOf("distro", o.Distro, RHEL, Debian),
		oneOf("backend", o.Backend, NFT, Legacy),
		oneOf("style", o.Style, NewStyle, OldStyle),
		oneOf("vxlan", o.VXLAN, NoVXLAN, Multicast, L2Pop),
		oneOf("ipv6", o.IPv6, NoIPv6, SLAAC, Stateful),
		oneOf("user", o.User, users...),
		rootOnly(),
	)
}

func oneOf[T ~string](what string, got T, allowed ...T) error {
	if slices.Contains(allowed, got) {
		return nil
	}
	return fmt.Errorf("lab: %s %q is not one of %q", what, got, allowed)
}

func rootOnly() error {
	if os.Geteuid() != 0 {
		return errors.New("lab: needs root: it makes namespaces, mounts and devices")
	}
	return nil
}

// rulesFile is where the distribution keeps the rules that survive a reboot.
func (o Options) rulesFile() string {
	if o.Distro == Debian {
		return "/etc/iptables/rules.v4"
	}
	return "/etc/sysconfig/iptables"
}

// systemLog is the distribution's system log.
func (o Options) systemLog() string {
	if o.Distro == Debian {
		return "/var/log/syslog"
	}
	return "/var/log/messages"
}

// agentLog is where an agent of the distribution's packages writes its log.
func (o Options) agentLog(agent string) string {
	return "/var/log/neutron/" + o.logPrefix() + agent + ".log"
}

func (o Options) logPrefix() string {
	if o.Distro == Debian {
		return "neutron-"
	}
	return ""
}
