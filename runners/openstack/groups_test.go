package openstack

import (
	"reflect"
	"strings"
	"testing"

	"whybot/internal/cloudfake"
	"whybot/runners"
)

func TestSecurityRules(t *testing.T) {
	t.Parallel()
	m := model()
	m.SecurityGroups = []cloudfake.SecurityGroup{
		{ID: "g-web", Name: "web", ProjectID: payments, Rules: []cloudfake.SecurityRule{
			{ID: "r-1", Direction: "egress"},
			{ID: "r-2", Direction: "ingress", Protocol: "icmp", PortMin: 8, RemotePrefix: "10.0.0.0/8"},
			{ID: "r-3", Direction: "ingress", RemoteGroup: "g-web"},
		}},
		{ID: "g-none", Name: "none", ProjectID: payments},
		{ID: "g-theirs", Name: "theirs", ProjectID: others, Rules: []cloudfake.SecurityRule{{ID: "r-4", Direction: "ingress"}}},
	}
	cloud := serve(t, m)
	for role, shown := range map[string]bool{"admin": true, "member": false} {
		all, err := dial(t, cloud, role, nil).SecurityRules(t.Context(), []string{"g-none", "g-theirs", "g-web"})
		if err != nil {
			t.Fatal(err)
		}
		if none, known := all["g-none"].Get(); !known || len(none) != 0 {
			t.Errorf("%s: a group without rules: %v, %v", role, none, known)
		}
		theirs, known := all["g-theirs"].Get()
		if known != shown || len(theirs) > 0 != shown || !known && !strings.Contains(all["g-theirs"].Why(), "g-theirs") {
			t.Errorf("%s: another project's group: %v, %v (%s)", role, theirs, known, all["g-theirs"].Why())
		}
		ownRules(t, all["g-web"].Or(nil))
	}
	// Neutron answers a question about no group with all rules there are.
	if all, err := dial(t, cloud, "admin", nil).SecurityRules(t.Context(), nil); err != nil || len(all) != 0 {
		t.Errorf("of no group: %v, %v", all, err)
	}
}

func ownRules(t *testing.T, rules []runners.SecurityRule) {
	t.Helper()
	echoes := 8
	want := []runners.SecurityRule{
		{ID: "r-1", GroupID: "g-web", Direction: "egress", EtherType: "IPv4"},
		{ID: "r-2", GroupID: "g-web", Direction: "ingress", EtherType: "IPv4", Protocol: "icmp", PortMin: &echoes, RemotePrefix: "10.0.0.0/8"},
		{ID: "r-3", GroupID: "g-web", Direction: "ingress", EtherType: "IPv4", RemoteGroup: "g-web"},
	}
	if !reflect.DeepEqual(rules, want) {
		t.Errorf("%+v, want %+v", rules, want)
	}
}
