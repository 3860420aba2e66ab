package openstack

import (
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"whybot/internal/cloudfake"
	"whybot/runners"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// New refuses what cannot work, says where and why, and repeats no secret.
func TestBadCredentials(t *testing.T) {
	const secret = "hunter2-correct-horse"
	env := func(vars map[string]string) func(string) string { return func(k string) string { return vars[k] } }
	for _, tt := range []struct {
		name, file, hint string
		o                Options
	}{
		{"no such entry", "clouds: {other: {}}", "no such entry", Options{Cloud: "fake"}},
		{"no auth section", "clouds: {fake: {region_name: x}}", "no auth section", Options{Cloud: "fake"}},
		{"no auth_url", "clouds: {fake: {auth: {username: x, password: " + secret + "}}}", "auth_url", Options{Cloud: "fake"}},
		{"no verification", "clouds: {fake: {verify: false, auth: {auth_url: http://127.0.0.1:1/v3}}}", "cacert", Options{Cloud: "fake"}},
		{"secret in a YAML error", "clouds:\n  fake:\n    auth: " + secret + "\n", "line 3", Options{Cloud: "fake"}},
		{"no YAML", "clouds: [" + secret, "cannot be read", Options{Cloud: "fake"}},
		{"empty file", "", "is empty", Options{Cloud: "fake"}},
		{"cacert is missing", "clouds: {fake: {cacert: /does/not/exist.pem, auth: {auth_url: https://127.0.0.1:1/v3}}}", "/does/not/exist.pem", Options{Cloud: "fake"}},
		{"cacert is no PEM", "clouds: {fake: {cacert: /dev/null, auth: {auth_url: https://127.0.0.1:1/v3}}}", "PEM", Options{Cloud: "fake"}},
		{"certificate without key", "clouds: {fake: {cert: /c.pem, auth: {auth_url: https://127.0.0.1:1/v3}}}", "key", Options{Cloud: "fake"}},
		{"a file and no name", "clouds: {}", "OS_CLOUD", Options{}},
		{"nothing at all", "", "OS_AUTH_URL", Options{CloudsFile: "-"}},
		{"no verification by environment", "", "OS_CACERT", Options{CloudsFile: "-", Getenv: env(map[string]string{
			"OS_AUTH_URL": "https://127.0.0.1:1/v3", "OS_INSECURE": "True", "OS_PASSWORD": secret,
		})}},
		{"file does not exist", "", "/does/not/exist.yaml", Options{Cloud: "fake", CloudsFile: "/does/not/exist.yaml"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			switch tt.o.CloudsFile {
			case "":
				tt.o.CloudsFile = write(t, "clouds.yaml", tt.file)
			case "-":
				tt.o.CloudsFile = ""
			}
			c, err := New(tt.o)
			if err == nil {
				c.Close()
				t.Fatal("accepted")
			}
			if runners.KindOf(err) != runners.Invalid || !strings.Contains(err.Error(), tt.hint) {
				t.Errorf("%v (kind %v) does not say %q", err, runners.KindOf(err), tt.hint)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the secret is in %v", err)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	cloud := serve(t, model())
	vars := map[string]string{
		"OS_AUTH_URL": cloud.AuthURL(), "OS_USERNAME": "admin", "OS_PASSWORD": "fake-password-of-admin",
		"OS_TENANT_NAME": "payments", "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_ID": "default", "OS_REGION_NAME": "RegionOne",
	}
	for name, o := range map[string]Options{
		"variables": {Getenv: func(k string) string { return vars[k] }},
		"OS_CLOUD": {Getenv: func(k string) string {
			return map[string]string{"OS_CLOUD": "fake", "OS_CLIENT_CONFIG_FILE": cloudsYAML(t, cloud)}[k]
		}},
		"base address without a version": {Getenv: func(k string) string {
			return strings.TrimSuffix(vars[k], "/v3")
		}},
	} {
		o.Timeout = patient
		c, err := New(o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := findWeb1(t.Context(), c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.Close()
	}
}

func cloudsYAML(t *testing.T, cloud *cloudfake.Cloud) string {
	t.Helper()
	path, err := cloud.WriteCloudsYAML(t.TempDir(), "fake", "admin")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A region or an interface that the catalogue does not have must not fall back
// to another one.
func TestRegion(t *testing.T) {
	cloud := serve(t, model())
	for name, want := range map[string]map[string]string{
		"region":    {"OS_REGION_NAME": "RegionTwo"},
		"interface": {"OS_INTERFACE": "internal"}, // exists
	} {
		c := dial(t, cloud, "admin", func(o *Options) { o.Getenv = func(k string) string { return want[k] } })
		err := findWeb1(t.Context(), c)
		if name == "interface" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if e := wantKind(t, err, runners.NotFound, "nova"); !strings.Contains(e.Hint, "region") {
			t.Errorf("hint %q", e.Hint)
		}
	}
}

func TestTLS(t *testing.T) {
	cloud := cloudfake.New(model())
	front := httptest.NewUnstartedServer(cloud)
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // it notes the handshake that is meant to fail
	front.StartTLS()
	t.Cleanup(front.Close)
	ca := write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})))
	client := func(cacert string) *Client {
		text := "clouds:\n  fake:\n" + cacert + `    auth:
      auth_url: ` + front.URL + `/identity/v3
      username: admin
      password: fake-password-of-admin
      project_id: ` + payments + `
      user_domain_name: Default
`
		c, err := New(Options{Cloud: "fake", CloudsFile: write(t, "clouds.yaml", text), Timeout: patient})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	if err := findWeb1(t.Context(), client("    cacert: "+ca+"\n")); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	if e := wantKind(t, findWeb1(t.Context(), client("")), runners.Unknown, "keystone"); !strings.Contains(e.Hint, "cacert") {
		t.Errorf("hint %q does not name the cure", e.Hint)
	}
}
