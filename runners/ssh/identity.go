package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"whybot/runners"
)

// An identity is what a target may sign with.
type identity struct {
	signers []ssh.Signer
	offered string // "key a.key, 2 keys of the agent"
	agent   io.Closer
}

// Close lets go of the agent, which must live as long as signatures are needed.
func (id *identity) Close() error {
	if id.agent == nil {
		return nil
	}
	return id.agent.Close()
}

// identify collects t's keys: files in the order of the config, then the
// agent's, unless IdentitiesOnly says that the agent may only stand in for the
// files that were named.
func (p *Pool) identify(ctx context.Context, t *target) (*identity, error) {
	id := &identity{}
	held, agentErr := p.agentSigners(ctx, id)
	var offered []string
	var firstErr error
	used := map[string]bool{}
	take := func(s ssh.Signer) bool {
		k := string(s.PublicKey().Marshal())
		if used[k] {
			return false
		}
		used[k] = true
		id.signers = append(id.signers, s)
		return true
	}
	for _, path := range t.identities {
		s, err := loadKey(path, held)
		switch {
		case err == nil && take(s):
			offered = append(offered, "key "+path)
		case err == nil:
		case !t.explicit && errors.Is(err, fs.ErrNotExist):
		default:
			p.opts.Log.WarnContext(ctx, "ssh key not used", "node", t.node, "path", path, "error", err)
			firstErr = cmpErr(firstErr, err)
		}
	}
	if !t.only {
		n := 0
		for _, s := range held {
			if take(s) {
				n++
			}
		}
		if n > 0 {
			offered = append(offered, fmt.Sprintf("%d more of the agent's keys", n))
		}
	}
	id.offered = strings.Join(offered, ", ")
	if len(id.signers) > 0 {
		return id, nil
	}
	_ = id.Close() // nothing to sign with: the agent is of no use, and neither is its error
	why := cmpErr(cmpErr(firstErr, agentErr), fmt.Errorf("no key for it: set IdentityFile in %s", t.configFile))
	return nil, failure(runners.Authentication, t.node, "load key", why.Error(), why)
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// agentSigners lists the agent's keys; none when there is no agent.
func (p *Pool) agentSigners(ctx context.Context, id *identity) ([]ssh.Signer, error) {
	if p.opts.AgentSocket == "" {
		return nil, nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", p.opts.AgentSocket)
	if err != nil {
		return nil, fmt.Errorf("the ssh-agent at %s does not answer: %w", p.opts.AgentSocket, err)
	}
	// An agent that waits for a person would hold the dial for ever.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	id.agent = closer(func() error { stop(); return conn.Close() })
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		return nil, fmt.Errorf("the ssh-agent at %s does not list its keys: %w", p.opts.AgentSocket, err)
	}
	return signers, nil
}

type closer func() error

func (c closer) Close() error { return c() }

// loadKey reads one identity, with its certificate when one lies beside it. A
// key that is encrypted, or of which only the public half is there, is served
// by the agent when it holds it.
func loadKey(path string, held []ssh.Signer) (ssh.Signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key %s cannot be read: %w", path, reason(err))
	}
	signer, err := ssh.ParsePrivateKey(text)
	var encrypted *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &encrypted):
		if s := heldSigner(held, publicHalf(path, encrypted)); s != nil {
			return s, nil
		}
		return nil, fmt.Errorf("key %s is encrypted: load it into an ssh-agent (ssh-add %s) and give its socket", path, path)
	case err != nil:
		public, _, _, _, pubErr := ssh.ParseAuthorizedKey(text)
		if pubErr != nil {
			return nil, fmt.Errorf("key %s is not a private key: %w", path, err)
		}
		if s := heldSigner(held, public); s != nil {
			return s, nil
		}
		return nil, fmt.Errorf("%s is a public key and no ssh-agent holds its private half", path)
	}
	return withCertificate(path, signer)
}

// reason drops the path that os repeats.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func publicHalf(path string, e *ssh.PassphraseMissingError) ssh.PublicKey {
	if e.PublicKey != nil {
		return e.PublicKey
	}
	text, err := os.ReadFile(path + ".pub")
	if err != nil {
		return nil
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil
	}
	return public
}

func heldSigner(held []ssh.Signer, public ssh.PublicKey) ssh.Signer {
	if public == nil {
		return nil
	}
	for _, s := range held {
		if bytes.Equal(s.PublicKey().Marshal(), public.Marshal()) {
			return s
		}
	}
	return nil
}

// withCertificate signs with PATH-cert.pub, as ssh does, when it is there.
func withCertificate(path string, signer ssh.Signer) (ssh.Signer, error) {
	certFile := path + "-cert.pub"
	text, err := os.ReadFile(certFile)
	if errors.Is(err, fs.ErrNotExist) {
		return signer, nil
	}
	if err != nil {
		return nil, fmt.Errorf("certificate %s cannot be read: %w", certFile, reason(err))
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", certFile, err)
	}
	cert, ok := public.(*ssh.Certificate)
	if !ok {
		return nil, fmt.Errorf("%s is not a certificate", certFile)
	}
	return ssh.NewCertSigner(cert, signer)
}
