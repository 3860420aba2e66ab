package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"whybot/internal/cloudfake"
)

// The three logins are what they are said to be, through a real sshd and sudo.
func TestKernelLogins(t *testing.T) {
	l := mustUp(t, Options{User: "whyprobe"})
	ssh := func(config, command string) (string, error) {
		out, err := exec.CommandContext(testContext(t), "ssh", "-n", "-F", config, Controller01, command).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	for _, c := range []struct {
		user, command, want string
		ok                  bool
	}{
		{"root", "id -un; iptables-save | grep -c 'A FORWARD'", "root\n2", true},
		{"whyprobe", "id -un; sudo -n iptables-save | grep -c 'A FORWARD'", "whyprobe\n2", true},
		{"whyprobe", "sudo -n ip netns list", "sudo: a password is required", false},
		{"whyprobe", "iptables-save", "", false},
		{"whyprobe", "sudo -n sh -c id", "sudo: a password is required", false},
		{"nosudo", "sudo -n ip link", "sudo: a password is required", false},
	} {
		out, err := ssh(l.SSHConfig(c.user), c.command)
		if (err == nil) != c.ok || !strings.Contains(out, c.want) {
			t.Errorf("%s: %s: %q, %v; want %q, success %t", c.user, c.command, out, err, c.want, c.ok)
		}
	}
	if out, err := ssh(l.Dir+"/ssh_config", "id -un"); err != nil || out != "whyprobe" {
		t.Errorf("ssh_config of Options.User whyprobe logs in as %q, %v", out, err)
	}
}

// Restarting iptables loses Neutron's chains, restarting the agent restores
// them, in every distribution and back end.
func TestKernelServicesDoWhatTheyDoInRealLife(t *testing.T) {
	for _, o := range []Options{{}, {Distro: Debian, Backend: Legacy, Style: OldStyle}} {
		l, ctx := mustUp(t, o), testContext(t)
		m := l.Machine(Controller01)
		before, err := l.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		unit := map[Distro]string{RHEL: "iptables", Debian: "netfilter-persistent"}[l.Options().Distro]
		out, err := m.Sh(ctx, `systemctl restart "$1"; iptables-save | grep -c -- -neutron-linuxbri || true; systemctl is-active "$1"; systemctl is-enabled "$1"`, unit)
		if err != nil || out != "0\nactive\nenabled\n" {
			t.Errorf("%+v: after restarting %s: %q, %v; want no rule of Neutron", o, unit, out, err)
		}
		lost, err := l.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if lost == before {
			t.Error("the snapshot does not show that Neutron's chains are gone")
		}
		if _, err := m.Run(ctx, "systemctl", "restart", "neutron-linuxbridge-agent.service"); err != nil {
			t.Fatal(err)
		}
		after, err := l.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if after != before {
			t.Errorf("%+v: the agent did not restore its chains:\n%s\nwant\n%s", o, after, before)
		}
		var exit *CommandError
		if _, err := m.Run(ctx, "systemctl", "restart", "cups"); !errors.As(err, &exit) || exit.Code != 5 {
			t.Errorf("restarting a unit that does not exist: %v", err)
		}
	}
}

func TestKernelDHCPAgentRestartBringsDnsmasqBack(t *testing.T) {
	l, ctx := mustUp(t, Options{}), testContext(t)
	if err := broken(on(Controller01, killDnsmasq, paymentsNet.ID))(ctx, l); err != nil {
		t.Fatal(err)
	}
	if err := l.VM(Web1).WaitVerdict(ctx); err != nil {
		t.Fatal(err)
	}
	if ip, ok := l.VM(Web1).Lease(); ok || l.VM(Web1).Attempts() == 0 {
		t.Fatalf("without dnsmasq web-1 got %q after %d attempts", ip, l.VM(Web1).Attempts())
	}
	if _, err := l.Machine(Controller01).Run(ctx, "systemctl", "restart", "neutron-dhcp-agent"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.VM(Web1).WaitLease(ctx); err != nil {
		t.Error(err)
	}
}

// A capture on the trunk shows the frames of both networks with their tags, one
// on a sub-interface those of its own without.
func TestKernelTrunkCarriesTags(t *testing.T) {
	l, ctx := mustUp(t, Options{}), testContext(t)
	for _, name := range []string{Web1, DB1} {
		if err := l.VM(name).AskOften(ctx); err != nil {
			t.Fatal(err)
		}
	}
	capture := func(device, filter string) string {
		out, _ := l.Machine(Compute01).Run(ctx, "timeout", "5", "tcpdump", "-l", "-nn", "-e", "-i", device, filter) // exit code: timeout's
		return out
	}
	trunk := capture("eth3", "vlan and udp")
	for _, want := range []string{"vlan 3092, p 0, ethertype IPv4", "vlan 3093, p 0, ethertype IPv4", "BOOTP/DHCP, Request from fa:16:3e:4b:10:11", "BOOTP/DHCP, Reply"} {
		if !strings.Contains(trunk, want) {
			t.Errorf("the trunk lacks %q:\n%s", want, trunk)
		}
	}
	sub := capture(webSub, "udp")
	if !strings.Contains(sub, "Request from fa:16:3e:4b:10:11") || strings.Contains(sub, "vlan") || strings.Contains(sub, "fa:16:3e:4b:10:21") {
		t.Errorf("%s carries tags, or another network's frames, or nothing:\n%s", webSub, sub)
	}
}

// An operator's `ip link add ... type vlan` works without 8021q.
func TestKernelSubInterfaceCanBeMadeAnew(t *testing.T) {
	l, ctx := mustUp(t, Options{}), testContext(t)
	m := l.Machine(Compute01)
	if _, err := m.Sh(ctx, `ip link del "$1"
ip link add link eth3 name "$1" type vlan id 3092
ip link set "$1" master "$2"
ip link set "$1" up`, webSub, webBridge); err != nil {
		t.Fatal(err)
	}
	if err := l.VM(Web1).Renew(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := l.VM(Web1).WaitLease(ctx); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]string{
		{"ip", "link", "add", "link", "eth9", "name", "eth9.5", "type", "vlan", "id", "5"},
		{"ip", "link", "add", "link", "eth3", "type", "vlan", "id", "5"},
	} {
		if out, err := m.Run(ctx, bad...); err == nil {
			t.Errorf("%s succeeded: %s", strings.Join(bad, " "), out)
		}
	}
}

// Taking the network from the DHCP agent and giving it back over the API does
// on the node what a resync does.
func TestKernelResyncOverTheAPI(t *testing.T) {
	l, ctx := mustUp(t, Options{}), testContext(t)
	if err := broken(on(Controller01, forgetHost, paymentsNet.ID, l.VM(Web1).Port.MAC))(ctx, l); err != nil {
		t.Fatal(err)
	}
	token := login(t, l)
	agent := "/networking/v2.0/agents/" + DHCPAgentID(Controller01) + "/dhcp-networks"
	callAPI(t, l, token, http.MethodDelete, agent+"/"+paymentsNet.ID, nil, http.StatusNoContent)
	if out, err := l.Machine(Controller01).Run(ctx, "ip", "netns", "list"); err != nil || strings.Contains(out, DHCPNamespace(paymentsNet.ID)) {
		t.Errorf("the namespace outlived the network's removal: %q, %v", out, err)
	}
	// the new address is only in the API: the files must come from there
	l.Cloud.Update(func(m *cloudfake.Model) {
		i := slices.IndexFunc(m.Ports, func(p cloudfake.Port) bool { return p.ID == l.VM(Web2).Port.ID })
		m.Ports[i].FixedIPs[0].Address = "10.30.92.77"
	})
	callAPI(t, l, token, http.MethodPost, agent, map[string]string{"network_id": paymentsNet.ID}, http.StatusCreated)
	if _, err := l.VM(Web1).WaitLease(ctx); err != nil {
		t.Error(err)
	}
	hosts, err := l.Machine(Controller01).ReadFile("/var/lib/neutron/dhcp/" + paymentsNet.ID + "/host")
	if err != nil || !strings.Contains(hosts, "fa:16:3e:4b:10:12,host-10-30-92-77.openstacklocal,10.30.92.77\n") {
		t.Errorf("the host file is not of the model: %q, %v", hosts, err)
	}
}

// A DHCP agent is alive in the API while it runs. What Neutron is told while it
// does not run reaches its node when it is started.
func TestKernelADeadAgentLearnsWhenItIsStarted(t *testing.T) {
	l, ctx := mustUp(t, Options{Distro: Debian}), testContext(t)
	token, m := login(t, l), l.Machine(Controller01)
	alive := func() bool {
		return strings.Contains(callAPI(t, l, token, http.MethodGet, "/networking/v2.0/agents/"+DHCPAgentID(Controller01), nil, http.StatusOK), `"alive":true`)
	}
	hosts := func() string {
		text, err := m.ReadFile("/var/lib/neutron/dhcp/" + paymentsNet.ID + "/host")
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if !alive() {
		t.Error("a running agent is called dead")
	}
	if _, err := m.Run(ctx, "systemctl", "stop", "neutron-dhcp-agent"); err != nil {
		t.Fatal(err)
	}
	if alive() {
		t.Error("a stopped agent is called alive")
	}
	if err := l.Neutron(ctx, unknownPort); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(hosts(), webMAC) {
		t.Error("a dead agent followed Neutron")
	}
	if _, err := m.Run(ctx, "systemctl", "start", "neutron-dhcp-agent"); err != nil {
		t.Fatal(err)
	}
	if !alive() || strings.Contains(hosts(), webMAC) {
		t.Errorf("after its start: alive %t, hosts %q", alive(), hosts())
	}
	if err := l.Neutron(ctx, knownPort); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(hosts(), webMAC) {
		t.Error("a running agent did not follow Neutron")
	}
	log, err := m.ReadFile("/var/log/neutron/neutron-dhcp-agent.log") // Debian's name of it
	if err != nil || strings.Count(log, "started") != 2 {
		t.Errorf("the agent's log: %q, %v", log, err)
	}
}

// Disabling DHCP over the API takes the server and its port away, enabling it
// brings both back with the same address.
func TestKernelSubnetsAreServedAsTheAPISays(t *testing.T) {
	l, ctx := mustUp(t, Options{}), testContext(t)
	token := login(t, l)
	if _, err := l.VM(Web1).WaitLease(ctx); err != nil {
		t.Fatal(err)
	}
	before, err := l.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const ports = "/networking/v2.0/ports?device_owner=network:dhcp&network_id="
	for _, enabled := range []bool{false, true} {
		callAPI(t, l, token, http.MethodPut, "/networking/v2.0/subnets/"+paymentsNet.SubnetID,
			map[string]any{"subnet": map[string]any{"enable_dhcp": enabled}}, http.StatusOK)
		namespaces, err := l.Machine(Controller01).Run(ctx, "ip", "netns", "list")
		if err != nil || strings.Contains(namespaces, DHCPNamespace(paymentsNet.ID)) != enabled {
			t.Errorf("DHCP enabled %t: namespaces %q, %v", enabled, namespaces, err)
		}
		if has := strings.Contains(callAPI(t, l, token, http.MethodGet, ports+paymentsNet.ID, nil, http.StatusOK), "10.30.92.10"); has != enabled {
			t.Errorf("DHCP enabled %t, and the API has the DHCP port: %t", enabled, has)
		}
	}
	after, err := l.Snapshot(ctx)
	if err != nil || after != before {
		t.Errorf("%v; after disabling and enabling:\n%s\nwant\n%s", err, after, before)
	}
}

func login(t *testing.T, l *Lab) string {
	t.Helper()
	var user cloudfake.User
	l.Cloud.Update(func(m *cloudfake.Model) {
		user = m.Users[slices.IndexFunc(m.Users, func(u cloudfake.User) bool { return u.Role == "admin" })]
	})
	body := fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"domain":{"name":"Default"},"password":%q}}},`+
		`"scope":{"project":{"name":"payments","domain":{"name":"Default"}}}}}`, user.Name, user.Password)
	resp, err := http.Post(l.Cloud.AuthURL()+"/auth/tokens", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("login: %s", resp.Status)
	}
	return resp.Header.Get("X-Subject-Token")
}

func callAPI(t *testing.T, l *Lab, token, method, path string, body any, want int) string {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(testContext(t), method, l.Cloud.URL()+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != want {
		t.Fatalf("%s %s: %s, want %d", method, path, resp.Status, want)
	}
	return string(text)
}

func TestWiringKeepsWhatMattersAndNothingElse(t *testing.T) {
	const links = `1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT group default qlen 1000\    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
3092: eth3.3092@eth3: <NO-CARRIER,BROADCAST,MULTICAST,UP,M-DOWN> mtu 1500 qdisc noqueue master brq91e78b9c-cf state LOWERLAYERDOWN mode DEFAULT
4: eth3@if5: <BROADCAST,MULTICAST> mtu 1500 qdisc noqueue state DOWN mode DEFAULT group default qlen 1000
garbage
`
	const want = "eth3 up=false master=\neth3.3092 up=true master=brq91e78b9c-cf\nlo up=true master=\n"
	if got := wiring(links); got != want {
		t.Errorf("wiring = %q, want %q", got, want)
	}
	if got := withoutCounters("# Generated by x on Mon\n:INPUT ACCEPT [12:345]\n-A INPUT -j DROP\n"); got != ":INPUT ACCEPT [0:0]\n-A INPUT -j DROP\n" {
		t.Errorf("withoutCounters = %q", got)
	}
}
