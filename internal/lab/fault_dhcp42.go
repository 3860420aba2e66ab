package lab

import (
	"context"

	"whybot/internal/cloudfake"
)

// dhcp42 is a guest that does not ask.
func dhcp42() []Fault {
	want := Want{State: proven, Cause: "DHCP-42"}
	return []Fault{
		{
			ID: "DHCP-42", Variant: "silent", Want: want, Doc: "web-1 sends nothing at all, as a guest that hangs",
			Inject: func(ctx context.Context, l *Lab) error {
				if err := l.VM(Web1).StopAsking(ctx); err != nil {
					return err
				}
				return guestIPv6(ctx, l, "1") // or its kernel goes on looking for routers
			},
			Heal: func(ctx context.Context, l *Lab) error {
				if err := guestIPv6(ctx, l, "0"); err != nil {
					return err
				}
				return l.VM(Web1).Renew(ctx)
			},
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
		notRunning("shut-off", "web-1 is shut off: it has no tap", "SHUTOFF", ""),
		notRunning("in-error", "web-1 is in ERROR: it has no tap", "ERROR", ""),
		notRunning("building", "Nova is still building web-1: it has no tap yet", "BUILD", "spawning"),
	}
}

// notRunning is a guest that does not run, for Nova's own reasons.
func notRunning(variant, doc, status, task string) Fault {
	state := func(status, task, port string) func(*cloudfake.Model) {
		return both(changeWebServer(func(s *cloudfake.Server) { s.Status, s.TaskState = status, task }),
			changePort(webPortID, func(p *cloudfake.Port) { p.Status = port }))
	}
	return Fault{
		ID: "DHCP-42", Variant: variant, Doc: doc, Want: Want{State: probable, Cause: "DHCP-42"},
		Inject: inOrder(unplugWeb, neutron(state(status, task, "DOWN"))),
		Heal:   inOrder(neutron(state("", "", "")), plugWeb),
	}
}

func guestIPv6(ctx context.Context, l *Lab, disabled string) error {
	_, err := l.VM(Web1).Run(ctx, "sysctl", "-q", "-w", "net.ipv6.conf.eth0.disable_ipv6="+disabled)
	return err
}

func guestLink(ctx context.Context, l *Lab, state string) error {
	_, err := l.VM(Web1).Run(ctx, "ip", "link", "set", "eth0", state)
	return err
}
