package diagnose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/commands/node"
)

// reopen is what a person does about a token.
const reopen = "Close the console's window and open it anew: openstack console url show --novnc "

// ConsoleTokenExpired is CONS-09: the browser came with an old token.
var ConsoleTokenExpired = register(&commands.Diagnosis{
	Name:  "CONS-09",
	Title: "The last browser came with a token that is invalid or has expired",
	Doc: `The last attempt in a proxy's log, at most 15 minutes ago, ended because Nova does not
know its token. A token is good for [consoleauth] token_ttl, 600 s by default; the log
does not say of which guest it was. One that another proxy takes is CONS-10; one that
Nova knows, with another port behind it, CONS-16.`,
	Explains: consoles,
	Probes:   proxyLogProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		return lastFailed(p, func(a node.ConsoleAttempt) bool { return refusedToken(a) && !a.Masked }, func(proxy string, all []node.ConsoleAttempt) {
			p.Report(commands.Finding{
				State: commands.Probable, Node: proxy,
				Summary:  fmt.Sprintf("The last browser that came to the proxy on %s (%s) had a token that is invalid or has expired", proxy, all[len(all)-1].At.UTC().Format("15:04:05 MST")),
				Missing:  "whether it was this console, and whether one that is opened anew works",
				Evidence: []commands.Evidence{attemptLines(p, proxy, all)},
				Advice:   []string{reopen + p.Console.Server.ID},
			})
		})
	},
})

// ConsolePortChanged is CONS-16: what is behind the token has changed.
var ConsolePortChanged = register(&commands.Diagnosis{
	Name:  "CONS-16",
	Title: "The guest's console moved after the browser got its token",
	Doc: `The last attempt in a proxy's log, at most 15 minutes ago, ended because Nova knows
its token, and the compute node says that the port behind it is no longer that guest's:
it was migrated, or rebooted hard. Nova masks the token in that line, and only there.`,
	Explains: consoles,
	Probes:   proxyLogProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		return lastFailed(p, func(a node.ConsoleAttempt) bool { return refusedToken(a) && a.Masked }, func(proxy string, all []node.ConsoleAttempt) {
			p.Report(commands.Finding{
				State: commands.Probable, Node: proxy,
				Summary:  fmt.Sprintf("The last browser that came to the proxy on %s (%s) had a token of a console that has another port or node by now", proxy, all[len(all)-1].At.UTC().Format("15:04:05 MST")),
				Missing:  "whether it was this console, and whether one that is opened anew works",
				Evidence: []commands.Evidence{attemptLines(p, proxy, all)},
				Advice:   []string{reopen + p.Console.Server.ID},
			})
		})
	},
})

// ConsoleTokensApart is CONS-10: proxies do not know the same tokens.
var ConsoleTokensApart = register(&commands.Diagnosis{
	Name:  "CONS-10",
	Title: "The console proxies do not know the same tokens",
	Doc: `One proxy refused a token within 15 minutes that another one took, or one refuses all
of them while another takes all of its: they read different databases (the cell's
since Rocky, memcached of nova-consoleauth before), and a browser gets its console after
some tries. The same token in both logs is proof.`,
	Explains: consoles,
	Probes:   proxyLogProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		proxies, err := p.Proxies()
		errs := []error{err}
		logs := map[string][]node.ConsoleAttempt{}
		for _, n := range proxies {
			all, err := attempts(p, n)
			logs[n], errs = all, append(errs, err)
		}
		for _, refuses := range proxies {
			for _, takes := range proxies {
				state, ok := apart(logs[refuses], logs[takes])
				if refuses == takes || !ok {
					continue
				}
				f := commands.Finding{
					State: state, Node: refuses, Causes: []string{"CONS-09"},
					Summary:  fmt.Sprintf("The proxy on %s refuses tokens while the one on %s takes them: a console opens on some tries only", refuses, takes),
					Evidence: []commands.Evidence{attemptLines(p, refuses, logs[refuses]), attemptLines(p, takes, logs[takes])},
					Advice: []string{
						"Compare [database] and [api_database] connection in nova.conf of both: a proxy must read the database of its guests' cell, so a cloud of several cells has proxies for each.",
						"Before Rocky the tokens are in memcached: [cache] memcache_servers must be the same on all nodes of nova-consoleauth.",
					},
				}
				if state == commands.Probable {
					f.Missing = "one token in both logs: open a console of " + p.Console.Server.Name + " several times, and ask again"
				}
				p.Report(f)
			}
		}
		return errors.Join(errs...)
	},
})

// apart tells whether one proxy refuses what another takes, and how surely.
func apart(refuses, takes []node.ConsoleAttempt) (commands.State, bool) {
	var refused, taken []node.ConsoleAttempt
	for _, a := range refuses {
		if refusedToken(a) && !a.Masked {
			refused = append(refused, a)
		}
	}
	for _, a := range takes {
		if a.Target != "" {
			taken = append(taken, a)
		}
	}
	for _, a := range refused {
		if a.Token != "" && slices.ContainsFunc(taken, func(b node.ConsoleAttempt) bool { return b.Token == a.Token && b.At.After(a.At) }) {
			return commands.Proven, true // it was good still, when it was refused
		}
	}
	many := len(refused) > 1 && len(refused) == len(refuses) && len(taken) > 1 && len(taken) == len(takes)
	return commands.Probable, many
}

// ConsoleOrigin is CONS-11: the proxy does not take the page's origin.
var ConsoleOrigin = register(&commands.Diagnosis{
	Name:  "CONS-11",
	Title: "The console proxy refuses browsers by their Origin",
	Doc: `The last attempt in a proxy's log, at most 15 minutes ago, ended because the Origin
header does not match: a load balancer speaks https and base_url says http, or
browsers come by a name that the proxy does not know. An attempt that went well after
it says that it is over, and one before it that not all browsers are refused.`,
	Explains: consoles,
	Probes:   proxyLogProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		return lastFailed(p, func(a node.ConsoleAttempt) bool {
			return strings.Contains(a.Failure, "Origin header") && strings.Contains(a.Failure, "does not match this host")
		}, func(proxy string, all []node.ConsoleAttempt) {
			at, _ := p.ConsoleURL()
			f := commands.Finding{
				State: commands.Proven, Node: proxy,
				Summary:  fmt.Sprintf("The proxy on %s refuses browsers: %s (base_url is %s)", proxy, strings.TrimSuffix(all[len(all)-1].Failure, "."), urlName(at)),
				Evidence: append([]commands.Evidence{attemptLines(p, proxy, all)}, settingsEvidence(p, proxy)...),
				Advice: []string{
					"Let [vnc] novncproxy_base_url have the scheme and name that browsers use (https where a load balancer speaks TLS), and restart nova-compute.",
					"Have the load balancer pass Host and X-Forwarded-Proto on; or name further origins on the proxies: [console] allowed_origins = NAME, and restart nova-novncproxy.",
				},
			}
			if slices.ContainsFunc(all, func(a node.ConsoleAttempt) bool { return a.Failure == "" }) {
				f.State, f.Missing = commands.Probable, "by which address this browser came: others were let in minutes before"
			}
			p.Report(f)
		})
	},
})
