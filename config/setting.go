package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A shape is what a value looks like in YAML, in the words of the messages.
type shape string

const (
	text     shape = "text"
	number   shape = "a whole number"
	boolean  shape = "true or false"
	duration shape = "a duration such as 5s"
	list     shape = "a list"
)

// A setting is one key of the file, bound to the field it fills.
type setting struct {
	path  string
	shape shape
	// one takes the value as text. It is nil for a list.
	one func(value string) *fault
	// many takes a list. It is nil for a key that holds one value.
	many func(values []string) *fault
	// item checks one element of the list.
	item func(value string) *fault
	// file marks a path, which is made absolute before one sees it.
	file bool
}

// settings are all keys that whybot knows. A key that is not here is an error,
// so a key is added here and nowhere else.
func settings(c *Config, s *Slack, v *VSphere, fix *Fix, f *secretFiles) []setting {
	return slices.Concat([]setting{
		textSetting("openstack.cloud", &c.OpenStack.Cloud),
		fileSetting("openstack.clouds_file", &c.OpenStack.CloudsFile),
		durationSetting("openstack.timeout", &c.OpenStack.Timeout, 100*time.Millisecond, 5*time.Minute),

		fileSetting("ssh.config_file", &c.SSH.ConfigFile),
		numberSetting("ssh.fan_out", &c.SSH.FanOut, 1, 1024),
		durationSetting("ssh.dial_timeout", &c.SSH.DialTimeout, 100*time.Millisecond, time.Minute),
		durationSetting("ssh.handshake_timeout", &c.SSH.HandshakeTimeout, 100*time.Millisecond, time.Minute),
		durationSetting("ssh.exec_timeout", &c.SSH.ExecTimeout, 100*time.Millisecond, 5*time.Minute),
		durationSetting("ssh.idle", &c.SSH.Idle, time.Second, 24*time.Hour),
		fileSetting("ssh.agent_socket", &c.SSH.AgentSocket),
		matchSetting("ssh.fix.user", &fix.User, loginName, "the name of a login", "write it as the nodes' /etc/passwd does, such as whybot-fix"),
		fileSetting("ssh.fix.identity_file", &fix.IdentityFile),

		vcenterSetting("vsphere.url", &v.URL),
		textSetting("vsphere.user", &v.User),
		fileSetting("vsphere.password_file", &f.vspherePassword),
		matchSetting("vsphere.thumbprint", &v.Thumbprint, thumbprint, "a certificate's SHA-256", "write what `openssl x509 -noout -fingerprint -sha256` prints behind the ="),

		durationSetting("diagnose.static_budget", &c.Diagnose.StaticBudget, 100*time.Millisecond, time.Minute),
		durationSetting("diagnose.capture", &c.Diagnose.Capture, time.Second, 20*time.Second),
		durationSetting("diagnose.total", &c.Diagnose.Total, time.Second, 5*time.Minute),
		booleanSetting("diagnose.arp_check", &c.Diagnose.ARPCheck),

		fileSetting("store.path", &c.Store.Path),

		levelSetting("log.level", &c.Log.Level),
		choiceSetting("log.format", &c.Log.Format, Text, JSON),
	}, approvalSettings(&c.Approvals), slackSettings(s, f))
}

var (
	memberID    = regexp.MustCompile(`^[UW][A-Z0-9]{2,}$`)
	userGroupID = regexp.MustCompile(`^S[A-Z0-9]{2,}$`)
	channelID   = regexp.MustCompile(`^[CG][A-Z0-9]{2,}$`)
	thumbprint  = regexp.MustCompile(`^[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}$`)
	loginName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)
)

func slackSettings(s *Slack, f *secretFiles) []setting {
	return []setting{
		choiceSetting("slack.mode", &s.Mode, Socket, HTTP),
		fileSetting("slack.bot_token_file", &f.botToken),
		fileSetting("slack.app_token_file", &f.appToken),
		fileSetting("slack.signing_secret_file", &f.signingSecret),
		listenSetting("slack.listen", &s.Listen),
		apiSetting("slack.api_url", &s.APIURL),
		userIDs("slack.approvers.users", &s.Approvers.Users),
		groupIDs("slack.approvers.groups", &s.Approvers.Groups),
		channelIDs("slack.channels", &s.Channels),
	}
}

const (
	aChannel    = "a channel id (C… or G…)"
	copyChannel = "copy it from the foot of the channel's details: a channel can be renamed"
)

func userIDs(path string, to *[]string) setting {
	return idsSetting(path, to, memberID, "a member id (U… or W…)", "copy it from the person's Slack profile: a display name can change hands")
}

func groupIDs(path string, to *[]string) setting {
	return idsSetting(path, to, userGroupID, "a user group id (S…)", "copy it from the group's page in Slack")
}

func channelIDs(path string, to *[]string) setting {
	return idsSetting(path, to, channelID, aChannel, copyChannel)
}

func textSetting(path string, to *string) setting {
	return setting{path: path, shape: text, one: func(v string) *fault {
		if strings.TrimSpace(v) == "" {
			return &fault{"is empty", "give it a value or remove the line"}
		}
		*to = v
		return nil
	}}
}

func fileSetting(path string, to *string) setting {
	s := textSetting(path, to)
	s.file = true
	return s
}

func numberSetting(path string, to *int, low, high int) setting {
	return setting{path: path, shape: number, one: func(v string) *fault {
		n, err := strconv.Atoi(v)
		if err != nil {
			return &fault{fmt.Sprintf("%q is not a whole number", v), fmt.Sprintf("give a number from %d to %d", low, high)}
		}
		if n < low || n > high {
			return &fault{fmt.Sprintf("%d is out of range", n), fmt.Sprintf("give a number from %d to %d", low, high)}
		}
		*to = n
		return nil
	}}
}

func booleanSetting(path string, to *bool) setting {
	return setting{path: path, shape: boolean, one: func(v string) *fault {
		if v != "true" && v != "false" {
			return &fault{fmt.Sprintf("%q is neither true nor false", v), "write true or false"}
		}
		*to = v == "true"
		return nil
	}}
}

func durationSetting(path string, to *time.Duration, low, high time.Duration) setting {
	return setting{path: path, shape: duration, one: func(v string) *fault {
		d, err := time.ParseDuration(v)
		if err != nil {
			return &fault{fmt.Sprintf("%q is not a duration", v), "write a number with its unit: 500ms, 5s, 30m, 1h"}
		}
		if d < low || d > high {
			return &fault{fmt.Sprintf("%s is out of range", v), fmt.Sprintf("give a duration from %s to %s", short(low), short(high))}
		}
		*to = d
		return nil
	}}
}

// short prints a round duration as a person would: 5m, not 5m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func choiceSetting[T ~string](path string, to *T, choices ...T) setting {
	names := make([]string, len(choices))
	for i, c := range choices {
		names[i] = string(c)
	}
	return setting{path: path, shape: text, one: func(v string) *fault {
		if !slices.Contains(names, v) {
			return notOneOf(v, names)
		}
		*to = T(v)
		return nil
	}}
}

func notOneOf(v string, names []string) *fault {
	cure := "write " + strings.Join(names, " or ")
	if near, ok := nearest(strings.ToLower(v), names); ok {
		cure = fmt.Sprintf("did you mean %s? (%s)", near, strings.Join(names, ", "))
	}
	return &fault{fmt.Sprintf("%q is not a choice", v), cure}
}

func levelSetting(path string, to *slog.Level) setting {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	return setting{path: path, shape: text, one: func(v string) *fault {
		l, ok := levels[v]
		if !ok {
			return notOneOf(v, []string{"debug", "info", "warn", "error"})
		}
		*to = l
		return nil
	}}
}

func terminalSetting(path string, to *Terminal) setting {
	return setting{
		path: path, shape: text,
		one: func(v string) *fault {
			if v != "allow" && v != "deny" {
				return &fault{fmt.Sprintf("%q is not a choice", v), "write allow, deny, or a list of names: [alice, bob]"}
			}
			*to = Terminal{everyone: v == "allow"}
			return nil
		},
		item: notBlank,
		many: func(vs []string) *fault {
			if len(vs) == 0 {
				return &fault{"is an empty list", "write deny if nobody may approve from a terminal"}
			}
			*to = Terminal{names: vs}
			return nil
		},
	}
}

func idsSetting(path string, to *[]string, id *regexp.Regexp, what, cure string) setting {
	return setting{
		path: path, shape: list,
		item: func(v string) *fault {
			if !id.MatchString(v) {
				return &fault{fmt.Sprintf("%q is not %s", v, what), cure}
			}
			return nil
		},
		many: func(vs []string) *fault {
			*to = vs
			return nil
		},
	}
}

func listenSetting(path string, to *string) setting {
	return setting{path: path, shape: text, one: func(v string) *fault {
		_, port, err := net.SplitHostPort(v)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return &fault{fmt.Sprintf("%q is not an address to listen on", v), "write host:port, such as 127.0.0.1:8080"}
		}
		*to = v
		return nil
	}}
}

// apiSetting takes a URL. What is wrong with one is said without quoting it: it
// may carry a password.
func apiSetting(path string, to *string) setting {
	return setting{path: path, shape: text, one: func(v string) *fault {
		const cure = "write one such as " + slackAPI
		u, err := url.Parse(v)
		switch {
		case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
			return &fault{"is not an https URL", cure}
		case u.User != nil:
			return &fault{"carries a user name or password", "remove it: Slack is spoken to with tokens"}
		case u.RawQuery != "" || u.Fragment != "":
			return &fault{"carries a query or a fragment", cure}
		case u.Scheme == "http" && !loopback(u.Hostname()):
			return &fault{"sends tokens unencrypted", "use https; plain http is for this machine (127.0.0.1) only"}
		}
		*to = strings.TrimRight(u.String(), "/") + "/"
		return nil
	}}
}

// vcenterSetting takes the address of a vCenter. It is not quoted either.
func vcenterSetting(path string, to *string) setting {
	return setting{path: path, shape: text, one: func(v string) *fault {
		u, err := url.Parse(v)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "":
			return &fault{"is not an https URL", "write one such as https://vcenter.example.org/sdk; a certificate that no authority vouches for is pinned with vsphere.thumbprint"}
		case u.User != nil:
			return &fault{"carries a user name or password", "name them with vsphere.user and vsphere.password_file"}
		}
		*to = v
		return nil
	}}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
