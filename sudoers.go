package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"whybot/commands/diagnose"
	"whybot/commands/fix"
	"whybot/commands/sudoers"
	"whybot/runners/ssh"
)

// nodeCommands is all that whybot runs on nodes.
func nodeCommands() sudoers.Source {
	return sudoers.Source{Diagnoses: diagnose.All(), Kinds: fix.Kinds(), Capture: ssh.CaptureCommands, Helper: ssh.HelperCalls}
}

// sudoers prints what the users of whybot need on a node: all of it, as one
// text that a person can read, or one part as it is installed.
func (e environment) sudoers(_ context.Context) error {
	var configFile string
	var probe, fix, helper bool
	words, err := flags("sudoers", e.args, func(fs *flag.FlagSet) {
		fs.StringVar(&configFile, "config", "", "")
		fs.BoolVar(&probe, "probe", false, "")
		fs.BoolVar(&fix, "fix", false, "")
		fs.BoolVar(&helper, "helper", false, "")
	})
	switch {
	case err != nil:
		return err
	case len(words) > 0:
		return usageError{errors.New("sudoers takes no words")}
	case probe && fix || fix && helper || helper && probe:
		return usageError{errors.New("sudoers prints one of --probe, --fix and --helper, or without them everything there is to say")}
	case helper: // the same whatever the configuration says
		return writeHelper(e.out)
	}
	look, change, err := e.users(configFile)
	switch {
	case err != nil:
		return err
	case probe:
		return writeLooking(e.out, look)
	case fix:
		return writeChanging(e.out, change)
	}
	return e.wholeSudoers(look, change)
}

// wholeSudoers prints both files, well apart, and how they are installed.
func (e environment) wholeSudoers(look, change []string) error {
	if err := writeLooking(e.out, look); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "\n#%s\n\n", strings.Repeat("-", 78))
	return errors.Join(writeChanging(e.out, change), e.installing())
}

// users are the users of whybot that need rules, by the configuration. Root
// needs none; the files are then for whoever takes its place.
func (e environment) users(configFile string) (look, change []string, err error) {
	cfg, err := e.load(configFile)
	if err != nil {
		return nil, nil, err
	}
	pool, err := ssh.New(e.sshOptions(cfg, logger(e.err, cfg.Log)))
	if err != nil {
		return nil, nil, usageError{err}
	}
	look, change = pool.Users()
	if err := pool.Close(); err != nil {
		return nil, nil, err
	}
	unlessRoot := func(users []string, name string) []string {
		users = slices.DeleteFunc(slices.Clone(users), isRoot)
		if len(users) == 0 {
			fmt.Fprintf(e.err, "whybot: nodes are logged in to as root, who needs no rules; what follows is for a user %s\n", name)
			users = []string{name}
		}
		return users
	}
	return unlessRoot(look, sudoers.ProbeName), unlessRoot(change, sudoers.FixName), nil
}

func writeLooking(w io.Writer, users []string) error {
	f, err := nodeCommands().ProbeFile(users...)
	if err != nil {
		return err
	}
	return f.Write(w)
}

func writeChanging(w io.Writer, users []string) error {
	f, err := nodeCommands().FixFile(users...)
	if err != nil {
		return err
	}
	return f.Write(w)
}

// endOfHelper ends the helper's text in the script that installs it.
const endOfHelper = "end of whybot-commit"

// writeHelper writes a script that installs the helper on the node it is run on.
func writeHelper(w io.Writer) error {
	_, err := fmt.Fprintf(w, "set -eu\numask 022\ncat >%[1]s.new <<'%[2]s'\n%[3]s%[2]s\nchown root:root %[1]s.new\nchmod 0755 %[1]s.new\nmv -f %[1]s.new %[1]s\n",
		ssh.HelperPath, endOfHelper, strings.TrimSuffix(ssh.Helper, "\n")+"\n")
	return err
}

// installing says, in comments, how all of it gets onto a node. A file with a
// dot in its name is none to sudo, so that no half of one counts.
func (e environment) installing() error {
	_, err := fmt.Fprintf(e.out, `
# To install it on NODE, as its root:
#   for part in probe fix; do whybot sudoers --$part | ssh root@NODE "umask 337; cd /etc/sudoers.d && cat >whybot-$part.new && visudo -cf whybot-$part.new && mv -f whybot-$part.new whybot-$part"; done
#   whybot sudoers --helper | ssh root@NODE sh
# The last puts %s there, a constant program that is
# root's: it makes the changes that take themselves back unless they are confirmed.
# whybot check says when it is not the one that this whybot speaks to, or when a
# rule is missing.
`, ssh.HelperPath)
	return err
}
