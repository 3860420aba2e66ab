package openstack

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"whybot/internal/cloudfake"
	"whybot/runners"
)

// consoleModel is the test cloud with a console behind a public address.
func consoleModel() cloudfake.Model {
	m := model()
	m.ConsoleURL = "https://console.example:6443/vnc_lite.html"
	m.Servers[0].Console = cloudfake.Console{Host: "172.30.200.41", Port: 5903}
	for binary, host := range map[string]string{"nova-scheduler": "controller02", "nova-compute": "compute01", "nova-conductor": "controller01"} {
		m.ComputeServices = append(m.ComputeServices, cloudfake.ComputeService{Binary: binary, Host: host})
	}
	m.ComputeServices = append(m.ComputeServices, cloudfake.ComputeService{Binary: "nova-conductor", Host: "controller02"})
	return m
}

// watched dials with a log that keeps everything.
func watched(t *testing.T, cloud *cloudfake.Cloud, role string, log *bytes.Buffer) *Client {
	t.Helper()
	return dial(t, cloud, role, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
}

// noToken fails when the token of web-1's console is in what may be shown.
func noToken(t *testing.T, shown ...any) {
	t.Helper()
	token := cloudfake.ConsoleToken(web1)
	for _, s := range shown {
		if text := fmt.Sprintf("%+v", s); strings.Contains(text, token) || strings.Contains(text, token[:8]) {
			t.Errorf("the token is shown: %.400s", text)
		}
	}
}

func TestConsoleCase(t *testing.T) {
	var log bytes.Buffer
	cc, err := watched(t, serve(t, consoleModel()), "admin", &log).ConsoleCase(t.Context(), runners.Server{ID: web1})
	if err != nil {
		t.Fatal(err)
	}
	offer, ok := cc.Offer.Get()
	if want := (runners.ConsoleURL{Scheme: "https", Host: "console.example", Port: 6443}); !ok || offer.URL != want || offer.Refusal != "" {
		t.Errorf("offer %+v (%s), want %+v", offer, cc.Offer.Why(), want)
	}
	if door, ok := cc.Door.Get(); !ok || door != (runners.ConsoleDoor{Host: "172.30.200.41", Port: 5903}) {
		t.Errorf("door %+v (%s)", door, cc.Door.Why())
	}
	if !strings.Contains(log.String(), "os-console-auth-tokens/{id}") {
		t.Errorf("the log does not tell of the call: %s", log.String())
	}
	noToken(t, cc, log.String())
}

func TestConsoleCaseBesides(t *testing.T) {
	cc, err := dial(t, serve(t, consoleModel()), "admin", nil).ConsoleCase(t.Context(), runners.Server{ID: web1})
	if err != nil {
		t.Fatal(err)
	}
	if machines, ok := cc.Machines.Get(); !ok || !slices.Equal(machines, []string{"controller01", "controller02"}) {
		t.Errorf("machines %q", machines)
	}
	if computes, ok := cc.Computes.Get(); !ok || !slices.Equal(computes, []string{"compute01"}) {
		t.Errorf("compute nodes %q", computes)
	}
	if tls, ok := cc.PublicTLS.Get(); !ok || tls {
		t.Errorf("the test cloud's catalogue has http addresses, not https: %v (%s)", tls, cc.PublicTLS.Why())
	}
	if beside, ok := cc.Beside.Get(); !ok || slices.Contains(beside, "web-1") || !slices.Contains(beside, "web-10") {
		t.Errorf("beside %q: web-1 is not beside itself", beside)
	}
}

// TestConsoleDoorFails: the token stands in the address of a call that fails, and
// the SDK's errors quote addresses.
func TestConsoleDoorFails(t *testing.T) {
	for name, fault := range map[string]cloudfake.Fault{
		"500":       {Path: "/os-console-auth-tokens/", Status: 500, Body: `{"computeFault":{"message":"x"}}`},
		"not JSON":  {Path: "/os-console-auth-tokens/", Status: 200, Body: "<html>"},
		"no port":   {Path: "/os-console-auth-tokens/", Status: 200, Body: `{"console":{"host":"h"}}`},
		"bad port":  {Path: "/os-console-auth-tokens/", Status: 200, Body: `{"console":{"host":"h","port":"x"}}`},
		"not found": {Path: "/os-console-auth-tokens/", Status: 404, Body: `{}`},
	} {
		cloud := serve(t, consoleModel())
		cloud.Inject(fault)
		var log bytes.Buffer
		cc, err := watched(t, cloud, "admin", &log).ConsoleCase(t.Context(), runners.Server{ID: web1})
		if err != nil {
			t.Fatal(err)
		}
		if _, known := cc.Door.Get(); known || cc.Door.Why() == "" {
			t.Errorf("%s: door %+v", name, cc.Door)
		}
		if _, known := cc.Offer.Get(); !known {
			t.Errorf("%s: the offer is known all the same", name)
		}
		noToken(t, cc, log.String())
	}
}

func TestConsoleCaseOfMember(t *testing.T) {
	var log bytes.Buffer
	cc, err := watched(t, serve(t, consoleModel()), "member", &log).ConsoleCase(t.Context(), runners.Server{ID: web1})
	if err != nil {
		t.Fatal(err)
	}
	if _, known := cc.Offer.Get(); !known {
		t.Errorf("a member may ask for a console: %s", cc.Offer.Why())
	}
	for what, why := range map[string]string{"door": cc.Door.Why(), "machines": cc.Machines.Why(), "computes": cc.Computes.Why(), "beside": cc.Beside.Why()} {
		if why == "" {
			t.Errorf("%s: a member is not shown it", what)
		}
	}
	noToken(t, cc, log.String())
}

func TestConsoleRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*cloudfake.Server)
		status int
		says   string
	}{
		"not ready":        {func(s *cloudfake.Server) { s.Status = "BUILD" }, http.StatusConflict, "Instance " + web1 + " is not ready."},
		"no such console":  {func(s *cloudfake.Server) { s.Console.Disabled = true }, http.StatusBadRequest, "Unavailable console type novnc."},
		"a port in no use": {func(s *cloudfake.Server) { s.Console.Port = 0 }, 0, ""},
	} {
		m := consoleModel()
		c.change(&m.Servers[0])
		cc, err := dial(t, serve(t, m), "admin", nil).ConsoleCase(t.Context(), runners.Server{ID: web1})
		if err != nil {
			t.Fatal(err)
		}
		offer, ok := cc.Offer.Get()
		if !ok || offer.Status != c.status || offer.Refusal != c.says {
			t.Errorf("%s: %+v (%s)", name, offer, cc.Offer.Why())
		}
		if _, known := cc.Door.Get(); known != (c.says == "") {
			t.Errorf("%s: door %+v", name, cc.Door)
		}
	}
}

// TestConsoleOfComputeThatIsDown: Nova asks the compute node for a console, and
// that it does not answer is no refusal.
func TestConsoleOfComputeThatIsDown(t *testing.T) {
	cloud := serve(t, consoleModel())
	cloud.Inject(cloudfake.Fault{Path: "/remote-consoles", Status: 500, Body: `{"computeFault":{"message":"MessagingTimeout"}}`})
	cc, err := dial(t, cloud, "admin", nil).ConsoleCase(t.Context(), runners.Server{ID: web1})
	if err != nil {
		t.Fatal(err)
	}
	if _, known := cc.Offer.Get(); known {
		t.Errorf("%+v", cc.Offer)
	}
	if _, err := dial(t, cloud, "admin", nil).ConsoleCase(t.Context(), runners.Server{ID: "00000000-0000-4000-8000-000000000000"}); runners.KindOf(err) != runners.NotFound {
		t.Errorf("no such server: %v", err)
	}
}

func TestTakeToken(t *testing.T) {
	for address, want := range map[string]struct {
		at    runners.ConsoleURL
		token string
		ok    bool
	}{
		"http://127.0.0.1:6080/vnc_auto.html?token=abc":                           {runners.ConsoleURL{Scheme: "http", Host: "127.0.0.1", Port: 6080}, "abc", true},
		"http://127.0.0.1:16080/vnc_lite.html?path=%3Ftoken%3Ddc93adfc-81bf-4b28": {runners.ConsoleURL{Scheme: "http", Host: "127.0.0.1", Port: 16080}, "dc93adfc-81bf-4b28", true},
		"https://[fd00::1]/vnc.html?path=websockify%3Ftoken%3Dx%26title%3Dweb-1":  {runners.ConsoleURL{Scheme: "https", Host: "fd00::1", Port: 443}, "x", true},
		"http://h/console":                       {runners.ConsoleURL{Scheme: "http", Host: "h", Port: 80}, "", true},
		"http://h:99999999999999999999/?token=x": {},
		"gopher://h/?token=x":                    {runners.ConsoleURL{Scheme: "gopher", Host: "h"}, "x", false},
		"/vnc.html?token=x":                      {},
		"http://h/?path=%3Ftoken%3D%25zz":        {runners.ConsoleURL{Scheme: "http", Host: "h", Port: 80}, "", true},
		"":                                       {},
		"http://\x00":                            {},
	} {
		at, token, ok := takeToken(address)
		if ok != want.ok || ok && (at != want.at || token != want.token) {
			t.Errorf("%q: %+v %q %v, want %+v", address, at, token, ok, want)
		}
	}
}
