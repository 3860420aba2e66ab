package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/policy"
	"whybot/config"
)

// policy is the one that the engine asks, whatever the transport.
func (a *app) policy() *policy.Keeper {
	o := policy.Options{
		People: people(a.config.Approvals.People),
		Rule:   func(name string, class commands.Class) commands.Rule { return rule(a.config, name, class) },
	}
	if a.slack != nil {
		o.Directory = a.slack
	}
	return policy.New(o)
}

// rule is what the configuration says about a fix.
func rule(c *config.Config, name string, class commands.Class) commands.Rule {
	r, glass := c.Rule(name, string(class)), c.Approvals.BreakGlass
	return commands.Rule{
		Users: r.Users, Groups: r.Groups, Channels: r.Channels, Needed: r.Needed, AskerMay: r.AskerMayApprove, Expires: r.Expires,
		Terminal: commands.Names{Everyone: r.Terminal.Everyone(), Names: r.Terminal.Names()},
		Glass:    commands.Glass{Users: glass.Users, Terminal: glass.Terminal, Channel: glass.Channel},
	}
}

// people turns the configured lists around: from an identity to its person.
func people(lists map[string][]string) policy.People {
	all := policy.People{}
	for name, ids := range lists {
		for _, id := range ids {
			who := identity(id)
			all[who.Via+":"+who.ID] = name
		}
	}
	return all
}

// identity reads who is meant: terminal:NAME, or a Slack member id.
func identity(text string) commands.Actor {
	if name, ok := strings.CutPrefix(text, "terminal:"); ok {
		return commands.Actor{Via: "terminal", ID: name}
	}
	return commands.Actor{Via: "slack", ID: text}
}

func fixNames() []string {
	var names []string
	for _, f := range fix.All() {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names
}

// policyArgs is the command line of `whybot policy test`.
type policyArgs struct {
	user, channel, fix, asker, class, groups, config string
	glass                                            bool
}

// policy explains a decision without asking Slack: exit code 0 when it is a
// yes.
func (e environment) policy(context.Context) error {
	args, err := e.policyArgs()
	if err != nil {
		return err
	}
	cfg, err := e.load(args.config)
	if err != nil {
		return err
	}
	r, err := args.request(cfg)
	if err != nil {
		return err
	}
	d := policy.Decide(r)
	e.explain(args, r, d)
	if !d.Allowed {
		return silentError{exitFailed}
	}
	return nil
}

func (e environment) policyArgs() (policyArgs, error) {
	var args policyArgs
	words, err := flags("policy", e.args, func(fs *flag.FlagSet) {
		for name, to := range map[string]*string{
			"user": &args.user, "channel": &args.channel, "fix": &args.fix, "asker": &args.asker, "class": &args.class,
			"groups": &args.groups, "config": &args.config,
		} {
			fs.StringVar(to, name, "", "")
		}
		fs.BoolVar(&args.glass, "break-glass", false, "")
	})
	switch {
	case err != nil:
		return args, err
	case !slices.Equal(words, []string{"test"}):
		return args, usageError{errors.New("policy can test, as in: whybot policy test --user U0AAAAAAA --fix delete-rule")}
	case args.user == "":
		return args, usageError{errors.New("policy test needs --user: a Slack member id, or terminal:NAME")}
	case args.fix == "" && args.class == "":
		return args, usageError{fmt.Errorf("policy test needs --fix (one of %s) or --class", strings.Join(fixNames(), ", "))}
	}
	return args, nil
}

// request is the decision that is asked for: a proposal of the fix, made just
// now under the configured rule.
func (args policyArgs) request(cfg *config.Config) (policy.Request, error) {
	class := commands.Class(strings.ToUpper(args.class))
	all := fix.All()
	known := slices.IndexFunc(all, func(f *commands.Fix) bool { return f.Name == args.fix })
	switch {
	case args.fix != "" && known < 0:
		return policy.Request{}, usageError{fmt.Errorf("there is no fix %q; the fixes are %s", args.fix, strings.Join(fixNames(), ", "))}
	case class == "":
		class = all[known].Class
	case !slices.Contains([]commands.Class{commands.F0, commands.F1, commands.F2, commands.F3}, class):
		return policy.Request{}, usageError{fmt.Errorf("there is no class %q; the classes are F0, F1, F2 and F3", args.class)}
	}
	now := time.Now()
	who, in := identity(args.user), rule(cfg, args.fix, class)
	who.Channel = args.channel
	// Somebody who is nobody asked, unless it is said who.
	asker := commands.Actor{Via: "nowhere", ID: "nobody"}
	if args.asker != "" {
		asker = identity(args.asker)
	}
	p := commands.Proposal{
		ID: "fx-", Fix: args.fix, Class: class, Asker: asker, State: commands.Proposed, Approvals: in.Needed, Rule: &in, Created: now, Expires: now.Add(in.Expires),
	}
	account := commands.Account{Standing: commands.Member, Unseen: in.Groups}
	if args.groups != "" {
		account.Groups, account.Unseen = strings.Split(args.groups, ","), nil
	}
	reason := ""
	if args.glass {
		reason = "a test"
	}
	return policy.Request{
		Petition: commands.Petition{Deed: commands.DeedApprove, Who: who, Proposal: p, BreakGlass: args.glass, Reason: reason},
		Rule:     in, People: people(cfg.Approvals.People), Now: now, Accounts: map[commands.Actor]commands.Account{who: account},
	}, nil
}

// explain says what was decided, by which rule, and what it rests on.
func (e environment) explain(args policyArgs, r policy.Request, d policy.Decision) {
	line := func(label, text string) { fmt.Fprintf(e.out, "  %-12s %s\n", label, commands.Clean(text, 300)) }
	why, unseen := d.Why, args.groups == "" && len(r.Rule.Groups) > 0 && r.Who.Via == "slack"
	if !d.Allowed && unseen && strings.Contains(why, "group") {
		why = "Membership in " + strings.Join(r.Rule.Groups, ", ") + " is not known here, and what is not known is refused. Say it with --groups."
	}
	if d.Allowed {
		fmt.Fprintf(e.out, "ALLOWED  %s\n", enough(d))
	} else {
		fmt.Fprintf(e.out, "REFUSED  %s\n", strings.TrimSpace(why+" "+d.Cure))
	}
	line("user", r.Who.Via+" "+r.Who.ID+", as "+r.People.Of(r.Who))
	line("fix", strings.TrimSpace(args.fix+" class "+string(r.Proposal.Class)))
	line("in Slack", slackRule(r.Rule))
	line("in terminal", terminalRule(r.Rule.Terminal))
	line("needed", fmt.Sprintf("%d", max(1, r.Rule.Needed)))
	line("asker", map[bool]string{true: "may approve", false: "may not approve"}[r.Rule.AskerMay])
	line("expires", r.Rule.Expires.String()+" after it was offered")
	if g := r.Rule.Glass; g.Channel != "" {
		line("break-glass", strings.Join(append(slices.Clone(g.Users), prefixed("terminal:", g.Terminal)...), ", ")+"; "+g.Channel+" is told")
	}
	if r.Who.Via == "slack" {
		line("not asked", "Slack: whether the account is active and a full member of this workspace is taken for granted here.")
	}
	if args.asker == "" {
		line("not said", "who asked: taken to be somebody else.")
	}
}

// enough says what the approval of one person comes to.
func enough(d policy.Decision) string {
	if d.Agreed >= d.Needed {
		return "This approval is enough."
	}
	return fmt.Sprintf("This approval counts as %d of the %d that are needed.", d.Agreed, d.Needed)
}

func slackRule(r commands.Rule) string {
	who := strings.Join(append(slices.Clone(r.Users), r.Groups...), ", ")
	switch {
	case who == "":
		return "nobody"
	case len(r.Channels) == 0:
		return who + "; in every channel"
	}
	return who + "; in " + strings.Join(r.Channels, ", ")
}

func terminalRule(n commands.Names) string {
	switch {
	case n.Everyone:
		return "everyone who can read the configuration and open the store"
	case len(n.Names) == 0:
		return "nobody"
	}
	return strings.Join(n.Names, ", ")
}

func prefixed(prefix string, names []string) []string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = prefix + n
	}
	return all
}
