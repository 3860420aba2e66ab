package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// A keyPair is an ed25519 key as OpenSSH writes it.
type keyPair struct{ private, public string }

// keys are the key of those who look at a lab, that of who changes it, and each
// machine's host key.
type keys struct {
	user keyPair
	fix  keyPair
	host map[string]keyPair
}

func newKeys(ctx context.Context, dir string, machines []string) (*keys, error) {
	k := &keys{host: map[string]keyPair{}}
	pairs := make([]keyPair, len(machines)+2)
	errs := make([]error, len(pairs))
	var wg sync.WaitGroup
	for i := range pairs {
		wg.Go(func() { pairs[i], errs[i] = newKey(ctx, filepath.Join(dir, fmt.Sprintf("key%d", i))) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	for i, m := range machines {
		k.host[m] = pairs[i]
	}
	k.user, k.fix = pairs[len(machines)], pairs[len(machines)+1]
	return k, nil
}

func newKey(ctx context.Context, file string) (keyPair, error) {
	if _, err := run(ctx, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "whylab", "-f", file); err != nil {
		return keyPair{}, err
	}
	private, err := os.ReadFile(file)
	if err != nil {
		return keyPair{}, err
	}
	public, err := os.ReadFile(file + ".pub")
	if err != nil {
		return keyPair{}, err
	}
	return keyPair{string(private), string(public)}, errors.Join(os.Remove(file), os.Remove(file+".pub"))
}

// SSHConfig returns the path of an OpenSSH client configuration that logs in
// as the user: root, whyprobe or nosudo.
func (l *Lab) SSHConfig(user string) string { return filepath.Join(l.Dir, "ssh_config."+user) }

// FixKey returns the path of FixUser's private key.
func (l *Lab) FixKey() string { return filepath.Join(l.Dir, "id_fix") }

// writeSSH writes the client's side: key, known_hosts, and one configuration
// per user; ssh_config is the one of Options.User.
func (l *Lab) writeSSH() error {
	key, known := filepath.Join(l.Dir, "id_ed25519"), filepath.Join(l.Dir, "known_hosts")
	if err := os.WriteFile(key, []byte(l.keys.user.private), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(l.FixKey(), []byte(l.keys.fix.private), 0o600); err != nil {
		return err
	}
	var hosts strings.Builder
	for _, m := range l.plan.machines {
		fields := strings.Fields(l.keys.host[m].public)
		fmt.Fprintf(&hosts, "%s %s %s\n", l.claim.address(machineNumber(m)), fields[0], fields[1])
	}
	if err := os.WriteFile(known, []byte(hosts.String()), 0o600); err != nil {
		return err
	}
	for _, user := range users {
		if err := os.WriteFile(l.SSHConfig(user), []byte(l.sshConfig(user, key, known)), 0o600); err != nil {
			return err
		}
	}
	return os.Symlink("ssh_config."+l.options.User, filepath.Join(l.Dir, "ssh_config"))
}

func (l *Lab) sshConfig(user, key, known string) string {
	var b strings.Builder
	for _, m := range l.plan.machines {
		fmt.Fprintf(&b, "Host %s\n  HostName %s\n  Port 22\n  User %s\n  IdentityFile %s\n  IdentitiesOnly yes\n"+
			"  UserKnownHostsFile %s\n  StrictHostKeyChecking yes\n\n", m, l.claim.address(machineNumber(m)), user, key, known)
	}
	return b.String()
}
