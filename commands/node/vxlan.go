package node

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"whybot/runners"
)

// A VXLAN is what a VXLAN link says of its tunnel.
type VXLAN struct {
	// Dev is the device below it; empty when routing decides.
	Dev string
	// Group is where frames go whose place is not known: a multicast group, or
	// one peer (remote). The zero Addr is neither.
	Group netip.Addr
	// Local is the address the link was told to send from; the zero Addr leaves
	// it to Dev.
	Local netip.Addr
	// Port is the UDP port it sends to and listens on; 0 is not known.
	Port int
	// FixedSource says that packets come from few UDP ports of the operator's
	// choice, which may then be Port itself.
	FixedSource bool
	// NoLearning says that it takes no places from the frames that arrive.
	NoLearning bool
}

// parseVXLAN reads `vxlan id 1207 group 224.0.0.1 dev eth1 srcport 0 0 dstport
// 8472 ttl auto ageing 300`.
func parseVXLAN(words []string) *VXLAN {
	v := &VXLAN{Dev: after(words, "dev")}
	for _, key := range []string{"group", "group6", "remote", "remote6"} {
		if a, err := netip.ParseAddr(after(words, key)); err == nil {
			v.Group = a
		}
	}
	for _, key := range []string{"local", "local6"} {
		if a, err := netip.ParseAddr(after(words, key)); err == nil {
			v.Local = a
		}
	}
	v.Port, _ = strconv.Atoi(after(words, "dstport"))
	low := after(words, "srcport")
	v.FixedSource = low != "" && low != "0"
	for _, w := range words {
		v.NoLearning = v.NoLearning || w == "nolearning"
	}
	return v
}

// AddressProbe lists the node's IPv4 addresses, a line each.
func AddressProbe() runners.Probe {
	return runners.Probe{Name: "addresses", Argv: []string{"ip", "-o", "-4", "addr", "show"}}
}

// Addresses are a node's addresses by device.
type Addresses map[string][]netip.Addr

// ParseAddresses reads `ip -o -4 addr show`. Text without any address is an
// error: every node has its loopback.
func ParseAddresses(text string) (Addresses, error) {
	all := Addresses{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 4 || words[2] != "inet" {
			continue
		}
		address, _, _ := strings.Cut(words[3], "/")
		a, err := netip.ParseAddr(address)
		if err != nil {
			return nil, fmt.Errorf("not an address: %.60q", words[3])
		}
		all[words[1]] = append(all[words[1]], a)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no address in %d bytes of text", len(text))
	}
	return all, nil
}

// Holder returns the device that has an address; empty when none does.
func (as Addresses) Holder(a netip.Addr) string {
	for device, list := range as {
		for _, have := range list {
			if have == a {
				return device
			}
		}
	}
	return ""
}

// FDBProbe lists where a VXLAN device sends to.
func FDBProbe(device string) runners.Probe {
	return runners.Probe{Name: "fdb " + device, Argv: []string{"bridge", "fdb", "show", "dev", device}}
}

// Anywhere is the link address whose entries say where to send frames whose
// place is not known, broadcasts above all.
const Anywhere = "00:00:00:00:00:00"

// A Place is one entry of a VXLAN device's forwarding table: frames for MAC go
// to the peer at Peer.
type Place struct {
	MAC  string // lower case
	Peer netip.Addr
	// Permanent says that it was told, not learned.
	Permanent bool
}

// ParsePlaces reads `bridge fdb show dev DEVICE`. Lines without a peer are
// those of the bridge that the device is in.
func ParsePlaces(text string) ([]Place, error) {
	var places []Place
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		peer := after(words, "dst")
		if peer == "" {
			continue
		}
		a, err := netip.ParseAddr(peer)
		if err != nil {
			return nil, fmt.Errorf("not an address: %.60q", peer)
		}
		places = append(places, Place{MAC: strings.ToLower(words[0]), Peer: a, Permanent: words[len(words)-1] == "permanent"})
	}
	return places, nil
}
