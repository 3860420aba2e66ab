package ssh

import (
	"crypto/rand"
	_ "embed" // the scripts
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"whybot/runners"
)

//go:embed probes.sh
var probesSource string

//go:embed capture.sh
var captureSource string

var (
	probesScript  = oneLine(probesSource)
	captureScript = oneLine(captureSource)
)

// maxCommand is the longest exec string that is sent: the login shell gets it
// as one argument, and Linux allows an argument 128 KiB.
const maxCommand = 120 << 10

// oneLine drops the comment lines of a script and joins the others.
func oneLine(source string) string {
	var kept []string
	for line := range strings.Lines(source) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, " ")
}

// newNonce returns what makes the marks of one exec unlike any output.
func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	return hex.EncodeToString(b[:])
}

// shell returns the exec string that runs body in sh, whatever the login
// shell is.
func shell(body string) (string, error) {
	q, err := quote(body)
	if err != nil {
		return "", err
	}
	command := "exec sh -c " + q
	if len(command) > maxCommand {
		return "", fmt.Errorf("the command line is %d bytes, more than the %d that a node takes: ask for less at once", len(command), maxCommand)
	}
	return command, nil
}

// compose returns the exec string for probes. In a change the first command
// that fails ends the script.
func compose(nonce string, probes []runners.Probe, deflt time.Duration, change bool) (string, error) {
	var b strings.Builder
	b.WriteString("n=" + nonce + "; " + probesScript)
	for i, p := range probes {
		call, err := callOf(i, p, deflt)
		if err != nil {
			return "", err
		}
		b.WriteString(" " + call)
		if change {
			b.WriteString(" || { whybot_mark Z; exit 0; }")
		}
		b.WriteString(";")
	}
	b.WriteString(" whybot_mark Z")
	return shell(b.String())
}

func callOf(i int, p runners.Probe, deflt time.Duration) (string, error) {
	if len(p.Argv) == 0 || p.Argv[0] == "" {
		return "", fmt.Errorf("probe %q names no program", p.Name)
	}
	root := "0"
	if p.Sudo {
		root = "1"
	}
	call := []string{"whybot_run", strconv.Itoa(i), strconv.Itoa(boundOf(p, deflt)), root}
	for _, w := range p.Argv {
		q, err := quote(w)
		if err != nil {
			return "", fmt.Errorf("probe %q: %w", p.Name, err)
		}
		call = append(call, q)
	}
	return strings.Join(call, " "), nil
}

// boundOf is the limit of p on the node, in whole seconds as any timeout(1)
// understands them.
func boundOf(p runners.Probe, deflt time.Duration) int {
	d := p.Timeout
	if d <= 0 {
		d = deflt
	}
	return max(1, int((d+time.Second-1)/time.Second))
}
