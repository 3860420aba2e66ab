package commands

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// judgeConsole turns what was found about a console into the verdict, and
// returns the findings that stand, the most important first. What a live
// connection shows is proven; the first of it is named, and the others besides.
func judgeConsole(p *Pass, findings []Finding, unseen []Blind) (Verdict, []Finding) {
	findings = byCertainty(findings)
	first := slices.IndexFunc(findings, func(f Finding) bool { return !f.Aside })
	if first < 0 {
		return p.consoleClear(unseen), findings
	}
	if failed, ok := p.deadConnection(); ok && findings[first].State != Proven && findings[first].Edge == (Edge{}) {
		// What is only likely does not explain a connection that was seen to fail.
		failed.Summary += fmt.Sprintf(" Besides, %s (%s) is %s.", findings[first].Cause, findings[first].Title, findings[first].State)
		return failed, findings
	}
	named := volumeRoot(findings, first)
	v := rooted(findings[named], findings[first])
	var besides []string
	for i, f := range findings {
		if i != named && !f.Aside && f.State == Proven && volumeRoot(findings, i) != named {
			besides = append(besides, fmt.Sprintf("%s (%s)", f.Cause, f.Title))
		}
	}
	if len(besides) > 0 {
		v.Summary = strings.TrimSuffix(v.Summary, ".") + ". In its way too: " + strings.Join(besides, ", ") + "."
	}
	return v, findings
}

// deadConnection is the verdict on a connection that failed, or came to nothing,
// for a reason that was not found.
func (p *Pass) deadConnection() (Verdict, bool) {
	proxies, _ := p.Proxies()
	for _, n := range proxies {
		d, err := p.Dial(n)
		if err != nil || d.Greeted {
			continue
		}
		host := p.Console.Server.Host.Or("the compute node")
		v := Verdict{
			State: Unclear, Title: "The proxy cannot connect to the guest's console", Edge: p.ConsoleEdge(n).JSON(),
			Summary: fmt.Sprintf("From %s, where the console proxy runs, a connection to %s on %s came to: %s.", n, p.DoorName(), host, d),
			Missing: fmt.Sprintf("why: what listens on %s (ss -lntp), and what stands between it and %s", host, n),
		}
		if d.Connected {
			v.Title = "The guest's console takes connections and says nothing"
			v.Missing = "what has the port: ss -lntp on " + host + "; a VNC server greets at once, unless its process hangs"
		}
		return v, true
	}
	return Verdict{}, false
}

// consoleClear is the verdict when nothing was found.
func (p *Pass) consoleClear(unseen []Blind) Verdict {
	if v, failed := p.deadConnection(); failed {
		return v
	}
	proxies, err := p.Proxies()
	if err != nil || len(proxies) == 0 {
		if err == nil {
			err = errors.New("the console proxy runs on none of the nodes that control the cloud")
		}
		if len(unseen) == 0 {
			unseen = []Blind{{What: "the console proxy", Why: publicWhy(err)}}
		}
	}
	for _, n := range proxies {
		if _, err := p.Dial(n); err != nil && len(unseen) == 0 {
			unseen = []Blind{{Node: n, What: "a connection from " + n, Why: shortWhy(err)}}
		}
	}
	name := Clean(p.Console.Server.Name, 80)
	if len(unseen) > 0 {
		hidden := fmt.Sprintf("%s (%s)", unseen[0].What, unseen[0].Why)
		v := Verdict{State: Unclear, Title: "Not enough could be seen", Missing: hidden}
		v.Summary = fmt.Sprintf("Nothing that was read keeps the console of %s from opening, but not everything could be: %s", name, hidden)
		if n := len(unseen) - 1; n > 0 {
			v.Summary += fmt.Sprintf(", and %d more", n)
		}
		v.Summary += "."
		return v
	}
	at, _ := p.ConsoleURL()
	return Verdict{
		State: Healthy, Title: "The console answers its proxies",
		Summary: fmt.Sprintf("Nova makes a console of %s, and from %s, where the proxy runs, %s answers as a VNC server. What is left is the way of a browser to %s://%s:%d.",
			name, strings.Join(proxies, " and "), p.DoorName(), at.Scheme, Clean(at.Host, 80), at.Port),
	}
}
