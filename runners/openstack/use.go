package openstack

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/big"

	"whybot/runners"
)

// An availability is Neutron's answer on how full a network is.
type availability struct {
	Subnets []struct {
		ID    string  `json:"subnet_id"`
		Used  howMany `json:"used_ips"`
		Total howMany `json:"total_ips"`
	} `json:"subnet_ip_availability"`
}

// A howMany is a number of addresses: a subnet of IPv6 may have more than 64 bits
// hold, and is then said to have as many as they do.
type howMany uint64

// UnmarshalJSON implements json.Unmarshaler.
func (c *howMany) UnmarshalJSON(raw []byte) error {
	var number json.Number
	if err := json.Unmarshal(raw, &number); err != nil {
		return err
	}
	n, ok := new(big.Int).SetString(number.String(), 10)
	switch {
	case !ok || n.Sign() < 0:
		return fmt.Errorf("%.40q is no number of addresses", number)
	case n.IsUint64():
		*c = howMany(n.Uint64())
	default:
		*c = math.MaxUint64
	}
	return nil
}

// addressUse reads how full the subnets of a network are. Members get the
// answer that Neutron gives for what does not exist.
func (c *Client) addressUse(ctx context.Context, networkID string) (runners.Maybe[map[string]runners.AddressUse], error) {
	a, err := one[availability](ctx, c, neutron, "network_ip_availability", "network-ip-availabilities", networkID)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return runners.Maybe[map[string]runners.AddressUse]{}, err
	case isKind(err, runners.Hidden), isKind(err, runners.NotFound):
		return runners.NotKnown[map[string]runners.AddressUse]("needs a role that may read network-ip-availabilities (admin)"), nil
	default:
		return runners.NotKnown[map[string]runners.AddressUse](err.Error()), nil
	}
	use := make(map[string]runners.AddressUse, len(a.Subnets))
	for _, s := range a.Subnets {
		use[s.ID] = runners.AddressUse{Used: uint64(s.Used), Total: uint64(s.Total)}
	}
	return runners.Known(use), nil
}
