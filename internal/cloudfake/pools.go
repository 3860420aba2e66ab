package cloudfake

import (
	"math/big"
	"net/netip"
	"slices"
)

// pools returns the subnet's allocation pools, made up where it has none.
func (s *Subnet) pools() []Pool {
	if s.Pools != nil {
		return s.Pools
	}
	p, err := netip.ParsePrefix(s.CIDR)
	if err != nil {
		return nil
	}
	var first netip.Addr
	last := p.Masked().Addr()
	for i := 1; i < 200 && p.Contains(last.Next()); i++ {
		last = last.Next()
		if i == 10 {
			first = last
		}
	}
	if !first.IsValid() {
		return nil
	}
	return []Pool{{first.String(), last.String()}}
}

// bounds returns the ends of a pool; ok is false when they are no addresses or
// the wrong way round.
func (p Pool) bounds() (start, end netip.Addr, ok bool) {
	start, err := netip.ParseAddr(p.Start)
	if err != nil {
		return start, end, false
	}
	end, err = netip.ParseAddr(p.End)
	return start, end, err == nil && start.BitLen() == end.BitLen() && start.Compare(end) <= 0
}

// size counts the addresses of a pool.
func (p Pool) size() *big.Int {
	start, end, ok := p.bounds()
	if !ok {
		return new(big.Int)
	}
	n := new(big.Int).Sub(new(big.Int).SetBytes(end.AsSlice()), new(big.Int).SetBytes(start.AsSlice()))
	return n.Add(n, big.NewInt(1))
}

// has tells whether an address is in the pool.
func (p Pool) has(addr netip.Addr) bool {
	start, end, ok := p.bounds()
	return ok && addr.BitLen() == start.BitLen() && start.Compare(addr) <= 0 && addr.Compare(end) <= 0
}

// FreeAddress returns an address of the subnet's pools that no port has, and
// the wished for one if it is such; ok is false when every address is taken.
func (m *Model) FreeAddress(subnetID, wish string) (address string, ok bool) {
	i := slices.IndexFunc(m.Subnets, func(s Subnet) bool { return s.ID == subnetID })
	if i < 0 {
		return "", false
	}
	taken := map[netip.Addr]bool{}
	for _, a := range m.allocations(subnetID) {
		if addr, err := netip.ParseAddr(a); err == nil {
			taken[addr] = true
		}
	}
	pools := m.Subnets[i].pools()
	if w, err := netip.ParseAddr(wish); err == nil && !taken[w] && slices.ContainsFunc(pools, func(p Pool) bool { return p.has(w) }) {
		return wish, true
	}
	for _, p := range pools {
		start, end, valid := p.bounds()
		for a := start; valid && a.Compare(end) <= 0; a = a.Next() {
			if !taken[a] {
				return a.String(), true
			}
		}
	}
	return "", false
}

// allocations are the addresses of a subnet that ports have.
func (m *Model) allocations(subnetID string) []string {
	var all []string
	for i := range m.Ports {
		for _, ip := range m.Ports[i].FixedIPs {
			if ip.SubnetID == subnetID {
				all = append(all, ip.Address)
			}
		}
	}
	return all
}

// ipAvailabilities says how full the networks are: every address that a port
// has counts as used, whether it is of a pool or not, and the pools are the
// total.
func (q *call) ipAvailabilities() []rendered {
	m := q.model()
	var all []rendered
	for i := range m.Networks {
		n := &m.Networks[i]
		total, used := new(big.Int), 0
		subnets := []any{}
		for j := range m.Subnets {
			s := &m.Subnets[j]
			if s.NetworkID != n.ID {
				continue
			}
			subnetTotal, subnetUsed := new(big.Int), len(m.allocations(s.ID))
			for _, p := range s.pools() {
				subnetTotal.Add(subnetTotal, p.size())
			}
			total.Add(total, subnetTotal)
			used += subnetUsed
			subnets = append(subnets, object{
				"subnet_id": s.ID, "subnet_name": s.Name, "ip_version": s.version(), "cidr": s.CIDR,
				"total_ips": subnetTotal, "used_ips": subnetUsed,
			})
		}
		all = append(all, rendered{visible: q.admin(), object: object{
			"network_id": n.ID, "network_name": n.Name, "tenant_id": n.ProjectID, "project_id": n.ProjectID,
			"total_ips": total, "used_ips": used, "subnet_ip_availability": subnets,
		}})
	}
	return all
}

// version is 4 or 6.
func (s *Subnet) version() int {
	if p, err := netip.ParsePrefix(s.CIDR); err == nil && p.Addr().Is6() {
		return 6
	}
	return 4
}
