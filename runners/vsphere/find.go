package vsphere

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"whybot/runners"
)

// Machine finds the virtual machine that a node is, and reads its cards with
// the port groups that they are on. One machine, and no other, must fit: by what
// the firmware tells or, failing that, by what the guest reports, and always by
// the MAC address of a card.
func (c *Client) Machine(ctx context.Context, id runners.MachineID) (runners.VMachine, error) {
	if len(id.MACs) == 0 {
		return runners.VMachine{}, c.fail(runners.Invalid, "find "+id.Node, "the node's MAC addresses are not known", nil)
	}
	looked := false
	for _, s := range searches(id) {
		looked = true
		refs, err := c.search(ctx, s)
		if err != nil {
			return runners.VMachine{}, err
		}
		if len(refs) == 0 {
			continue
		}
		in, err := c.inventory(ctx, refs)
		if err != nil {
			return runners.VMachine{}, err
		}
		fit := slices.DeleteFunc(refs, func(r types.ManagedObjectReference) bool { return !in.is(r, id.MACs) })
		switch len(fit) {
		case 0: // a clone has the same names and other cards
		case 1:
			m := in.machine(fit[0])
			m.FoundBy, m.At = s.by, time.Now()
			return m, c.ports(ctx, in, &m)
		default:
			return runners.VMachine{}, c.fail(runners.Invalid, "find "+id.Node,
				fmt.Sprintf("%d virtual machines have its %s and its MAC address", len(fit), s.by), nil)
		}
	}
	hint := "no virtual machine of this vCenter has its " + strings.Join(names(searches(id)), ", ") + " and one of its MAC addresses"
	if !looked {
		hint = "the node shows nothing by which a virtual machine could be found"
	}
	return runners.VMachine{}, c.fail(runners.NotFound, "find "+id.Node, hint, nil)
}

// A search is one way to look for a machine.
type search struct {
	by, value string
	call      func(ctx context.Context, s *vimSession, value string) ([]types.ManagedObjectReference, error)
}

// searches are the ways to find a node, the one that a guest cannot forge first.
func searches(id runners.MachineID) []search {
	var all []search
	add := func(by, value string, call func(context.Context, *vimSession, string) ([]types.ManagedObjectReference, error)) {
		if value != "" && !slices.ContainsFunc(all, func(s search) bool { return s.value == value }) {
			all = append(all, search{by, value, call})
		}
	}
	add("product_serial", serialUUID(id.Serial), byUUID)
	plain := canonical(id.UUID)
	add("product_uuid", plain, byUUID)
	// Machines of hardware version 13 and later show it with its first three
	// groups in the other byte order.
	add("product_uuid", swapped(plain), byUUID)
	for _, a := range id.Addresses {
		add("address", a, byAddress)
	}
	add("name", id.Name, byName)
	return all
}

func names(all []search) []string {
	var by []string
	for _, s := range all {
		if !slices.Contains(by, s.by) {
			by = append(by, s.by)
		}
	}
	return by
}

func (c *Client) search(ctx context.Context, s search) (refs []types.ManagedObjectReference, err error) {
	err = c.do(ctx, "find by "+s.by, func(ctx context.Context, session *vimSession) error {
		refs, err = s.call(ctx, session, s.value)
		return err
	})
	return refs, err
}

// The calls are those that return all there are: the others return any one.

func byUUID(ctx context.Context, s *vimSession, uuid string) ([]types.ManagedObjectReference, error) {
	r, err := methods.FindAllByUuid(ctx, s, &types.FindAllByUuid{This: *s.ServiceContent.SearchIndex, Uuid: uuid, VmSearch: true})
	if err != nil {
		return nil, err
	}
	return r.Returnval, nil
}

func byAddress(ctx context.Context, s *vimSession, address string) ([]types.ManagedObjectReference, error) {
	r, err := methods.FindAllByIp(ctx, s, &types.FindAllByIp{This: *s.ServiceContent.SearchIndex, Ip: address, VmSearch: true})
	if err != nil {
		return nil, err
	}
	return r.Returnval, nil
}

func byName(ctx context.Context, s *vimSession, name string) ([]types.ManagedObjectReference, error) {
	r, err := methods.FindAllByDnsName(ctx, s, &types.FindAllByDnsName{This: *s.ServiceContent.SearchIndex, DnsName: name, VmSearch: true})
	if err != nil {
		return nil, err
	}
	return r.Returnval, nil
}

// serialUUID reads "VMware-42 1c 5e ... -..." as the UUID that it is. Anything
// else is no serial of VMware's.
func serialUUID(serial string) string {
	digits, ok := strings.CutPrefix(strings.TrimSpace(serial), "VMware-")
	if !ok {
		return ""
	}
	return canonical(strings.NewReplacer(" ", "", "-", "").Replace(digits))
}

// canonical returns a UUID as vCenter writes it, or nothing if it is none.
func canonical(uuid string) string {
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(uuid), "-", ""))
	if err != nil || len(raw) != 16 {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:])
}

// swapped returns a canonical UUID with its first three groups in the other
// byte order.
func swapped(uuid string) string {
	raw, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	if err != nil || len(raw) != 16 {
		return ""
	}
	slices.Reverse(raw[:4])
	slices.Reverse(raw[4:6])
	slices.Reverse(raw[6:8])
	return canonical(hex.EncodeToString(raw))
}
