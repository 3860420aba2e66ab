package openstack

import (
	"encoding/json"
	"testing"
)

// Neutron gives an agent's configuration as the agent reported it, whatever
// that was.
func TestTunnelsOfOddAgents(t *testing.T) {
	for _, c := range []struct {
		name, configurations, ip string
		known, on                bool
	}{
		{"off", `{"tunneling_ip":"10.0.0.1","tunnel_types":["vxlan"],"l2_population":false}`, "10.0.0.1", true, false},
		{"not said", `{"tunneling_ip":"10.0.0.1"}`, "10.0.0.1", false, false},
		{"null", `{"tunneling_ip":"10.0.0.1","l2_population":null}`, "10.0.0.1", false, false},
		{"a word", `{"tunneling_ip":"10.0.0.1","tunnel_types":"vxlan","l2_population":"yes"}`, "10.0.0.1", false, false},
		{"an address that is none", `{"tunneling_ip":17,"l2_population":true}`, "", false, false},
		{"no tunnels", `{"bridge_mappings":{}}`, "", false, false},
	} {
		a := agent{Type: linuxBridgeAgent, Host: "compute01"}
		if err := json.Unmarshal([]byte(c.configurations), &a.Configurations); err != nil {
			t.Fatal(err)
		}
		v := a.vocabulary()
		on, known := v.L2Population.Get()
		if v.TunnelingIP != c.ip || on != c.on || known != c.known {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}
