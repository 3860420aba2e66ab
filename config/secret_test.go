package config_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"whybot/config"
)

// hidden holds a Secret where package fmt cannot call its methods.
type hidden struct{ inner config.Secret }

// carriers are values that hold a secret, each in its own way.
func carriers() map[string]any {
	s := config.NewSecret("xoxb-" + canary)
	slack := config.Slack{BotToken: s, AppToken: s, SigningSecret: s}
	return map[string]any{
		"value":    s,
		"pointer":  &s,
		"struct":   slack,
		"config":   &config.Config{Slack: &slack},
		"slice":    []config.Secret{s},
		"map":      map[string]config.Secret{"token": s},
		"any":      []any{s, &s},
		"unnamed":  struct{ Token config.Secret }{s},
		"hidden":   hidden{s},
		"hidden *": &hidden{s},
		"error":    fmt.Errorf("logging in with %v (%s, %q, %x): %w", s, s, s, s, fmt.Errorf("%+v", slack)),
	}
}

// writers write a value out in every way the program could.
var writers = map[string]func(any) string{
	"%v":   func(v any) string { return fmt.Sprintf("%v", v) },
	"%+v":  func(v any) string { return fmt.Sprintf("%+v", v) },
	"%#v":  func(v any) string { return fmt.Sprintf("%#v", v) },
	"%s":   func(v any) string { return fmt.Sprintf("%s", v) },
	"%q":   func(v any) string { return fmt.Sprintf("%q", v) },
	"%x":   func(v any) string { return fmt.Sprintf("%x %X", v, v) },
	"%d":   func(v any) string { return fmt.Sprintf("%d", v) },
	"%10v": func(v any) string { return fmt.Sprintf("%-40v|%.3v", v, v) },
	"print": func(v any) string {
		return fmt.Sprint(v) + fmt.Sprintln(v)
	},
	"json": func(v any) string {
		b, err := json.Marshal(v)
		return fmt.Sprintf("%s%v", b, err)
	},
	"yaml": func(v any) string {
		b, err := yaml.Marshal(v)
		return fmt.Sprintf("%s%v", b, err)
	},
	"xml": func(v any) string {
		b, err := xml.Marshal(v)
		return fmt.Sprintf("%s%v", b, err)
	},
	"slog text": func(v any) string {
		var b bytes.Buffer
		slog.New(slog.NewTextHandler(&b, nil)).With("with", v).Info("message", "value", v, slog.Group("group", "value", v))
		return b.String()
	},
	"slog json": func(v any) string {
		var b bytes.Buffer
		slog.New(slog.NewJSONHandler(&b, nil)).With("with", v).Info("message", "value", v, slog.Group("group", "value", v))
		return b.String()
	},
	"panic": func(v any) (s string) {
		defer func() { s = fmt.Sprint(recover()) }()
		panic(v)
	},
}

func TestSecretNeverPrints(t *testing.T) {
	for what, carrier := range carriers() {
		for how, write := range writers {
			out := write(carrier)
			if strings.Contains(out, canary) || strings.Contains(strings.ToLower(out), fmt.Sprintf("%x", canary)) {
				t.Errorf("%s written with %s shows the secret: %s", what, how, out)
			}
		}
	}
}

// The same writers show a plain string, so that the test above can fail.
func TestWritersWouldShowAPlainString(t *testing.T) {
	type plain struct{ Token string }
	for how, write := range writers {
		out := write(plain{canary})
		shown := strings.Contains(out, canary) || strings.Contains(strings.ToLower(out), fmt.Sprintf("%x", canary))
		if !shown {
			t.Errorf("%s does not show a plain string: %s", how, out)
		}
	}
}

func TestSecretPrintsAPlaceholder(t *testing.T) {
	for _, s := range []config.Secret{{}, config.NewSecret("xoxb-" + canary)} {
		js, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		txt, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []string{s.String(), s.GoString(), fmt.Sprintf("%d", s), string(txt), s.LogValue().String(), strings.Trim(string(js), `"`)} {
			if got != "[redacted]" {
				t.Errorf("got %q", got)
			}
		}
	}
}

func TestSecretReveals(t *testing.T) {
	if got := config.NewSecret("xoxb-1").Reveal(); got != "xoxb-1" {
		t.Errorf("Reveal is %q", got)
	}
	if config.NewSecret("").IsSet() || (config.Secret{}).IsSet() || !config.NewSecret("x").IsSet() {
		t.Error("IsSet is wrong")
	}
	if got := (config.Secret{}).Reveal(); got != "" {
		t.Errorf("the zero Secret reveals %q", got)
	}
}
