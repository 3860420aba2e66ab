package ssh

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/crypto/ssh"
)

// genKey makes a key of a type that the tests do not make themselves.
func genKey(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ssh-keygen", append([]string{"-q", "-N", ""}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v %s", err, out)
	}
}

func publicOf(t testing.TB, path string) ssh.PublicKey {
	t.Helper()
	text, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return public
}
