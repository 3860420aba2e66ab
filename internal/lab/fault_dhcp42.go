package lab

import "context"

// dhcp42 is a guest that does not ask.
func dhcp42() []Fault {
	want := Want{State: proven, Cause: "DHCP-42"}
	return []Fault{
		{
			ID: "DHCP-42", Variant: "silent", Want: want, Doc: "web-1 runs no DHCP client",
			Inject: func(ctx context.Context, l *Lab) error { return l.VM(Web1).StopAsking(ctx) },
			Heal:   func(ctx context.Context, l *Lab) error { return l.VM(Web1).Renew(ctx) },
		},
		{
			ID: "DHCP-42", Variant: "no-carrier", Want: want, Doc: "web-1's interface is down: its tap has no carrier",
			Inject: func(ctx context.Context, l *Lab) error {
				if err := l.VM(Web1).StopAsking(ctx); err != nil {
					return err
				}
				return guestLink(ctx, l, "down")
			},
			Heal: func(ctx context.Context, l *Lab) error {
				if err := guestLink(ctx, l, "up"); err != nil {
					return err
				}
				return l.VM(Web1).Renew(ctx)
			},
		},
	}
}

func guestLink(ctx context.Context, l *Lab, state string) error {
	_, err := l.VM(Web1).Run(ctx, "ip", "link", "set", "eth0", state)
	return err
}
