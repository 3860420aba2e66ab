package openstack

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"whybot/internal/cloudfake"
	"whybot/runners"
)

func add(agent, network string) runners.CloudCall {
	return runners.CloudCall{Op: runners.CloudAddDHCPNetwork, Args: map[string]string{"agent": agent, "network": network}}
}

func remove(agent, network string) runners.CloudCall {
	return runners.CloudCall{Op: runners.CloudRemoveDHCPNetwork, Args: map[string]string{"agent": agent, "network": network}}
}

func TestDHCPNetworks(t *testing.T) {
	cloud := cloudfake.New(model())
	var mu sync.Mutex
	var told []bool
	cloud.OnDHCPNetwork = func(_, _ string, added bool) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, added)
	}
	if err := cloud.Serve(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloud.Close)
	c, ctx := dial(t, cloud, "admin", nil), t.Context()
	for range 2 { // the second time it is gone already
		if err := c.Do(ctx, remove(dhcp1, net1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Do(ctx, remove("no-such-agent", net1)); err != nil {
		t.Errorf("an agent that does not exist serves nothing: %v", err)
	}
	hosts := runners.CloudRef{Kind: runners.HostingAgents, ID: net1}
	if o, err := c.Object(ctx, hosts); err != nil || len(o) != 1 || o[dhcp2] == "" {
		t.Errorf("after the removal %v, %v", o, err)
	}
	for range 2 { // the second time it is there already
		if err := c.Do(ctx, add(dhcp1, net1)); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	if !slices.Equal(told, []bool{false, true}) {
		t.Errorf("the agent was told %v, want one removal and one addition", told)
	}
	mu.Unlock()

	wantKind(t, c.Do(ctx, add(dhcp1, "no-such-network")), runners.NotFound, "neutron")
	wantKind(t, c.Do(ctx, add("no-such-agent", net1)), runners.NotFound, "neutron")
	if e := wantKind(t, c.Do(ctx, add("lb-compute01", net1)), runners.NotFound, "neutron"); !strings.Contains(e.Hint, "no DHCP agent") {
		t.Errorf("hint %q", e.Hint)
	}
	if o, err := c.Object(ctx, hosts); err != nil || len(o) != 2 {
		t.Errorf("after the addition %v, %v", o, err)
	}
	member := dial(t, cloud, "member", nil)
	_, err := member.Object(ctx, hosts)
	wantKind(t, err, runners.Hidden, "neutron")
	wantKind(t, member.Do(ctx, remove(dhcp1, net1)), runners.Hidden, "neutron")
	wantKind(t, member.Do(ctx, add(dhcp1, net1)), runners.Hidden, "neutron")
	wantKind(t, c.Do(ctx, remove(dhcp1, "../../networks/"+net1)), runners.NotFound, "neutron")
	if n := count(cloud, "DELETE", "/networks/"+net1); n != 0 {
		t.Error("a crafted id deleted a network")
	}
}

// Only Neutron's own word for it is success: another 404 or 409 is not.
func TestDHCPNetworkDoubtfulSuccess(t *testing.T) {
	for _, f := range []cloudfake.Fault{
		{Path: "dhcp-networks", Status: 404, Body: `{"NeutronError":{"type":"HTTPNotFound"}}`}, // no such extension
		{Path: "dhcp-networks", Status: 404, Body: "<html>"},
		{Path: "dhcp-networks", Status: 409, Body: `{"NeutronError":{"type":"IpAddressInUse"}}`},
	} {
		cloud := serve(t, model())
		cloud.Inject(f)
		c := dial(t, cloud, "admin", nil)
		if err := c.Do(t.Context(), remove(dhcp1, net1)); err == nil {
			t.Errorf("removal answered with %d %s was taken for success", f.Status, f.Body)
		}
		if err := c.Do(t.Context(), add(dhcp1, net2)); err == nil {
			t.Errorf("addition answered with %d %s was taken for success", f.Status, f.Body)
		}
	}
}

// A shelf is one subnet of a Neutron that keeps revisions: between the look and
// the change, meanwhile may change it too.
type shelf struct {
	mu        sync.Mutex
	value     string // of enable_dhcp
	revision  int
	unrevised bool // an old Neutron
	puts      int
	meanwhile func(*shelf)
}

func (s *shelf) serve(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := func(code int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	if r.Method == http.MethodPut {
		s.puts++
		if have := r.Header.Get("If-Match"); !s.unrevised && have != fmt.Sprintf("revision_number=%d", s.revision) {
			return answer(http.StatusPreconditionFailed, `{"NeutronError":{"type":"RevisionNumberConstraintFailed"}}`)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if value, ok := strings.CutPrefix(string(body), `{"subnet":{"enable_dhcp":`); ok {
			s.value = strings.TrimSuffix(value, "}}")
			s.revision++
		}
	}
	text := fmt.Sprintf(`{"subnet":{"id":%q,"enable_dhcp":%s,"revision_number":%d}}`, subnet1, s.value, s.revision)
	if s.unrevised {
		text = fmt.Sprintf(`{"subnet":{"id":%q,"enable_dhcp":%s}}`, subnet1, s.value)
	}
	if r.Method == http.MethodGet && s.meanwhile != nil {
		s.meanwhile(s)
	}
	return answer(http.StatusOK, text)
}

func TestSet(t *testing.T) {
	call := func(change map[string]string) runners.CloudCall {
		args := map[string]string{"kind": "subnet", "id": subnet1, "attribute": "enable_dhcp", "from": "false", "to": "true"}
		for k, v := range change {
			args[k] = v
		}
		return runners.CloudCall{Op: runners.CloudSet, Args: args}
	}
	for _, tt := range []struct {
		name  string
		shelf *shelf
		args  map[string]string
		says  string // of the error; empty for none
		value string // afterwards
		puts  int
	}{
		{"as known", &shelf{value: "false", revision: 4}, nil, "", "true", 1},
		{"without revisions", &shelf{value: "false", unrevised: true}, nil, "", "true", 1},
		{"made already", &shelf{value: "true", revision: 4}, nil, "", "true", 0},
		{"a third value", &shelf{value: `"odd"`, revision: 4}, nil, "nothing was changed", `"odd"`, 0},
		{
			"changed at the same moment", &shelf{value: "false", revision: 4, meanwhile: func(s *shelf) { s.revision++ }},
			nil, "somebody else", "false", 1,
		},
		{"an attribute that is not ours", &shelf{value: "false"}, map[string]string{"attribute": "name"}, "does not change name", "false", 0},
		{"a kind that is not ours", &shelf{value: "false"}, map[string]string{"kind": "router"}, "changes no such thing", "false", 0},
		{"a crafted id", &shelf{value: "false"}, map[string]string{"id": "../ports/x"}, "an id has only letters", "false", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, serve(t, model()), "admin", func(o *Options) {
				o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					if strings.Contains(r.URL.Path, "/subnets/") {
						return tt.shelf.serve(r)
					}
					return http.DefaultTransport.RoundTrip(r)
				})
			})
			t.Cleanup(http.DefaultClient.CloseIdleConnections)
			err := c.Do(t.Context(), call(tt.args))
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
			tt.shelf.meanwhile = nil
			if tt.shelf.value != tt.value || tt.shelf.puts != tt.puts {
				t.Errorf("the value is %s after %d changes, want %s after %d", tt.shelf.value, tt.shelf.puts, tt.value, tt.puts)
			}
			o, err := c.Object(t.Context(), runners.CloudRef{Kind: "subnet", ID: subnet1})
			if err != nil || o["enable_dhcp"] != tt.value {
				t.Errorf("read back %v, %v", o, err)
			}
		})
	}
}

func TestNoSuchCall(t *testing.T) {
	c := dial(t, serve(t, model()), "admin", nil)
	wantKind(t, c.Do(t.Context(), runners.CloudCall{Op: "format-disk"}), runners.Invalid, "neutron")
	_, err := c.Object(t.Context(), runners.CloudRef{Kind: "subnet", ID: "no-such"})
	wantKind(t, err, runners.NotFound, "neutron")
}
