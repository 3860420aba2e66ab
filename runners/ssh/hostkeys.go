package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"whybot/runners"
)

// hostKeys caches parsed known_hosts files: a fan-out over a fleet shares one
// list, and parsing it costs more than a handshake.
type hostKeys struct {
	mu    sync.Mutex
	lists map[string]*knownList // by the joined paths
}

// A knownList is what one set of known_hosts files said when last read.
type knownList struct {
	stamp string // sizes and times of the files
	check ssh.HostKeyCallback
	lines map[string][][]byte // by path; to see a line's marker
}

// load returns the list of the files that exist, read anew when one changed.
func (h *hostKeys) load(t *target) (*knownList, error) {
	files, stamp, err := present(t.knownHosts)
	if err != nil {
		return nil, failure(runners.HostKey, t.node, "known_hosts", err.Error(), err)
	}
	if len(files) == 0 {
		err := fmt.Errorf("none of the known_hosts files exists (%s): no host can be trusted; %s",
			strings.Join(t.knownHosts, ", "), scanHint(t))
		return nil, failure(runners.HostKey, t.node, "known_hosts", err.Error(), err)
	}
	key := strings.Join(files, "\x00")
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.lists[key]; l != nil && l.stamp == stamp {
		return l, nil
	}
	l, err := parseKnown(files, stamp)
	if err != nil {
		return nil, failure(runners.HostKey, t.node, "known_hosts", err.Error(), err)
	}
	if h.lists == nil {
		h.lists = map[string]*knownList{}
	}
	h.lists[key] = l
	return l, nil
}

func present(paths []string) (files []string, stamp string, err error) {
	for _, p := range paths {
		info, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", fmt.Errorf("known_hosts cannot be read: %w", err)
		}
		files = append(files, p)
		stamp += fmt.Sprintf("%d %d\n", info.Size(), info.ModTime().UnixNano())
	}
	return files, stamp, nil
}

func parseKnown(files []string, stamp string) (*knownList, error) {
	l := &knownList{stamp: stamp, lines: map[string][][]byte{}}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("known_hosts cannot be read: %w", err)
		}
		l.lines[f] = bytes.Split(text, []byte("\n"))
	}
	check, err := knownhosts.New(files...)
	if err != nil {
		return nil, fmt.Errorf("known_hosts is not valid: %w", err)
	}
	l.check = check
	return l, nil
}

// wanted lists the keys that known_hosts has for t.
func (l *knownList) wanted(t *target) []knownhosts.KnownKey {
	var ke *knownhosts.KeyError
	if errors.As(l.check(t.hostKeyAs, zeroAddr{}, noKey{}), &ke) {
		return ke.Want
	}
	return nil
}

// algorithms says which host key algorithms to ask for, so that a host known
// by one of its keys is not asked for another. None: the host is unknown.
func (l *knownList) algorithms(t *target) []string {
	var certs, plain []string
	for _, k := range l.wanted(t) {
		if l.isAuthority(k) {
			certs = []string{
				ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
				ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
			}
			continue
		}
		algos := []string{k.Key.Type()}
		if k.Key.Type() == ssh.KeyAlgoRSA { // never the SHA-1 signature of that name
			algos = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
		for _, a := range algos {
			if !slices.Contains(plain, a) {
				plain = append(plain, a)
			}
		}
	}
	return append(certs, plain...)
}

func (l *knownList) isAuthority(k knownhosts.KnownKey) bool {
	lines := l.lines[k.Filename]
	return k.Line >= 1 && k.Line <= len(lines) &&
		bytes.HasPrefix(bytes.Trim(lines[k.Line-1], " \t"), []byte("@cert-authority"))
}

// callback checks a host's key and keeps the reason for a refusal in *refused,
// because the handshake wraps it in text.
func (l *knownList) callback(t *target, refused **runners.Error) ssh.HostKeyCallback {
	return func(_ string, remote net.Addr, key ssh.PublicKey) error {
		err := l.check(t.hostKeyAs, zeroAddr{}, key)
		if err == nil {
			return nil
		}
		*refused = hostKeyFailure(t, key, err)
		return *refused
	}
}

func hostKeyFailure(t *target, key ssh.PublicKey, err error) *runners.Error {
	const op = "check host key"
	var mismatch *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		return failure(runners.HostKey, t.node, op, fmt.Sprintf("%s presents a key that is revoked in %s:%d; nothing was sent",
			t.addr, revoked.Revoked.Filename, revoked.Revoked.Line), err)
	case errors.As(err, &mismatch) && len(mismatch.Want) > 0:
		k := mismatch.Want[0]
		return failure(runners.HostKey, t.node, op, fmt.Sprintf(
			"%s presents %s %s, which is not the key in %s:%d; nothing was sent; "+
				"someone may be in between, or the host was reinstalled: compare on its console before replacing that line",
			t.addr, key.Type(), ssh.FingerprintSHA256(key), k.Filename, k.Line), err)
	case errors.As(err, &mismatch):
		return unknownHost(t, err)
	default:
		return failure(runners.HostKey, t.node, op, t.addr+" presents a host certificate that is not acceptable; nothing was sent", err)
	}
}

func unknownHost(t *target, err error) *runners.Error {
	return failure(runners.HostKey, t.node, "check host key", "known_hosts has no key for "+knownhosts.Normalize(t.hostKeyAs)+
		"; nothing was sent; "+scanHint(t), err)
}

func scanHint(t *target) string {
	file := "known_hosts"
	if len(t.knownHosts) > 0 {
		file = t.knownHosts[0]
	}
	return fmt.Sprintf("run `ssh-keyscan -p %s %s`, compare with the key on its console, then add it to %s",
		t.port, runners.DisplayQuote(t.host), file)
}

// zeroAddr is the peer address that the library wants and ignores when it has
// a name; the peer of a forwarded connection has none.
type zeroAddr struct{}

func (zeroAddr) Network() string { return "tcp" }
func (zeroAddr) String() string  { return "0.0.0.0:0" }

// noKey is a key that nobody has: asking for it returns what is known.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return nil }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("not a key") }
