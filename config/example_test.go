package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"whybot/config"
)

// exampleIn puts text, an edition of whybot.example.yaml, into a new directory
// with the files that it names.
func exampleIn(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"secrets", "run/user/1000", ".config/openstack"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "whybot.yaml"), text, 0o644)
	write(t, filepath.Join(dir, "ssh_config"), "Host compute01\n", 0o644)
	write(t, filepath.Join(dir, ".config/openstack/clouds.yaml"), "clouds: {}\n", 0o644)
	write(t, filepath.Join(dir, "secrets/bot_token"), "xoxb-1\n", 0o600)
	write(t, filepath.Join(dir, "secrets/vsphere_password"), "a pass phrase\n", 0o600)
	write(t, filepath.Join(dir, "secrets/app_token"), "xapp-1\n", 0o600)
	write(t, filepath.Join(dir, "secrets/signing_secret"), "0123456789abcdef0123456789abcdef\n", 0o600)
	return dir
}

func loadExample(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	dir := exampleIn(t, text)
	return config.Load(filepath.Join(dir, "whybot.yaml"), []string{"HOME=" + dir})
}

func example(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../whybot.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestExampleLoads(t *testing.T) {
	c, err := loadExample(t, example(t))
	if err != nil {
		t.Fatal(err)
	}
	if c.OpenStack.Cloud != "prod" || c.Slack == nil || c.VSphere == nil || c.VSphere.Password.Reveal() != "a pass phrase" || !c.Slack.AppToken.IsSet() || len(c.Slack.Approvers.Users) != 1 {
		t.Errorf("got %+v", c)
	}
}

// offered is a key that the example shows commented out.
var offered = regexp.MustCompile(`(?m)^( +)# ([a-z_]+: \S+)$`)

// TestExampleShowsTheDefaults removes the comment signs one at a time: what the
// example offers as the default must load and must change nothing, but for the
// keys that have no default or belong to the other mode.
func TestExampleShowsTheDefaults(t *testing.T) {
	text := example(t)
	keys := offered.FindAllStringSubmatch(text, -1)
	if len(keys) < 15 {
		t.Fatalf("found %d keys that are offered", len(keys))
	}
	base, err := loadExample(t, text)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		name, _, _ := strings.Cut(key[2], ":")
		c, err := loadExample(t, strings.Replace(text, key[0], key[1]+key[2], 1))
		switch name {
		case "agent_socket", "signing_secret_file", "listen":
			if err == nil {
				t.Errorf("%s loads in a place where it cannot work", key[2])
			}
			continue
		}
		if err != nil {
			t.Errorf("%s does not load: %v", key[2], err)
			continue
		}
		if name != "clouds_file" && name != "channels" && !reflect.DeepEqual(placeless(c), placeless(base)) {
			t.Errorf("%s is not the default: %+v", key[2], c)
		}
	}
}

// placeless returns a Config without what differs from directory to directory.
func placeless(c *config.Config) config.Config {
	plain := *c
	plain.File, plain.SSH.ConfigFile, plain.Store.Path = "", "", ""
	return plain
}

// TestExampleShowsEveryKey keeps the example complete: it names every field.
func TestExampleShowsEveryKey(t *testing.T) {
	text := example(t)
	for _, section := range reflect.VisibleFields(reflect.TypeFor[config.Config]()) {
		of := section.Type
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct {
			continue
		}
		for _, field := range reflect.VisibleFields(of) {
			key := snake(field.Name)
			if field.Type == reflect.TypeFor[config.Secret]() {
				key += "_file"
			}
			if !regexp.MustCompile(`(?m)^ +(# )?` + key + `:`).MatchString(text) {
				t.Errorf("whybot.example.yaml does not show %s.%s", snake(section.Name), key)
			}
		}
	}
}

// snake turns a Go name into a key: StaticBudget into static_budget, APIURL
// into api_url.
func snake(name string) string {
	for _, initialism := range []string{"API", "ARP", "URL"} {
		name = strings.ReplaceAll(name, initialism, initialism[:1]+strings.ToLower(initialism[1:]))
	}
	return strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(name, "${1}_${2}"))
}
