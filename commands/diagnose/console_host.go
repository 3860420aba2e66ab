package diagnose

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

// ConsoleHostGone is CONS-04: nobody answers at the address.
var ConsoleHostGone = register(&commands.Diagnosis{
	Name:  "CONS-04",
	Title: "Nobody answers at the address that the compute node gave to Nova",
	Doc: `A connection from the proxy's own node failed with EHOSTUNREACH after the seconds in
which its kernel asked for the address's MAC in vain, and the neighbour's entry says
FAILED: the host is down there, or the address is not its own. A firewall's REJECT
makes the same error at once, and from a neighbour that answers.`,
	Explains: consoles,
	Probes:   vncProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		proxies, err := p.Proxies()
		errs := []error{err}
		for _, n := range proxies {
			d, err := p.Dial(n)
			if err != nil || d.Errno != node.HostUnreachable {
				continue // CONS-01 says why it was not tried
			}
			way, err := p.Way(n)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if f, ok := hostGone(p, n, d, way); ok {
				p.Report(f)
			}
		}
		return errors.Join(errs...)
	},
})

// hostGone is the finding about an address that does not answer.
func hostGone(p *commands.Pass, proxy string, d node.Dial, way node.Way) (commands.Finding, bool) {
	f := commands.Finding{
		State: commands.Proven, Node: guestNode(p), Edge: p.ConsoleEdge(proxy), Evidence: p.DialEvidence(proxy),
		Summary: fmt.Sprintf("%s does not answer ARP for %s on %s of %s (%s): it is down there, or the address is another's", guestNodeName(p), way.Address, way.Device, proxy, d),
		Advice:  []string{"Look at " + guestNodeName(p) + " and its NIC of that network; all consoles of its guests are cut off."},
	}
	switch {
	case way.Failed():
	case way.Gateway.IsValid() && d.Took >= atOnce:
		f.State, f.Missing = commands.Probable, fmt.Sprintf("which router says so, and whether it is the host or the way to it: traceroute %s on %s", way.Address, proxy)
		f.Summary = fmt.Sprintf("A router between %s and %s says that %s cannot be reached (%s)", proxy, guestNodeName(p), way.Address, d)
	default:
		return f, false
	}
	text, err := p.Text(guestNode(p), node.AddressProbe().Name)
	if own, bad := node.ParseAddresses(text); err == nil && bad == nil && way.Address.Is4() && own.Holder(way.Address) == "" {
		f.Summary += fmt.Sprintf("; %s has no such address", guestNodeName(p))
		f.Evidence = append(f.Evidence, p.Evidence(guestNode(p), node.AddressProbe(), text))
		f.Advice = append(f.Advice, "Set [vnc] server_proxyclient_address in nova.conf of "+guestNodeName(p)+" to an address of its own that the proxies reach, and restart nova-compute.")
	}
	return f, true
}

// ConsoleLoopback is CONS-05: the proxy is sent to itself.
var ConsoleLoopback = register(&commands.Diagnosis{
	Name:  "CONS-05",
	Title: "The proxy is told to connect to itself instead of the compute node",
	Doc: `Nova keeps a loopback address for the guest's console, the default of
server_proxyclient_address, and the proxy runs on another node than the guest. Where
both are on one node that is as it should be.`,
	Explains: consoles,
	Probes:   vncProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		door, err := p.Door()
		if err != nil {
			return dialError(p, err)
		}
		if !commands.Loopback(door.Host) {
			p.Good(commands.Hop{}, "Nova sends the proxy to "+p.DoorName(), "nova: GET os-console-auth-tokens")
			return nil
		}
		proxies, err := p.Proxies()
		f := commands.Finding{
			State: commands.Proven, Node: guestNode(p),
			Summary: fmt.Sprintf("Nova sends the console proxy to %s for a guest on %s: to the proxy's own node", p.DoorName(), guestNodeName(p)),
			Evidence: append([]commands.Evidence{{Source: "nova: GET os-console-auth-tokens", Text: fact("host", door.Host) + fact("port", door.Port)}},
				settingsEvidence(p, guestNode(p))...),
			Advice: []string{
				"In nova.conf of " + guestNodeName(p) + ", [vnc] server_proxyclient_address = an address of its own that the proxies reach (127.0.0.1 is the default); then restart nova-compute.",
				"A console that is opened after that gets the new address. Where [vnc] server_listen is a loopback address too, guests that run listen there until they are rebooted hard or migrated.",
			},
		}
		switch apart := awayFrom(proxies, guestNode(p)); {
		case apart != "":
			f.Edge = p.ConsoleEdge(apart)
		case err == nil && len(proxies) > 0:
			return nil // on one node
		case err == nil:
			return nil // CONS-08
		default:
			f.State, f.Missing = commands.Probable, "on which node the console proxy runs"
		}
		p.Report(f)
		return err
	},
})

// awayFrom returns a proxy that is on another node; empty without one, and where
// the guest's is not known.
func awayFrom(proxies []string, guest string) string {
	for _, n := range proxies {
		if guest != "" && n != guest {
			return n
		}
	}
	return ""
}

// ConsoleListen is CONS-06: the VNC server does not listen where it is asked.
var ConsoleListen = register(&commands.Diagnosis{
	Name:  "CONS-06",
	Title: "The guest's VNC server listens on another address",
	Doc: `A connection from the proxy's own node was refused, and on the compute node the
guest's port is listened on, at another address than the proxy is sent to:
server_listen is a loopback address. Refused with nobody on the port is another
matter.`,
	Explains: consoles,
	Probes:   vncProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		proxies, err := p.Proxies()
		errs := []error{err}
		for _, n := range proxies {
			d, err := p.Dial(n)
			if err != nil || d.Errno != node.Refused {
				continue
			}
			f, ok, err := listensElsewhere(p, n, d)
			if errs = append(errs, err); ok {
				p.Report(f)
			}
		}
		return errors.Join(errs...)
	},
})

func listensElsewhere(p *commands.Pass, proxy string, d node.Dial) (commands.Finding, bool, error) {
	way, err := p.Way(proxy)
	if err != nil {
		return commands.Finding{}, false, err
	}
	all, err := p.Listeners(guestNode(p))
	if err != nil {
		return commands.Finding{}, false, err
	}
	door, _ := p.Door() // it was connected to
	on := listenersOn(all, door.Port)
	var where []string
	for _, l := range on {
		if l.Takes(way.Address) {
			return commands.Finding{}, false, nil
		}
		where = append(where, l.Address.String())
	}
	if len(on) == 0 {
		return commands.Finding{}, false, nil
	}
	return commands.Finding{
		State: commands.Proven, Node: guestNode(p), Edge: p.ConsoleEdge(proxy),
		Summary: fmt.Sprintf("On %s, port %d is listened on at %s only, and %s connects to %s (%s)", guestNode(p), door.Port, strings.Join(where, " and "), proxy, p.DoorName(), d),
		Evidence: append(append(p.DialEvidence(proxy), listenerEvidence(p, guestNode(p), door.Port, on)),
			settingsEvidence(p, guestNode(p))...),
		Advice: []string{
			"In nova.conf of " + guestNode(p) + ", [vnc] server_listen = 0.0.0.0, or the address that the proxies connect to; then restart nova-compute.",
			"A guest that runs keeps what is in its libvirt domain: reboot it hard (openstack server reboot --hard " + p.Console.Server.ID + ") or migrate it. That is an interruption, so it is nothing for a button.",
		},
	}, true, nil
}

// ConsoleGuestOff is CONS-15: Nova makes no console of the server.
var ConsoleGuestOff = register(&commands.Diagnosis{
	Name:  "CONS-15",
	Title: "There is no console to open: Nova refuses it, or the guest is off",
	Doc: `Nova answers the request for a console with 409 (the instance is not ready) or 400
(no console of that type), or the server's state is one in which its guest has no
process. A server that is paused, rescued or in error may have its console.`,
	Explains: consoles,
	Run: func(_ context.Context, p *commands.Pass) error {
		offer, known := p.Console.Offer.Get()
		s := p.Console.Server
		status := commands.Evidence{Source: "nova: GET servers/" + s.ID, Text: fact("status", s.Status) + fact("OS-EXT-STS:task_state", s.TaskState)}
		f := commands.Finding{State: commands.Proven, Evidence: []commands.Evidence{status}}
		switch {
		case offer.Refusal != "":
			f.Summary = fmt.Sprintf("Nova makes no console of %s (%s): %s", s.Name, s.Status, strings.TrimSuffix(offer.Refusal, "."))
			f.Evidence = append(f.Evidence, commands.Evidence{Source: fmt.Sprintf("nova: POST servers/%s/remote-consoles: %d", s.ID, offer.Status), Text: offer.Refusal + "\n"})
			f.Advice = []string{"openstack console log show " + s.ID + " shows what the guest printed, without a console."}
			if offer.Status == 400 {
				f.Advice = append(f.Advice, "Is [vnc] enabled in nova.conf of "+guestNodeName(p)+"? Guests that were started without it have no VNC server; with [spice] or [serial_console] ask for that kind.")
			}
		case p.ConsoleOff():
			f.Summary = fmt.Sprintf("%s is %s: its guest has no process, so there is nothing to show", s.Name, s.Status)
			f.Advice = []string{"Start it first: openstack server start " + s.ID + " (unshelve or resume, as its state asks)."}
		case !known:
			return notShown("nova", "POST servers/"+s.ID+"/remote-consoles", p.Console.Offer.Why())
		default:
			p.Good(commands.Hop{}, "Nova makes a console of the server", "nova: POST remote-consoles")
			if s.Status != "ACTIVE" {
				p.Remark(fmt.Sprintf("Nova says that %s is %s: what its console shows may stand still.", s.Name, strings.TrimSpace(s.Status+" "+s.TaskState)))
			}
			return nil
		}
		p.Report(f)
		return nil
	},
})

// proxiesElsewhere is why where the proxies are is not known; nil when it is.
func proxiesElsewhere(p *commands.Pass) error {
	if _, known := p.Console.Machines.Get(); !known {
		return &runners.Error{Runner: "openstack", Target: "nova", Op: "the nodes that may run the console proxy", Hint: p.Console.Machines.Why()}
	}
	return nil
}
