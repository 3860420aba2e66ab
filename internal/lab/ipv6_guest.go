package lab

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// Scope and flags of an address in /proc/net/if_inet6.
const (
	scopeGlobal   = "00"
	flagDADFailed = 0x08
	flagTentative = 0x40
)

// Address6 returns the IPv6 address that the guest has made or leased and may
// use.
func (v *VM) Address6() (ip string, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/if_inet6", v.cell.pid()))
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(text)) {
		if ip, ok := usable6(strings.Fields(line)); ok {
			return ip, true
		}
	}
	return "", false
}

// usable6 reads one line of if_inet6: address, index, prefix length, scope,
// flags and device.
func usable6(f []string) (ip string, ok bool) {
	if len(f) != 6 || f[5] != "eth0" || f[3] != scopeGlobal {
		return "", false
	}
	flags, err := strconv.ParseUint(f[4], 16, 32)
	if err != nil || flags&(flagTentative|flagDADFailed) != 0 {
		return "", false
	}
	b, err := hex.DecodeString(f[0])
	if err != nil || len(b) != net.IPv6len {
		return "", false
	}
	addr, ok := netip.AddrFromSlice(b)
	return addr.String(), ok
}

// WaitAddress6 waits until the guest has an IPv6 address.
func (v *VM) WaitAddress6(ctx context.Context) (ip string, err error) {
	err = until(ctx, "the IPv6 address of "+v.Name, func() bool {
		var ok bool
		ip, ok = v.Address6()
		return ok
	})
	return ip, err
}

// RenewIPv6 makes the guest forget its IPv6 address and ask again; its IPv4
// address stays.
func (v *VM) RenewIPv6(ctx context.Context) error {
	return v.orders(ctx, "stop6", "forget6", "ask6")
}

// AskOftenIPv6 makes the guest ask for its IPv6 address anew every few seconds.
func (v *VM) AskOftenIPv6(ctx context.Context) error {
	return v.orders(ctx, "stop6", "ask6-often")
}
