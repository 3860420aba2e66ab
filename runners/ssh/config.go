package ssh

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/kevinburke/ssh_config"

	"whybot/runners"
)

// maxJumps bounds a chain of jump hosts; ssh_config(5) has no loops to offer.
const maxJumps = 8

// A clientConfig is a parsed OpenSSH client config file.
type clientConfig struct {
	file   string
	dir    string
	home   string
	login  string // the local user's name, ssh's default User
	parsed *ssh_config.Config
}

// A target is how one node is reached.
type target struct {
	node       string // as the caller says
	key        string // names the connection in the pool
	host       string
	addr       string // host:port
	hostKeyAs  string // host:port to look up in known_hosts
	port       string
	user       string
	identities []string // paths
	explicit   bool     // identities were named, not defaulted
	only       bool     // IdentitiesOnly
	knownHosts []string // paths
	via        *target  // nil: dialled directly
	configFile string
	offered    string // what was offered to authenticate, for a hint
}

func (t *target) jumpName() string {
	if t.via == nil {
		return "(none)"
	}
	return t.via.node
}

// readConfig reads the config file of a user whose home directory is home;
// empty means that the user database knows it.
func readConfig(file, home string) (*clientConfig, error) {
	if file == "" {
		return nil, errors.New("ssh: no client config file is named: set ssh.config_file")
	}
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("ssh: client config %s does not exist: create it or correct ssh.config_file", file)
	case err != nil:
		return nil, fmt.Errorf("ssh: client config cannot be read: %w", err)
	}
	parsed, err := ssh_config.DecodeBytes(text)
	if err != nil {
		return nil, fmt.Errorf("ssh: client config %s: %w", file, err)
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("ssh: client config %s: %w", file, err)
	}
	c := &clientConfig{file: file, dir: filepath.Dir(abs), parsed: parsed, home: home}
	if u, err := user.Current(); err == nil {
		c.login = u.Username
		if c.home == "" {
			c.home = u.HomeDir
		}
	}
	return c, nil
}

// resolve says how node is reached, with its jump hosts.
func (c *clientConfig) resolve(node string) (*target, error) {
	t, err := c.route(node, node, hop{host: node}, maxJumps)
	if err != nil {
		return nil, failure(runners.Invalid, node, "ssh config", err.Error(), err)
	}
	return t, nil
}

// A hop is one element of ProxyJump, or a bare node name.
type hop struct{ user, host, port string }

// route resolves a hop by the config, including its own ProxyJump.
func (c *clientConfig) route(node, key string, h hop, left int) (*target, error) {
	if left == 0 {
		return nil, fmt.Errorf("%s: ProxyJump of %s goes through more than %d hosts: is it a loop?", c.file, node, maxJumps)
	}
	t, err := c.settings(node, key, h)
	if err != nil {
		return nil, err
	}
	jumps, err := c.jumps(h.host)
	if err != nil {
		return nil, err
	}
	for i, j := range jumps {
		if i == 0 {
			t.via, err = c.route(j.host, j.name(), j, left-1)
		} else { // ssh -J a,b: b is reached through a, whatever b's own ProxyJump says
			prev := t.via
			t.via, err = c.settings(j.host, prev.key+">"+j.name(), j)
			if err == nil {
				t.via.via = prev
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (h hop) name() string {
	n := h.host
	if h.user != "" {
		n = h.user + "@" + n
	}
	if h.port != "" {
		n += ":" + h.port
	}
	return n
}

// settings resolves one hop, without its jump hosts.
func (c *clientConfig) settings(node, key string, h hop) (*target, error) {
	if err := validName(h.host); err != nil {
		return nil, err
	}
	if cmd := c.get(h.host, "ProxyCommand"); cmd != "" && !strings.EqualFold(cmd, "none") {
		return nil, fmt.Errorf("%s: ProxyCommand of %s is not supported: use ProxyJump", c.file, h.host)
	}
	t := &target{node: node, key: key, configFile: c.file}
	t.port = firstOf(h.port, c.get(h.host, "Port"), "22")
	if n, err := strconv.ParseUint(t.port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("%s: Port of %s is %q: it must be 1-65535", c.file, h.host, t.port)
	}
	t.user = firstOf(h.user, c.get(h.host, "User"), c.login)
	var err error
	if t.host, err = expand(firstOf(c.get(h.host, "HostName"), h.host), map[byte]string{'h': h.host, 'n': h.host}); err != nil {
		return nil, fmt.Errorf("%s: HostName of %s: %w", c.file, h.host, err)
	}
	t.host = strings.Trim(t.host, "[]")
	if err := validName(t.host); err != nil {
		return nil, fmt.Errorf("%s: HostName of %s: %w", c.file, h.host, err)
	}
	t.addr = net.JoinHostPort(t.host, t.port)
	t.hostKeyAs = net.JoinHostPort(strings.ToLower(t.host), t.port)
	if alias := c.get(h.host, "HostKeyAlias"); alias != "" {
		t.hostKeyAs = net.JoinHostPort(alias, "22") // ssh looks an alias up without a port
	}
	return t, c.files(t, h.host)
}

// files fills in the paths of t's identities and known_hosts.
func (c *clientConfig) files(t *target, alias string) error {
	t.only = strings.EqualFold(c.get(alias, "IdentitiesOnly"), "yes")
	named, err := c.parsed.GetAll(alias, "IdentityFile")
	if err != nil {
		return fmt.Errorf("%s: IdentityFile of %s: %w", c.file, alias, err)
	}
	t.explicit = len(named) > 0
	if !t.explicit {
		named = []string{"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"}
	}
	for _, n := range named {
		if strings.EqualFold(n, "none") {
			continue
		}
		p, err := c.path(t, alias, n)
		if err != nil {
			return fmt.Errorf("%s: IdentityFile of %s: %w", c.file, alias, err)
		}
		t.identities = append(t.identities, p)
	}
	known := []struct{ keyword, def string }{
		{"UserKnownHostsFile", "~/.ssh/known_hosts ~/.ssh/known_hosts2"},
		{"GlobalKnownHostsFile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"},
	}
	for _, k := range known {
		for _, n := range words(firstOf(c.get(alias, k.keyword), k.def)) {
			if strings.EqualFold(n, "none") {
				continue
			}
			p, err := c.path(t, alias, n)
			if err != nil {
				return fmt.Errorf("%s: %s of %s: %w", c.file, k.keyword, alias, err)
			}
			t.knownHosts = append(t.knownHosts, p)
		}
	}
	return nil
}

// jumps parses the ProxyJump that applies to alias.
func (c *clientConfig) jumps(alias string) ([]hop, error) {
	value := c.get(alias, "ProxyJump")
	if value == "" || strings.EqualFold(value, "none") {
		return nil, nil
	}
	var hops []hop
	for one := range strings.SplitSeq(value, ",") {
		h, err := parseHop(strings.TrimSpace(one))
		if err != nil {
			return nil, fmt.Errorf("%s: ProxyJump of %s: %w", c.file, alias, err)
		}
		hops = append(hops, h)
	}
	return hops, nil
}

// parseHop parses [user@]host[:port], with or without ssh:// before it.
func parseHop(s string) (hop, error) {
	var h hop
	rest := strings.TrimSuffix(strings.TrimPrefix(s, "ssh://"), "/")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		h.user, rest = rest[:i], rest[i+1:]
	}
	h.host = rest
	if host, port, err := net.SplitHostPort(rest); err == nil {
		h.host, h.port = host, port
	}
	h.host = strings.Trim(h.host, "[]")
	if h.host == "" {
		return hop{}, fmt.Errorf("%q is not [user@]host[:port]", s)
	}
	return h, nil
}

// get returns the first value of keyword that applies to alias, as ssh does.
func (c *clientConfig) get(alias, keyword string) string {
	v, err := c.parsed.Get(alias, keyword)
	if err != nil { // only for a node type the parser itself does not make
		return ""
	}
	return v
}

// path expands ~ and the tokens and makes a path absolute.
func (c *clientConfig) path(t *target, alias, p string) (string, error) {
	p, err := expand(p, map[byte]string{'d': c.home, 'h': t.host, 'n': alias, 'p': t.port, 'r': t.user})
	if err != nil {
		return "", err
	}
	if p == "~" || strings.HasPrefix(p, "~/") {
		return filepath.Join(c.home, p[1:]), nil
	}
	if !filepath.IsAbs(p) {
		p = filepath.Join(c.dir, p)
	}
	return p, nil
}

// expand replaces %-tokens; an unknown one is an error, not left in a path.
func expand(s string, tokens map[byte]string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			return "", fmt.Errorf("%q ends in a lone %%", s)
		}
		value, ok := tokens[s[i]]
		switch {
		case s[i] == '%':
			b.WriteByte('%')
		case ok:
			b.WriteString(value)
		default:
			return "", fmt.Errorf("%q uses %%%c, which is not supported here", s, s[i])
		}
	}
	return b.String(), nil
}

// validName keeps apart what can be a host from what an option or a line of
// another file could be made of.
func validName(s string) error {
	bad := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar }
	if s == "" || s[0] == '-' || len(s) > 255 || strings.ContainsFunc(s, bad) || strings.ContainsAny(s, "'\"`$\\;&<>|(){},@") {
		return fmt.Errorf("%q is not a host name", s)
	}
	return nil
}

// words splits a list of paths at blanks outside double quotes.
func words(s string) []string {
	var out []string
	quoted := false
	for _, w := range strings.FieldsFunc(s, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t')
	}) {
		out = append(out, strings.Trim(w, `"`))
	}
	return out
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
