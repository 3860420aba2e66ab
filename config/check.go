package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// check looks at what no single key shows: what is missing, what contradicts
// another key, and whether the files are there.
func (l *loader) check() {
	l.checkOpenStack()
	l.checkSSH()
	l.checkFix()
	l.checkVSphere()
	l.checkDiagnose()
	l.checkStore()
	if l.wantsSlack() {
		l.config.Slack = l.slack
		l.checkSlack()
	}
	l.checkApprovals()
}

// required reports a key that is missing.
func (l *loader) required(path, cure string) {
	if l.absent(path) {
		l.blame(path, fault{"is missing", cure})
	}
}

// absent reports whether a key is known to be missing. When the file or the
// section could not be read, nothing is known.
func (l *loader) absent(path string) bool {
	return l.readable && !l.given(path) && !l.broken[parent(path)]
}

func (l *loader) checkOpenStack() {
	const file = "openstack.clouds_file"
	if l.sound(file) {
		if f := readable(l.config.OpenStack.CloudsFile); f != nil {
			l.blame(file, *f)
		}
	}
	if l.sound(file) && l.absent("openstack.cloud") {
		l.blame(file, fault{"is not read without openstack.cloud", "name the cloud in it with openstack.cloud, or remove the line"})
	}
}

func (l *loader) checkSSH() {
	const file, agent = "ssh.config_file", "ssh.agent_socket"
	l.required(file, "name the OpenSSH client configuration that knows your nodes")
	if l.sound(file) {
		if f := readable(l.config.SSH.ConfigFile); f != nil {
			l.blame(file, *f)
		}
	}
	switch {
	case l.sound(agent):
		if f := socket(l.config.SSH.AgentSocket); f != nil {
			l.blame(agent, *f)
		}
	case !l.given(agent):
		// Not checked: a stale SSH_AUTH_SOCK is common and harms nobody who
		// uses key files.
		l.config.SSH.AgentSocket = l.environ["SSH_AUTH_SOCK"]
	}
}

// checkFix looks at the login that changes nodes. Whether its key is there is
// not asked: it may be put there for as long as a fix takes.
func (l *loader) checkFix() {
	const section = "ssh.fix"
	user, key := section+".user", section+".identity_file"
	if l.broken[section] || !l.given(section) && !l.given(user) && !l.given(key) {
		return
	}
	l.required(user, "name the user that changes nodes, or remove the section: the login of ssh.config_file changes them then")
	l.required(key, "name the private key of that user")
	l.config.SSH.Fix = &l.fix
}

// checkVSphere looks at the vCenter, if one is named, in the file or by variables.
func (l *loader) checkVSphere() {
	const section = "vsphere"
	password := l.vspherePassword()
	_, inEnviron := l.environ[variable(password.path)]
	keys := []string{section, section + ".url", section + ".user", section + ".password_file", section + ".thumbprint"}
	if l.broken[section] || !inEnviron && !slices.ContainsFunc(keys, l.given) {
		return
	}
	l.required(section+".url", "name the vCenter that the nodes are virtual machines of, such as https://vcenter.example.org/sdk")
	l.required(section+".user", "name a user of vCenter with the role Read-only, such as whybot@vsphere.local")
	l.need(password)
	l.config.VSphere = &l.vsphere
}

func (l *loader) checkDiagnose() {
	d := l.config.Diagnose
	paths := []string{"diagnose.total", "diagnose.capture", "diagnose.static_budget"}
	if slices.ContainsFunc(paths, func(path string) bool { return l.broken[path] }) {
		return
	}
	if needed := d.StaticBudget + d.Capture; d.Total < needed {
		// The defaults agree, so somebody wrote at least one: blame that.
		path := paths[max(0, slices.IndexFunc(paths, l.given))]
		l.blame(path, fault{
			fmt.Sprintf("the total of %s is less than static_budget (%s) and capture (%s) together",
				short(d.Total), short(d.StaticBudget), short(d.Capture)),
			"make diagnose.total at least " + short(needed),
		})
	}
}

func (l *loader) checkStore() {
	const path = "store.path"
	l.required(path, "name the database file; it is made when it is not there")
	if !l.sound(path) {
		return
	}
	dir := filepath.Dir(l.config.Store.Path)
	if info, err := os.Stat(dir); err != nil {
		l.blame(path, openFault(dir, err))
		return
	} else if !info.IsDir() {
		l.blame(path, fault{fmt.Sprintf("%q is not a directory", dir), "name a file in a directory"})
		return
	}
	info, err := os.Stat(l.config.Store.Path)
	if err == nil && !info.Mode().IsRegular() {
		l.blame(path, fault{fmt.Sprintf("%q is not a regular file", l.config.Store.Path), "name a file"})
	}
}

// wantsSlack reports whether there is a slack section, in the file or by
// variables. SLACK_API_URL alone is none: it is set for other programs too.
func (l *loader) wantsSlack() bool {
	for path, at := range l.places {
		if path == "slack" || strings.HasPrefix(path, "slack.") && at.variable != "SLACK_API_URL" {
			return true
		}
	}
	return false
}

func (l *loader) checkSlack() {
	l.need(l.botToken())
	if l.broken["slack.mode"] {
		return // which of the others are needed is not known
	}
	switch l.slack.Mode {
	case Socket:
		l.need(l.appToken())
		l.idle("slack.signing_secret_file", HTTP)
		l.idle("slack.listen", HTTP)
	case HTTP:
		l.need(l.signingSecret())
		l.idle("slack.app_token_file", Socket)
	}
}

// idle reports a key that does nothing in this mode: whoever wrote it expects
// otherwise.
func (l *loader) idle(path string, belongs Mode) {
	if l.given(path) {
		l.blame(path, fault{
			fmt.Sprintf("does nothing in slack.mode %s", l.slack.Mode),
			fmt.Sprintf("remove it, or set slack.mode: %s", belongs),
		})
	}
}
