package config_test

import (
	"errors"
	"flag"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"whybot/config"
)

var update = flag.Bool("update", false, "rewrite testdata/*.want")

// canary is in every place where a secret is, or may have been put by mistake.
const canary = "CANARY"

// files are what the configurations in testdata name, with their modes.
var files = []struct {
	name, text string
	mode       os.FileMode
}{
	{"ssh_config", "Host compute01\n", 0o644},
	{"clouds.yaml", "clouds: {prod: {}}\n", 0o644},
	{"bot", "xoxb-" + canary + "-1\n", 0o600},
	{"app", "xapp-" + canary + "-2\r\n", 0o400},
	{"signing", canary + "-3", 0o600},
	{"loose", "xoxb-" + canary, 0o644},
	{"loose too", "xapp-" + canary, 0o620},
	{"empty", "", 0o600},
	{"newline", "\n", 0o600},
	{"lines", "xoxb-" + canary + "\nxapp-" + canary + "\n", 0o600},
	{"vcenter", canary + " 4\n", 0o600},
	{"large", strings.Repeat(canary, 20_000), 0o600},
}

// scene makes a directory with every configuration of testdata and the files
// they name, makes it the working directory and returns it.
func scene(t *testing.T) string {
	t.Helper()
	configurations, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(configurations) == 0 {
		t.Fatalf("no configurations in testdata: %v", err)
	}
	dir := t.TempDir()
	for _, name := range configurations {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, filepath.Base(name)), string(text), 0o644)
	}
	for _, f := range files {
		write(t, filepath.Join(dir, f.name), f.text, f.mode)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	// By its short name: the path of a socket may be 108 bytes long at most.
	agent, err := net.Listen("unix", "agent.sock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Close() })
	return dir
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil { // WriteFile's mode is cut by the umask
		t.Fatal(err)
	}
}

// environOf returns the variables that the comments of a configuration ask for.
func environOf(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	environ := []string{"HOME=/nonexistent"}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "# env "); ok {
			environ = append(environ, v)
		}
	}
	return environ
}

// TestBad loads every testdata/bad-*.yaml and compares all that is said about
// it with the .want file beside it.
func TestBad(t *testing.T) {
	goldens, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	dir := scene(t)
	names, err := filepath.Glob("bad-*.yaml")
	if err != nil || len(names) < 40 {
		t.Fatalf("found %d bad configurations: %v", len(names), err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			c, err := config.Load(name, environOf(t, name))
			if c != nil {
				t.Error("returned a Config beside the error")
			}
			ps, ok := errors.AsType[config.Problems](err)
			if !ok || len(ps) == 0 {
				t.Fatalf("error is %T, want Problems: %v", err, err)
			}
			checkForm(t, ps)
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error holds a secret:\n%s", err)
			}
			compare(t, filepath.Join(goldens, strings.TrimSuffix(name, ".yaml")+".want"),
				strings.ReplaceAll(err.Error(), dir, "DIR")+"\n")
		})
	}
}

// checkForm checks what holds for every problem.
func checkForm(t *testing.T, ps config.Problems) {
	t.Helper()
	for _, p := range ps {
		if p.File == "" || p.What == "" || p.Cure == "" {
			t.Errorf("problem without file, what or cure: %#v", p)
		}
		if (p.Line == 0) != (p.Column == 0) {
			t.Errorf("problem with half a place: %#v", p)
		}
		if strings.ContainsAny(p.String(), "\n\r\x1b\x00") {
			t.Errorf("problem that breaks its line: %q", p)
		}
	}
}

func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		write(t, golden, got, 0o644)
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v (run with -update to write it)", err)
	}
	if got != string(want) {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func mustLoad(t *testing.T, name string) *config.Config {
	t.Helper()
	c, err := config.Load(name, environOf(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMinimalHasTheDefaults(t *testing.T) {
	dir := scene(t)
	c := mustLoad(t, "good-minimal.yaml")
	if !c.Approvals.Terminal.Allows("anybody") {
		t.Error("approvals.terminal does not allow by default")
	}
	c.Approvals.Terminal = config.Terminal{}
	want := &config.Config{
		File:      "good-minimal.yaml",
		OpenStack: config.OpenStack{Cloud: "prod", Timeout: 5 * time.Second},
		SSH: config.SSH{
			ConfigFile: filepath.Join(dir, "ssh_config"), FanOut: 64, DialTimeout: 3 * time.Second,
			HandshakeTimeout: 5 * time.Second, ExecTimeout: 10 * time.Second, Idle: 5 * time.Minute,
		},
		Approvals: config.Approvals{Expires: 30 * time.Minute, AskerMayApprove: true, Needed: 1},
		Diagnose:  config.Diagnose{StaticBudget: 8 * time.Second, Capture: 20 * time.Second, Total: 60 * time.Second, ARPCheck: true},
		Store:     config.Store{Path: filepath.Join(dir, "whybot.db")},
		Log:       config.Log{Level: slog.LevelInfo, Format: config.Text},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestEverything(t *testing.T) {
	dir := scene(t)
	c := mustLoad(t, "good-everything.yaml")
	for name, want := range map[string]bool{"alice": true, "bob": true, "mallory": false, "": false} {
		if got := c.Approvals.Terminal.Allows(name); got != want {
			t.Errorf("Terminal.Allows(%q) = %v, want %v", name, got, want)
		}
	}
	c.Approvals.Terminal = config.Terminal{}
	want := &config.Config{
		File: "good-everything.yaml",
		OpenStack: config.OpenStack{
			Cloud: "prod", CloudsFile: filepath.Join(dir, "clouds.yaml"), Timeout: 1500 * time.Millisecond,
		},
		SSH: config.SSH{
			ConfigFile: filepath.Join(dir, "ssh_config"), FanOut: 100, DialTimeout: time.Second,
			HandshakeTimeout: 2 * time.Second, ExecTimeout: 3 * time.Second, Idle: time.Hour,
			AgentSocket: filepath.Join(dir, "agent.sock"),
			Fix:         &config.Fix{User: "whybot-fix", IdentityFile: filepath.Join(dir, "not-there-yet")},
		},
		VSphere: &config.VSphere{
			URL: "https://vcenter.example/sdk", User: "probe@vsphere.local", Password: config.NewSecret(canary + " 4"),
			Thumbprint: strings.Repeat("AB:", 31) + "AB",
		},
		Slack: &config.Slack{
			Mode:      config.Socket,
			BotToken:  config.NewSecret("xoxb-" + canary + "-1"),
			AppToken:  config.NewSecret("xapp-" + canary + "-2"),
			Listen:    "127.0.0.1:8080",
			APIURL:    "http://127.0.0.1:4103/api/",
			Approvers: config.Approvers{Users: []string{"U0AAAAAAA", "W0BBBBBBB"}, Groups: []string{"S0CCCCCCC"}},
			Channels:  []string{"C0DDDDDDD", "G0EEEEEEE"},
		},
		Approvals: config.Approvals{Expires: 10 * time.Minute, Needed: 1},
		Diagnose:  config.Diagnose{StaticBudget: time.Second, Capture: 10 * time.Second, Total: 15 * time.Second},
		Store:     config.Store{Path: filepath.Join(dir, "folder", "whybot.db")},
		Log:       config.Log{Level: slog.LevelDebug, Format: config.JSON},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestHTTPMode(t *testing.T) {
	scene(t)
	s := mustLoad(t, "good-http.yaml").Slack
	if s.Mode != config.HTTP || s.Listen != "[::1]:9000" || s.SigningSecret.Reveal() != canary+"-3" || s.AppToken.IsSet() {
		t.Errorf("got %+v", s)
	}
	if s.APIURL != "https://slack.com/api/" {
		t.Errorf("api_url is %q", s.APIURL)
	}
}

func TestEnvironmentOverrides(t *testing.T) {
	dir := scene(t)
	c := mustLoad(t, "good-environment.yaml")
	got := []any{
		c.SSH.ConfigFile, c.SSH.FanOut, c.Store.Path, c.OpenStack.Cloud, c.Approvals.Terminal.Allows("alice"), c.Log.Level,
		c.Slack.Mode, c.Slack.BotToken.Reveal(), c.Slack.SigningSecret.Reveal(), c.Slack.APIURL,
	}
	want := []any{
		filepath.Join(dir, "ssh_config"), 7, filepath.Join(dir, "whybot.db"), "staging", false, slog.LevelError,
		config.HTTP, "xoxb-from-the-environment", "0123456789abcdef0123456789abcdef", "http://[::1]:4103/api/",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// The variable of a secret wins over its file, and the file is then not read.
func TestSecretVariableWinsOverFile(t *testing.T) {
	scene(t)
	c, err := config.Load("good-socket.yaml", []string{"WHYBOT_SLACK_BOT_TOKEN=xoxb-other"})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Slack.BotToken.Reveal(); got != "xoxb-other" {
		t.Errorf("bot token is %q", got)
	}
}

func TestSlackAPIURLAloneIsNoSlack(t *testing.T) {
	scene(t)
	c, err := config.Load("good-minimal.yaml", []string{"SLACK_API_URL=http://127.0.0.1:1/api/", "WHYBOT_SLACK_BOT_TOKEN=xoxb-x"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Slack != nil {
		t.Errorf("slack is %+v, want none", c.Slack)
	}
}

func TestAgentSocketDefaultsToTheEnvironment(t *testing.T) {
	scene(t)
	c, err := config.Load("good-minimal.yaml", []string{"SSH_AUTH_SOCK=/run/stale.sock"})
	if err != nil {
		t.Fatal(err)
	}
	if c.SSH.AgentSocket != "/run/stale.sock" {
		t.Errorf("agent socket is %q", c.SSH.AgentSocket)
	}
}

// Paths are relative to the file that holds them, not to where whybot was
// started.
func TestPathsAreRelativeToTheFile(t *testing.T) {
	dir := scene(t)
	t.Chdir("folder")
	c, err := config.Load("../good-socket.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "ssh_config"); c.SSH.ConfigFile != want {
		t.Errorf("ssh.config_file is %q, want %q", c.SSH.ConfigFile, want)
	}
}

func TestHomeDirectory(t *testing.T) {
	dir := scene(t)
	write(t, "home.yaml", "ssh: {config_file: ~/ssh_config}\nstore: {path: ~/whybot.db}\n", 0o644)
	c, err := config.Load("home.yaml", []string{"HOME=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "ssh_config"); c.SSH.ConfigFile != want {
		t.Errorf("ssh.config_file is %q, want %q", c.SSH.ConfigFile, want)
	}
}

// A byte order mark, as some editors write it, changes nothing.
func TestByteOrderMark(t *testing.T) {
	scene(t)
	text, err := os.ReadFile("good-minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, "bom.yaml", "\ufeff"+strings.ReplaceAll(string(text), "\n", "\r\n"), 0o644)
	if _, err := config.Load("bom.yaml", nil); err != nil {
		t.Error(err)
	}
}

func TestFileItself(t *testing.T) {
	dir := scene(t)
	write(t, "large.yaml", strings.Repeat("# nothing\n", 30_000), 0o644)
	for name, want := range map[string]string{
		"nowhere.yaml": `nowhere.yaml: "nowhere.yaml" is not there; write one (whybot.example.yaml is a start), or name yours with --config or WHYBOT_CONFIG`,
		"folder":       `folder: "folder" is a directory; name a file`,
		"pipe":         `pipe: "pipe" is not a regular file; name a file`,
		"large.yaml":   `large.yaml: is larger than 256 KiB; check that this is whybot's configuration`,
		"bot/x":        `bot/x: "bot/x" cannot be read: not a directory; check the name and the disk it is on`,
	} {
		_, err := config.Load(name, nil)
		if err == nil || strings.ReplaceAll(err.Error(), dir, "DIR") != want {
			t.Errorf("%s:\ngot  %v\nwant %s", name, err, want)
		}
	}
}

// A variable that is wrong is reported even when the file cannot be read: both
// are to be cured before the next try.
func TestEnvironmentIsCheckedWithoutFile(t *testing.T) {
	scene(t)
	_, err := config.Load("nowhere.yaml", []string{"WHYBOT_LOG_LEVEL=loud", "WHYBOT_SLACK_MODE=socket"})
	ps, _ := errors.AsType[config.Problems](err)
	if len(ps) != 2 || ps[1].File != "environment" || ps[1].Path != "WHYBOT_LOG_LEVEL" {
		t.Errorf("got:\n%v", err)
	}
}

func TestVSphereFromTheEnvironment(t *testing.T) {
	scene(t)
	v := mustLoad(t, "good-vsphere-environment.yaml").VSphere
	if v == nil || v.URL != "https://vcenter.example" || v.User != "probe" || v.Password.Reveal() != "from the environment" {
		t.Errorf("got %+v", v)
	}
	if v := mustLoad(t, "good-minimal.yaml").VSphere; v != nil {
		t.Errorf("a vCenter that nobody named: %+v", v)
	}
}
