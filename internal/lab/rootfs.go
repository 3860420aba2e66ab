package lab

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"whybot/runners/ssh"
)

//go:embed embed/*.sh
var scripts embed.FS

func script(name string) []byte {
	b, err := scripts.ReadFile("embed/" + name)
	if err != nil {
		panic(err) // compiled in: cannot happen in a program that was built
	}
	return b
}

// shown are the top-level directories of this machine that a lab machine sees
// through its overlay.
var shown = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "var", "boot", "dev", "proc", "sys"}

// standard are the top-level directories that a machine has, but empty.
var standard = []string{"home", "media", "mnt", "opt", "root", "run", "srv", "tmp"}

// emptied are directories under the shown ones that must not shine through.
var emptied = []string{
	"etc/ssh", "etc/sudoers.d", "etc/iptables", "etc/sysconfig", "etc/neutron", "etc/nova", "etc/cinder",
	"var/log", "var/tmp", "var/lib/neutron", "var/lib/nova", "var/lib/cinder",
}

// A tree writes the upper layer of a machine's file system and keeps the first
// error.
type tree struct {
	upper string
	err   error
}

func (t *tree) do(err error) {
	t.err = errors.Join(t.err, err)
}

func (t *tree) dir(path string, mode os.FileMode) {
	full := filepath.Join(t.upper, path)
	t.do(os.MkdirAll(full, 0o755))
	t.do(os.Chmod(full, mode))
}

// hide makes a directory that shows nothing of the one below it.
func (t *tree) hide(path string) {
	t.dir(path, 0o755)
	if err := syscall.Setxattr(filepath.Join(t.upper, path), "trusted.overlay.opaque", []byte("y"), 0); err != nil {
		t.do(fmt.Errorf("make %s opaque: %w", path, err))
	}
}

// remove makes the overlay deny that a path of the layer below exists.
func (t *tree) remove(path string) {
	if err := syscall.Mknod(filepath.Join(t.upper, path), syscall.S_IFCHR, 0); err != nil {
		t.do(fmt.Errorf("white out %s: %w", path, err))
	}
}

func (t *tree) file(path, text string, mode os.FileMode) {
	full := filepath.Join(t.upper, path)
	t.do(os.MkdirAll(filepath.Dir(full), 0o755))
	t.do(os.WriteFile(full, []byte(text), mode))
	t.do(os.Chmod(full, mode))
}

func (t *tree) link(path, target string) {
	full := filepath.Join(t.upper, path)
	t.do(os.MkdirAll(filepath.Dir(full), 0o755))
	t.do(os.Symlink(target, full))
}

// writeRoot writes a machine's upper layer under dir.
func (l *Lab) writeRoot(name, dir string) error {
	t := &tree{upper: filepath.Join(dir, "upper")}
	for _, d := range []string{"upper", "work", "root"} {
		t.do(os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	t.skeleton()
	t.accounts(l.keys)
	t.sshd(l.keys.host[name].private)
	t.do(t.programs(l.options.Backend))
	l.identity(t, name)
	l.services(t, name)
	l.neutronFiles(t, name)
	return t.err
}

func (t *tree) skeleton() {
	top, err := os.ReadDir("/")
	t.do(err)
	for _, e := range top {
		isLink := e.Type()&os.ModeSymlink != 0 // bin -> usr/bin
		if !isLink && !slices.Contains(shown, e.Name()) && !slices.Contains(standard, e.Name()) {
			t.remove(e.Name())
		}
	}
	for _, d := range slices.Concat(standard, emptied) {
		t.hide(d)
	}
	for _, d := range []string{
		"mnt/old", "run/sshd", "run/netns", "run/lock", "usr/lib/whylab/bpf", "usr/lib/whylab/units",
		"usr/lib/whylab/dhcp", "var/lib/neutron/dhcp", "var/log/neutron", "home",
	} {
		t.dir(d, 0o755)
	}
	t.dir("tmp", 0o777|os.ModeSticky)
	t.dir("var/tmp", 0o777|os.ModeSticky)
	t.dir("root", 0o700)
}

// programs puts the stand-ins in the real programs' places and lets iptables
// be the wanted back end.
func (t *tree) programs(backend Backend) error {
	real, err := exec.LookPath("ip")
	if err != nil {
		return err
	}
	if real, err = filepath.EvalSymlinks(real); err != nil {
		return err
	}
	b, err := os.ReadFile(real)
	if err != nil {
		return err
	}
	t.file("usr/lib/whylab/ip", string(b), 0o755)
	t.file(real, string(script("ip.sh")), 0o755)
	t.file(strings.TrimPrefix(ssh.HelperPath, "/"), ssh.Helper, 0o755)
	t.file("usr/bin/systemctl", string(script("systemctl.sh")), 0o755)
	for _, s := range []string{"boot", "linuxbridge-agent", "vxlan", "dhcp-agent", "l3-agent", "listen"} {
		t.file("usr/lib/whylab/"+s, string(script(s+".sh")), 0o755)
	}
	kind := strings.TrimPrefix(string(backend), "iptables-")
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, action := range []string{"", "-save", "-restore"} {
			t.link("etc/alternatives/"+family+action, "/usr/sbin/"+family+"-"+kind+action)
		}
	}
	return nil
}

// accounts makes root, whyprobe, nosudo and whyfix reachable by key and nobody by
// password.
func (t *tree) accounts(k *keys) {
	passwd, group, shadow := "", "", ""
	for _, f := range []struct {
		path string
		out  *string
	}{{"/etc/passwd", &passwd}, {"/etc/group", &group}} {
		b, err := os.ReadFile(f.path)
		t.do(err)
		for line := range strings.Lines(string(b)) {
			if n, _, _ := strings.Cut(line, ":"); n == probeUser || n == nobodyUser || n == FixUser {
				continue
			}
			*f.out += line
		}
	}
	logins := []struct{ name, key string }{{probeUser, k.user.public}, {nobodyUser, k.user.public}, {FixUser, k.fix.public}}
	for i, u := range logins {
		passwd += fmt.Sprintf("%s:x:%d:%d::/home/%s:/bin/sh\n", u.name, 61500+i, 61500+i, u.name)
		group += fmt.Sprintf("%s:x:%d:\n", u.name, 61500+i)
		t.dir("home/"+u.name, 0o755)
		t.file("home/"+u.name+"/.ssh/authorized_keys", u.key, 0o600)
		for _, p := range []string{"", "/.ssh", "/.ssh/authorized_keys"} {
			t.do(os.Chown(filepath.Join(t.upper, "home", u.name+p), 61500+i, 61500+i))
		}
	}
	for line := range strings.Lines(passwd) {
		n, _, _ := strings.Cut(line, ":")
		shadow += n + ":*:19000:0:99999:7:::\n"
	}
	t.file("etc/passwd", passwd, 0o644)
	t.file("etc/group", group, 0o644)
	t.file("etc/shadow", shadow, 0o600)
	t.file("root/.ssh/authorized_keys", k.user.public, 0o600)
	t.file("etc/sudoers", "Defaults env_reset\nDefaults secure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n"+
		"root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n", 0o440)
	files, err := sudoersFiles()
	t.do(err)
	for name, text := range files {
		t.file("etc/sudoers.d/"+name, text, 0o440)
	}
}

func (t *tree) sshd(hostKey string) {
	t.file("etc/ssh/ssh_host_ed25519_key", hostKey, 0o600)
	t.file("etc/ssh/sshd_config", "Port 22\nHostKey /etc/ssh/ssh_host_ed25519_key\nPermitRootLogin prohibit-password\n"+
		"PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nUseDNS no\nPrintMotd no\nMaxSessions 10\nMaxStartups 50\n"+
		"Subsystem sftp internal-sftp\n", 0o600)
}

// identity is who the machine says it is.
func (l *Lab) identity(t *tree, name string) {
	hosts := "127.0.0.1 localhost\n"
	for _, m := range l.plan.machines {
		hosts += fmt.Sprintf("172.30.200.%d %s\n", machineNumber(m), m)
	}
	t.file("etc/hosts", hosts, 0o644)
	t.file("etc/hostname", name+"\n", 0o644)
	if l.options.Distro == RHEL {
		t.file("etc/redhat-release", "CentOS Linux release 7.9.2009 (Core)\n", 0o644)
		t.file("etc/os-release", "NAME=\"CentOS Linux\"\nVERSION=\"7 (Core)\"\nID=\"centos\"\nID_LIKE=\"rhel fedora\"\nVERSION_ID=\"7\"\n"+
			"PRETTY_NAME=\"CentOS Linux 7 (Core)\"\n", 0o644)
	}
	t.file("usr/lib/whylab/system-log", l.options.systemLog()+"\n", 0o644)
	t.file("usr/lib/whylab/log-prefix", l.options.logPrefix()+"\n", 0o644)
	t.file(l.options.rulesFile(), l.options.savedRules(name), 0o600)
	trunks := ""
	for _, p := range l.plan.physnets() {
		trunks += nics[p] + "\n"
	}
	t.file("usr/lib/whylab/trunks", trunks, 0o644)
}

// services are the units that the stand-in of systemctl knows.
func (l *Lab) services(t *tree, name string) {
	unit := func(name, description, rest string) {
		t.file("usr/lib/whylab/units/"+name, "description='"+description+"'\n"+rest, 0o644)
	}
	flush := "for table in filter raw mangle nat; do iptables -t $table -F; iptables -t $table -X; done; " +
		"for chain in INPUT FORWARD OUTPUT; do iptables -P $chain ACCEPT; done"
	firewall := fmt.Sprintf("on_start() { %s && iptables-restore <%s; }\non_stop() { %s; }\n", flush, l.options.rulesFile(), flush)
	ssh, rules, rulesAlias := "sshd", "iptables", "netfilter-persistent"
	if l.options.Distro == Debian {
		ssh, rules, rulesAlias = "ssh", rulesAlias, rules
		t.link("usr/lib/whylab/units/"+rulesAlias, rules)
	}
	unit(rules, "IPv4 firewall with iptables", firewall)
	unit(ssh, "OpenSSH server daemon", "active() { true; }\non_start() { :; }\n")
	unit("neutron-linuxbridge-agent", "OpenStack Neutron Linux Bridge Agent",
		"command='/usr/bin/python3 /usr/bin/neutron-linuxbridge-agent --config-file=/etc/neutron/neutron.conf --config-file=/etc/neutron/plugins/ml2/linuxbridge_agent.ini'\n"+
			"on_start() { /usr/lib/whylab/linuxbridge-agent; }\n")
	if slices.Contains(l.plan.controllers(), name) {
		unit("neutron-dhcp-agent", "OpenStack Neutron DHCP Agent",
			"command='/usr/bin/python3 /usr/bin/neutron-dhcp-agent --config-file=/etc/neutron/neutron.conf --config-file=/etc/neutron/dhcp_agent.ini'\n"+
				"on_start() { /usr/lib/whylab/dhcp-agent sync; }\n")
	}
	if len(l.plan.routerPortsOf(name)) > 0 {
		unit(l3Agent, "OpenStack Neutron L3 Agent",
			"command='/usr/bin/python3 /usr/bin/neutron-l3-agent --config-file=/etc/neutron/neutron.conf --config-file=/etc/neutron/l3_agent.ini'\n"+
				"on_start() { /usr/lib/whylab/l3-agent sync; }\n")
	}
}

// neutronFiles are the agents' configuration and what Neutron would tell them.
func (l *Lab) neutronFiles(t *tree, name string) {
	mappings := make([]string, 0, len(l.plan.physnets()))
	for _, p := range l.plan.physnets() {
		mappings = append(mappings, p+":"+nics[p])
	}
	t.file("etc/neutron/neutron.conf", "[DEFAULT]\nhost = "+name+"\nstate_path = /var/lib/neutron\nlog_dir = /var/log/neutron\n", 0o640)
	t.file("etc/neutron/plugins/ml2/linuxbridge_agent.ini", "[linux_bridge]\nphysical_interface_mappings = "+strings.Join(mappings, ",")+
		"\n"+l.options.tunnelConfig(name)+"[securitygroup]\nenable_security_group = true\nfirewall_driver = iptables\n", 0o640)
	t.file("etc/neutron/dhcp_agent.ini", "[DEFAULT]\ninterface_driver = linuxbridge\ndhcp_driver = neutron.agent.linux.dhcp.Dnsmasq\n", 0o640)

	networks, taps, macs := "", "", ""
	for _, n := range l.plan.networksOf(name) {
		networks += fmt.Sprintf("%s %s %s %d\n", n.Bridge(), n.Uplink(), n.nic(), n.VLAN)
	}
	guests, trusted := l.plan.guestPorts(name), l.plan.trustedPorts(name)
	for _, p := range slices.Concat(guests, trusted) {
		taps += p.Tap() + " " + p.Network.Bridge() + "\n"
	}
	for _, p := range guests {
		macs += fmt.Sprintf("%s %s %s\n", p.Tap(), p.MAC, p.Address)
	}
	t.file("usr/lib/whylab/guests", macs, 0o644)
	t.file("usr/lib/whylab/networks", networks, 0o644)
	t.file("usr/lib/whylab/vxlans", l.vxlanOrders(name), 0o644)
	t.file("usr/lib/whylab/taps", taps, 0o644)
	t.file("usr/lib/whylab/chains", neutronChains(l.options.Style, trusted, guests), 0o644)
	if l.plan.ipv6() {
		t.file("usr/lib/whylab/chains6", neutronChains6(l.options.Style, trusted, guests), 0o644)
	}
	t.file("usr/lib/whylab/routers", l.plan.routerOrders(name), 0o644)
	for network, files := range l.told[name] {
		for file, text := range files {
			t.file(filepath.Join(ordersDir, network, file), text, 0o644)
		}
	}
}
