package node_test

import (
	"strings"
	"testing"
	"time"

	"whybot/commands/node"
)

const units = `Id=neutron-dhcp-agent.service
LoadState=loaded
ActiveState=failed
SubState=failed
MainPID=0

Id=neutron-linuxbridge-agent.service
MainPID=2417
LoadState=loaded
ActiveState=active
SubState=running
`

func TestUnits(t *testing.T) {
	u, err := node.UnitOf(units, node.DHCPAgent)
	if err != nil || u.Runs() || u.Active != "failed" || u.Load != "loaded" {
		t.Errorf("%+v, %v", u, err)
	}
	u, err = node.UnitOf(units, node.LinuxbridgeAgent)
	if err != nil || !u.Runs() || u.PID != "2417" {
		t.Errorf("%+v, %v", u, err)
	}
	for name, text := range map[string]string{
		"nothing": "", "one of two": strings.Split(units, "\n\n")[0], "no systemd": "System has not been booted with systemd as init system\n\nx\n",
	} {
		if u, err := node.UnitOf(text, node.DHCPAgent); err == nil {
			t.Errorf("%s: %+v", name, u)
		}
	}
	if _, err := node.UnitOf(units, "sshd"); err == nil {
		t.Error("a unit that was not asked about is known")
	}
}

func TestProcessOf(t *testing.T) {
	for _, c := range []struct{ text, agent, pid string }{
		{"2417 /usr/bin/python3 /usr/bin/neutron-dhcp-agent --config-file=/etc/neutron/neutron.conf\n", node.DHCPAgent, "2417"},
		{"2417 /usr/bin/python3 -s /usr/bin/neutron-dhcp-agent\n", node.DHCPAgent, "2417"},
		{"2417 python3 -W ignore /usr/bin/neutron-dhcp-agent --debug\n", node.DHCPAgent, "2417"},
		{"2417 python3 -sWignore -X dev -bW ignore /usr/bin/neutron-dhcp-agent\n", node.DHCPAgent, "2417"},
		{"2417 python3 --check-hash-based-pycs never -- /usr/bin/neutron-dhcp-agent\n", node.DHCPAgent, "2417"},
		{"2417 python3 -W neutron-dhcp-agent /usr/bin/other\n", node.DHCPAgent, ""},
		{"2417 python3 -c import-it /usr/bin/neutron-dhcp-agent\n", node.DHCPAgent, ""},
		{"2417 python3 -Im pdb neutron-dhcp-agent\n2418 python3 -W\n", node.DHCPAgent, ""},
		{"2417 neutron-dhcp-agent: the title (/usr/bin/python3 ...)\n", node.DHCPAgent, "2417"},
		{"2417 /usr/bin/neutron-linuxbridge-agent\n", node.LinuxbridgeAgent, "2417"},
		{"2417 /usr/bin/python3 /usr/bin/neutron-linuxbridge-agent\n", node.DHCPAgent, ""},
		{"99 tail -f /var/log/neutron/neutron-dhcp-agent.log\n98 less neutron-dhcp-agent\n", node.DHCPAgent, ""},
		{"99 python3\n\n98\n", node.DHCPAgent, ""},
	} {
		if pid, ok := node.ProcessOf(c.text, c.agent); pid != c.pid || ok != (c.pid != "") {
			t.Errorf("%q: pid %q, %t", c.text, pid, ok)
		}
	}
}

func TestRecent(t *testing.T) {
	now, err := node.ParseClock("2026-11-23 15:10:00 +0100\n")
	if err != nil || !now.Equal(time.Date(2026, 11, 23, 14, 10, 0, 0, time.UTC)) {
		t.Fatalf("%s, %v", now, err)
	}
	if _, err := node.ParseClock("Mon Nov 23"); err == nil {
		t.Error("that is no time")
	}
	log := `2026-11-22 15:09:00.000 2417 ERROR yesterday
2026-11-23 15:09:00.000 2417 ERROR before the start
2026-11-23 15:09:10.000 2500 INFO neutron.common.config [-] Logging enabled!
2026-11-23 14:59:59.000 2500 ERROR more than ten minutes ago
Traceback (most recent call last):
2026-11-23 15:09:50.123 2500 ERROR now` + "\r\n2026-11-24 15:10:00.000 2500 ERROR tomorrow\n2026-11-23 15:0"
	lines := node.Recent(log, now, 10*time.Minute)
	if len(lines) != 1 || !strings.HasSuffix(lines[0].Text, "ERROR now") || now.Sub(lines[0].At) != 9877*time.Millisecond {
		t.Errorf("%+v", lines)
	}
}

func FuzzRecent(f *testing.F) {
	f.Add("2026-11-23 15:09:50.123 2500 ERROR now\n")
	f.Add("2026-11-23 15:09:50.123 2500 INFO Logging enabled!\n\x00\n")
	now := time.Date(2026, 11, 23, 15, 10, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		for _, l := range node.Recent(text, now, time.Minute) {
			if now.Sub(l.At).Abs() > time.Minute || !strings.Contains(text, l.Text) {
				t.Errorf("%+v", l)
			}
		}
		if u, err := node.ParseUnits(text, 1); err == nil && len(u) != 1 {
			t.Errorf("%+v", u)
		}
		node.ProcessOf(text, node.DHCPAgent)
	})
}
