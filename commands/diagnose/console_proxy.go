package diagnose

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

// ConsoleProxyDown is CONS-08: no proxy takes browsers' connections.
var ConsoleProxyDown = register(&commands.Diagnosis{
	Name:  "CONS-08",
	Title: "The console proxy does not run, or does not listen",
	Doc: `Every node that controls the cloud was looked at, nova-novncproxy runs on none, and
where its unit is installed systemd says that it does not run; or it runs and nothing
listens on its port. Where another one runs it is told, and is not the cause by itself.`,
	Explains: consoles,
	Probes:   proxyProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		if err := proxiesElsewhere(p); err != nil {
			return err
		}
		proxies, blind := p.Proxies()
		machines, _ := p.Console.Machines.Get()
		errs := []error{blind}
		var stopped, deaf []string
		evidence := map[string]commands.Evidence{}
		for _, n := range machines {
			var found bool
			var e commands.Evidence
			var err error
			if slices.Contains(proxies, n) {
				if e, found, err = deafProxy(p, n); found {
					deaf = append(deaf, n)
				}
			} else if runs, unread := p.RunsProxy(n); !runs && unread == nil {
				if e, found, err = stoppedProxy(p, n); found {
					stopped = append(stopped, n)
				}
			}
			evidence[n] = e
			errs = append(errs, err)
		}
		if len(stopped)+len(deaf) == 0 {
			if len(proxies) == 0 && errors.Join(errs...) == nil {
				p.Report(noProxy(p, machines))
			}
			return errors.Join(errs...)
		}
		works := len(proxies) > len(deaf)
		for _, n := range slices.Concat(stopped, deaf) {
			f := proxyFinding(p, n, slices.Contains(deaf, n), evidence[n])
			f.Aside = works
			if !works && errors.Join(errs...) != nil {
				f.State, f.Missing = commands.Probable, "whether the proxy runs on the other nodes"
			}
			p.Report(f)
		}
		return errors.Join(errs...)
	},
})

// deafProxy reports whether a proxy that runs does not listen.
func deafProxy(p *commands.Pass, nodeName string) (commands.Evidence, bool, error) {
	all, err := p.Listeners(nodeName)
	if err != nil {
		return commands.Evidence{}, false, err
	}
	port := proxyPort(p, nodeName)
	on := listenersOn(all, port)
	if len(on) > 0 {
		p.Good(commands.Hop{Node: nodeName}, fmt.Sprintf("%s runs and port %d is listened on", node.ConsoleProxy, port), on[0].Line)
	}
	return listenerEvidence(p, nodeName, port, on), len(on) == 0, nil
}

// stoppedProxy reports whether a node has the proxy's unit, and it does not run.
func stoppedProxy(p *commands.Pass, nodeName string) (commands.Evidence, bool, error) {
	text, err := p.Text(nodeName, node.ConsoleUnitsProbe().Name)
	if err != nil {
		return commands.Evidence{}, false, err
	}
	units, err := node.ParseUnits(text, len(node.ConsoleUnits))
	if err != nil {
		return commands.Evidence{}, false, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: node.ConsoleUnitsProbe().Name, Hint: err.Error(), Err: err}
	}
	installed := slices.ContainsFunc(units, func(u node.Unit) bool { return u.Load == "loaded" })
	return p.Evidence(nodeName, node.ConsoleUnitsProbe(), text), installed, nil
}

func proxyFinding(p *commands.Pass, nodeName string, deaf bool, e commands.Evidence) commands.Finding {
	port := proxyPort(p, nodeName)
	f := commands.Finding{
		State: commands.Proven, Node: nodeName, Evidence: []commands.Evidence{e},
		Edge:    commands.Edge{From: commands.Hop{Device: "browser", Kind: commands.HopServer}, To: commands.Hop{Node: nodeName, Device: fmt.Sprintf("novncproxy:%d", port), Kind: commands.HopServer}, Direction: commands.Request},
		Summary: fmt.Sprintf("On %s nova-novncproxy is installed and does not run: no browser gets a console from there", nodeName),
		Advice: []string{
			"Start it on " + nodeName + ": systemctl start openstack-nova-novncproxy (Debian: nova-novncproxy); when it ends again, " + node.NovaLogDir + node.ConsoleProxy + ".log says why.",
		},
	}
	if deaf {
		f.Summary = fmt.Sprintf("On %s nova-novncproxy runs and nothing listens on its port %d: no browser gets a console from there", nodeName, port)
		f.Advice = []string{"Its log " + node.NovaLogDir + node.ConsoleProxy + ".log on " + nodeName + " says why it does not listen ([vnc] novncproxy_host and novncproxy_port); then restart it."}
	}
	return f
}

// noProxy is the finding when all nodes were read and none has a proxy.
func noProxy(p *commands.Pass, machines []string) commands.Finding {
	var e []commands.Evidence
	for _, n := range machines {
		e = append(e, p.Evidence(n, node.ConsoleProcessesProbe(), "no process\n"))
	}
	return commands.Finding{
		State: commands.Probable, Evidence: e,
		Summary: fmt.Sprintf("nova-novncproxy runs on none of the nodes that control the cloud (%s), and is installed on none", strings.Join(machines, ", ")),
		Missing: "where it should run: the node behind [vnc] novncproxy_base_url",
	}
}

// ConsoleURLWrong is CONS-07: browsers are sent where no proxy is.
var ConsoleURLWrong = register(&commands.Diagnosis{
	Name:  "CONS-07",
	Title: "Browsers are sent to an address where no console proxy answers",
	Doc: `The address that Nova gives is a loopback address, the default of
novncproxy_base_url: a browser looks for the proxy on its own machine. Or it is an
address of a proxy's node, and nobody listens on its port there while the proxy
listens on another. What does not answer the proxies' nodes otherwise may answer a
browser, and is only probable.`,
	Explains: consoles,
	Probes:   proxyProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		at, ok := p.ConsoleURL()
		if !ok {
			return nil // CONS-15 says why there is none
		}
		f := commands.Finding{
			Node: guestNode(p),
			Evidence: append([]commands.Evidence{{
				Source: "nova: POST servers/" + p.Console.Server.ID + "/remote-consoles", Text: fact("url", urlName(at)+"/...?token=***"),
			}}, settingsEvidence(p, guestNode(p))...),
			Advice: []string{"[vnc] novncproxy_base_url in nova.conf of the compute nodes (" + guestNodeName(p) + " for this guest) is where browsers are sent; set it to what they reach, and restart nova-compute."},
		}
		if commands.Loopback(at.Host) {
			f.State = commands.Proven
			f.Summary = fmt.Sprintf("Nova sends browsers to %s: to the machine that they run on", urlName(at))
			p.Report(f)
			return nil
		}
		proxies, err := p.Proxies()
		failed := 0
		for _, n := range proxies {
			d, err := p.DialURL(n)
			if err != nil || d.Connected {
				continue // a blind attempt says nothing against the address
			}
			failed++
			f.Evidence = append(f.Evidence, commands.Evidence{Source: fmt.Sprintf("%s: a TCP connection to %s:%d", n, at.Host, at.Port), Text: d.String() + "\n"})
			if wrong, e := wrongPort(p, n, at, d); wrong {
				f.State, f.Evidence = commands.Proven, append(f.Evidence, e)
				f.Summary = fmt.Sprintf("Nova sends browsers to %s, an address of %s on which nobody listens on port %d; the proxy there listens on %d", urlName(at), n, at.Port, proxyPort(p, n))
			}
		}
		if failed == 0 || failed < len(proxies) && f.State == "" {
			return err
		}
		if f.State == "" {
			f.State, f.Missing = commands.Probable, "the same from a browser's network: what answers "+urlName(at)+" there"
			f.Summary = fmt.Sprintf("Nova sends browsers to %s, and the nodes of the proxies themselves cannot connect to it", urlName(at))
		}
		p.Report(f)
		return err
	},
})

// urlName is the address for a person.
func urlName(at runners.ConsoleURL) string {
	host := commands.Clean(at.Host, 80)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("%s://%s:%d", at.Scheme, host, at.Port)
}

// wrongPort reports whether the address is the proxy's node's own, nobody listens
// on its port there, and the proxy listens on another.
func wrongPort(p *commands.Pass, proxy string, at runners.ConsoleURL, d node.Dial) (bool, commands.Evidence) {
	text, err := p.Text(proxy, node.AddressProbe().Name)
	own, bad := node.ParseAddresses(text)
	host, name := netip.ParseAddr(at.Host)
	all, unread := p.Listeners(proxy)
	if err != nil || bad != nil || name != nil || unread != nil || d.Errno != node.Refused || own.Holder(host) == "" {
		return false, commands.Evidence{}
	}
	on := listenersOn(all, proxyPort(p, proxy))
	return len(listenersOn(all, at.Port)) == 0 && len(on) > 0, listenerEvidence(p, proxy, proxyPort(p, proxy), on)
}

// ConsoleMixedContent is CONS-17: a page by https opens a console by http.
var ConsoleMixedContent = register(&commands.Diagnosis{
	Name:  "CONS-17",
	Title: "A dashboard by https may not open a console by http",
	Doc: `Nova sends browsers to an http address while the cloud's public endpoints speak
TLS: where the dashboard does too, browsers refuse the console as mixed content and
show an empty frame. How the dashboard is opened is not told by any API, so this stays
probable.`,
	Explains: consoles,
	Run: func(_ context.Context, p *commands.Pass) error {
		at, ok := p.ConsoleURL()
		if !ok || at.Scheme != "http" || commands.Loopback(at.Host) || !p.Console.PublicTLS.Or(false) {
			return nil // that the catalogue is not known keeps no console shut
		}
		p.Report(commands.Finding{
			State:   commands.Probable,
			Summary: fmt.Sprintf("Nova sends browsers to %s, without TLS, while the public addresses of the cloud are https: a dashboard that is https may not show it", urlName(at)),
			Missing: "how the dashboard is opened: with https, the browser's developer console says Mixed Content",
			Evidence: []commands.Evidence{{
				Source: "nova: POST servers/" + p.Console.Server.ID + "/remote-consoles", Text: fact("url", urlName(at)+"/...?token=***"),
			}},
			Advice: []string{"Serve the proxy by TLS ([vnc] novncproxy_base_url = https://..., and [DEFAULT] cert and key on the proxies, or the load balancer's), and restart nova-compute. Until then the address opens in a window of its own."},
		})
		return nil
	},
})
