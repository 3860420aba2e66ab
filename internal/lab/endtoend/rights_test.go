package endtoend

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"whybot/commands/diagnose"
	fixes "whybot/commands/fix"
	"whybot/commands/sudoers"
	"whybot/internal/lab"
	"whybot/runners"
	"whybot/runners/ssh"
)

// What sudo lets whybot's users do, through a real sshd and a real sudo, with
// the files that `whybot sudoers` prints.
func TestKernelSudo(t *testing.T) { //nolint:tparallel // its scenes follow one another on one stage
	parallelStage(t, lab.Options{}, "").play(
		t,
		scene{"who looks is refused all else", func(s stage) { refusedAll(s, newLooker(s)) }},
		scene{"who changes is refused all else", func(s stage) { refusedAll(s, newChanger(s)) }},
		scene{"what is needed is allowed", allowedAll},
		scene{"with wildcards much would be allowed", wildcardsAllow},
		scene{"who looks writes no file", looksOnly},
		scene{"check says what is missing, and what is too much", checkTells},
	)
}

// A sudoUser is one of whybot's users, with how to run something as it.
type sudoUser struct {
	name  string
	rules sudoers.Rules
	run   func(probes []runners.Probe) ([]runners.Result, error)
}

func commandsOnNodes() sudoers.Source {
	return sudoers.Source{Diagnoses: diagnose.All(), Kinds: fixes.Kinds(), Capture: ssh.CaptureCommands, Helper: ssh.HelperCalls}
}

func newLooker(s stage) sudoUser {
	s.t.Helper()
	rules, err := commandsOnNodes().Looking("whyprobe")
	if err != nil {
		s.t.Fatal(err)
	}
	p := s.pool(s.t, "whyprobe")
	return sudoUser{"whyprobe", rules, func(probes []runners.Probe) ([]runners.Result, error) {
		return p.Run(s.t.Context(), lab.Controller01, probes)
	}}
}

func newChanger(s stage) sudoUser {
	s.t.Helper()
	rules, err := commandsOnNodes().Changing()
	if err != nil {
		s.t.Fatal(err)
	}
	p := s.pool(s.t, "whyprobe")
	return sudoUser{lab.FixUser, rules, func(probes []runners.Probe) ([]runners.Result, error) {
		return p.LookAsChanger(s.t.Context(), lab.Controller01, probes)
	}}
}

// runAll runs commands some at a time.
func (u sudoUser) runAll(t *testing.T, commands [][]string) []runners.Result {
	t.Helper()
	var all []runners.Result
	for part := range slices.Chunk(commands, 60) {
		probes := make([]runners.Probe, 0, len(part))
		for _, argv := range part {
			probes = append(probes, runners.Probe{Name: "try", Argv: argv, Timeout: 3 * time.Second})
		}
		results, err := u.run(probes)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, results...)
	}
	return all
}

// hostile are commands that would give their user root, or a file of root's. A
// word CANARY is a file that must not come to be.
const hostile = `
sh -c id
sh
bash -c id
bash -p
dash
busybox sh
env sh
nice sh
timeout 5 sh
setsid sh
nsenter -t 1 -a sh
unshare sh
su
su - root
sudo sh
python3 -c id
perl -e id
awk BEGIN{system("id")}
find / -exec sh ;
xargs sh
tar -cf CANARY /etc/passwd
dd if=/etc/passwd of=CANARY
cp /bin/sh CANARY
cp /etc/shadow CANARY
mv /etc/passwd CANARY
ln -s /etc/shadow CANARY
install /bin/sh CANARY
tee CANARY
tee -a /etc/sudoers
touch CANARY
mkdir CANARY
chmod 4755 /bin/sh
chown whyprobe /etc/shadow
mount -t tmpfs x /mnt
kill -KILL -- -1
kill 1
cat /etc/shadow
cat /root/.ssh/authorized_keys
cat /etc/sysconfig/iptables /etc/shadow
cat -- /etc/sysconfig/iptables
cat /etc/sysconfig/../shadow
cat /var/lib/neutron/dhcp/../../../../etc/shadow
cat /var/lib/neutron/dhcp/9b2e64d1-70c3-4f5a-b8d6-1e4a0c7f3952/../../../../../etc/shadow
cat /var/lib/neutron/dhcp/9b2e64d1-70c3-4f5a-b8d6-1e4a0c7f3952/host /etc/shadow
cat /var/lib/neutron/dhcp/*/host
tail -n 400 /etc/shadow
tail -q -n 400 /etc/shadow
tail -q -n 400 /var/log/neutron/neutron-dhcp-agent.log /etc/shadow
tail -f /var/log/neutron/dhcp-agent.log
head /etc/shadow
sha256sum /etc/shadow
sha256sum --check /etc/shadow
sha256sum /etc/sysconfig/iptables /etc/shadow
iptables -M CANARY -L
iptables --modprobe=CANARY -L
iptables --modprobe CANARY -L
iptables -w 5 -S -M CANARY
iptables -w 5 -S FORWARD
iptables -w 5 -D FORWARD -M CANARY -j ACCEPT
iptables -w 5 -D FORWARD --modprobe CANARY -j ACCEPT
iptables -w 5 -D FORWARD --modprobe=CANARY -j ACCEPT
iptables -w 5 -D FORWARD --mod CANARY -j ACCEPT
iptables -w 5 -D FORWARD --mo CANARY -j ACCEPT
iptables -w 5 -I FORWARD 1 -vM CANARY -j ACCEPT
iptables -w 5 -I FORWARD 1 -j ACCEPT -M CANARY
iptables -w 5 -I FORWARD 1 -t nat -j ACCEPT
iptables -w 5 -I FORWARD 1 --table nat -j ACCEPT
iptables -w 5 -F
iptables -w 5 -P INPUT DROP
iptables -F
iptables -P FORWARD ACCEPT
iptables-save -f CANARY
iptables-save -c -f CANARY
iptables-save --file=CANARY
iptables-save -M CANARY
iptables-save -c -M CANARY
iptables-restore /etc/shadow
iptables-nft-save -f CANARY
ip6tables-save -c -f CANARY
ebtables -t filter -F
ebtables-save -x
ebtables -t filter --atomic-file CANARY --atomic-save
nft -f /etc/shadow
nft -i
nft flush ruleset
nft list ruleset ; flush ruleset
nft -j list ruleset -f /etc/shadow
nft add rule inet a b counter accept ; flush ruleset
nft delete rule inet a b handle 1 ; flush ruleset
nft insert rule inet a b position 1 iifname "x" counter drop comment "whybot x"
ipset -f CANARY save
ipset save -file CANARY
ipset destroy
ip netns exec x sh
ip netns exec qdhcp-9b2e64d1-70c3-4f5a-b8d6-1e4a0c7f3952 sh
ip netns exec qdhcp-9b2e64d1-70c3-4f5a-b8d6-1e4a0c7f3952 sh -c id
ip netns exec qdhcp-9b2e64d1-70c3-4f5a-b8d6-1e4a0c7f3952 ip netns exec x sh
ip netns exec qdhcp-9b2e64d1-70c3-4f5a-b8d6-1e4a0c7f3952 ss -H -l -u -n sport = :67 -D CANARY
ip netns exec qdhcp-9b2e64d1-70c3-4f5a-b8d6-1e4a0c7f3952 ss -F /etc/shadow
ip netns exec qdhcp-9b2e64d1-70c3-4f5a-b8d6-1e4a0c7f3952 ping -n -c 2 -i 0.3 -W 1 -f
ip netns exec qdhcp-9b2e64d1-70c3-4f5a-b8d6-1e4a0c7f3952 ping -f 10.0.0.1
ip netns exec qdhcp-9b2e64d1-70c3-4f5a-b8d6-1e4a0c7f3952 ethtool -K lo tx off sg off
ip netns exec qdhcp-9b2e64d1-70c3-4f5a-b8d6-1e4a0c7f3952 tcpdump -i lo -w CANARY
ip netns exec qdhcp-9b2e64d1-70c3-4f5a-b8d6-1e4a0c7f3952 dhcp_release -x 10.0.0.1 02:00:5e:10:00:77
ip netns exec ../../etc sh
ip netns add x
ip netns del qdhcp-9b2e64d1-70c3-4f5a-b8d6-1e4a0c7f3952
ip vrf exec x sh
ip -b /etc/shadow
ip -force -batch /etc/shadow
ip link set dev lo up
ip link set dev lo netns 1
ip link set dev lo xdp obj CANARY
ip link set dev -x down
ip link add name evil type dummy
ip link add link eth0 name evil type vlan id 5
ip link del dev eth0 type dummy
ip addr add 10.0.0.1/8 dev lo
ip route del default
bridge fdb append 02:00:5e:10:00:77 dev vxlan-1 dst 10.0.0.1
bridge -batch /etc/shadow
bridge fdb flush dev x
tcpdump -i lo
tcpdump -w CANARY
tcpdump -U -nn -s 0 -w CANARY -i lo -Z whyprobe -- udp
tcpdump -U -nn -s 0 -w - -i lo -Z root -- udp
tcpdump -U -nn -s 0 -w - -i lo -- udp
tcpdump -U -nn -s 0 -w - -i lo -z CANARY -Z whyprobe -- udp
tcpdump -U -nn -s 0 -w - -i lo -Z whyprobe -G 1 -w CANARY -- udp
tcpdump -U -nn -s 0 -w - -i lo -Z whyprobe -r /etc/shadow
tcpdump -U -nn -s 0 -w - -i lo -Z whyprobe -F /etc/shadow
tcpdump -ln -i lo -w CANARY -W 1 -G 1 -z CANARY -Z root
systemctl edit neutron-dhcp-agent
systemctl restart sshd
systemctl start ../x
systemctl start CANARY
systemctl stop neutron-dhcp-agent sshd
systemctl restart neutron-dhcp-agent --root=/tmp
systemctl link CANARY
systemctl daemon-reload
systemctl enable neutron-dhcp-agent
systemctl set-environment LD_PRELOAD=CANARY
systemctl
sed -i s/a/b/ /etc/passwd
sed -i -e 1s/^/x/ /etc/sudoers
sed -i.whybot-bak -e 1s/^/#whybot# / /etc/passwd
sed -i.whybot-bak -e 1s/^/#whybot# /e /etc/sysconfig/iptables
sed -i.whybot-bak -e 1s/^/#whybot# /w CANARY /etc/sysconfig/iptables
sed -i -e 1s/^#whybot# //;1e id /etc/sysconfig/iptables
sed -i -e 1s/^#whybot# // /etc/sysconfig/iptables /etc/passwd
sed -n 1p /etc/shadow
sed -f CANARY /etc/sysconfig/iptables
vi /etc/passwd
less /etc/shadow
more /etc/shadow
ed /etc/passwd
nano /etc/passwd
/usr/local/sbin/whybot-commit
/usr/local/sbin/whybot-commit wait fx-1
/usr/local/sbin/whybot-commit rollback fx-1
/usr/local/sbin/whybot-commit status
/usr/local/sbin/whybot-commit status ../../etc
/usr/local/sbin/whybot-commit status -x
/usr/local/sbin/whybot-commit status fx-1 x
/usr/local/sbin/whybot-commit confirm fx-1
/usr/local/sbin/whybot-commit confirm fx-1 x
/usr/local/sbin/whybot-commit commit fx-1 1 60
/usr/local/sbin/whybot-commit commit fx-1 1 60 step do 2 sh x
/usr/local/sbin/whybot-commit --help
/usr/local/sbin/whybot-commit; id
dhcp_release lo 10.0.0.1 02:00:5e:10:00:77
ethtool -K lo tx off
ethtool --flash lo CANARY
sysctl -w kernel.core_pattern=|CANARY
sysctl net.ipv4.ip_forward
dmesg
conntrack -F
tc qdisc del dev lo root
modprobe x
insmod CANARY
passwd root
useradd x
crontab -e
sshd -t
ssh-keygen -f CANARY
nsenter -t 1 -m
chroot / sh
ldconfig -f CANARY
mknod CANARY p
visudo -c
`

// options of sudo itself, before a command that is allowed.
var sudoOptions = [][]string{
	{"-u", "daemon"},
	{"-g", "daemon"},
	{"-s"},
	{"-i"},
	{"-E"},
	{"-e"},
	{"-D", "/tmp"},
	{"-R", "/tmp"},
	{"-C", "5"},
	{"LD_PRELOAD=CANARY"},
	{"LD_LIBRARY_PATH=/tmp"},
	{"PATH=/tmp"},
	{"XTABLES_LIBDIR=/tmp"},
	{"IPTABLES_LIB_DIR=/tmp"},
	{"BASH_ENV=CANARY"},
	{"ENV=CANARY"},
	{"TCPDUMP=x"},
	{"PYTHONPATH=/tmp"},
	{"LOCPATH=/tmp"},
	{"GCONV_PATH=/tmp"},
	{"SYSTEMD_EDITOR=CANARY"},
	{"PAGER=CANARY"},
	{"SHELLOPTS=xtrace"},
	{"PS4=$(id)"},
	{"HOME=/tmp"},
	{"IFS=/"},
}

// disallowed are commands that u must be refused: the hostile ones, those that
// it is allowed with words put in, left out or changed, and with options of
// sudo.
func (u sudoUser) disallowed() [][]string {
	var all [][]string
	add := func(argv []string) {
		for i, w := range argv {
			argv[i] = strings.ReplaceAll(w, "CANARY", "/etc/canary")
		}
		if !u.rules.Allows(argv) {
			all = append(all, slices.Concat([]string{"sudo", "-n", "--"}, argv))
		}
	}
	for line := range strings.Lines(strings.TrimSpace(hostile)) {
		add(strings.Fields(line))
	}
	bad := []string{"x", "-x", "--help", "x;id", "$(id)", "`id`", "x\nid", "x|id", "&", "../../../etc/shadow", "/etc/shadow", "*", "x\tx", "\u00e9", strings.Repeat("9", 300)}
	n := 0
	for k, r := range u.rules {
		if testing.Short() && k%4 != 0 {
			continue
		}
		argv := r.Example
		for i := 1; i <= len(argv); i++ {
			word := bad[n%len(bad)]
			n++
			add(slices.Concat(argv[:i], []string{word}, argv[i:]))
			if i < len(argv) {
				add(slices.Concat(argv[:i], argv[i+1:]))
				add(slices.Concat(argv[:i], []string{word}, argv[i+1:]))
			}
		}
	}
	for _, options := range sudoOptions {
		argv := slices.Concat([]string{"sudo", "-n"}, options, u.rules[0].Example)
		for i, w := range argv {
			argv[i] = strings.ReplaceAll(w, "CANARY", "/etc/canary")
		}
		all = append(all, argv)
	}
	return all
}

// installed leaves out commands whose program is not on the node: sudo says so
// and logs nothing.
func installed(t *testing.T, s stage, commands [][]string) [][]string {
	t.Helper()
	there := map[string]bool{}
	return slices.DeleteFunc(commands, func(argv []string) bool {
		program := argv[2]
		if argv[2] == "--" {
			program = argv[3]
		}
		known, asked := there[program]
		if !asked && argv[2] == "--" {
			known = s.sh(t, lab.Controller01, `PATH=/usr/sbin:/usr/bin:/sbin:/bin; command -v -- "$1" || true`, program) != ""
			there[program] = known
		}
		return argv[2] == "--" && !known
	})
}

func refusedAll(s stage, u sudoUser) {
	t := s.t
	commands := installed(t, s, u.disallowed())
	if len(commands) < 200 {
		t.Fatalf("only %d commands to try", len(commands))
	}
	const count = `grep -c " : $1 : " /var/log/whybot-sudo.log 2>/dev/null || true`
	logged := func() (n int) {
		_, _ = fmt.Sscan(s.sh(t, lab.Controller01, count, u.name), &n)
		return n
	}
	s.sh(t, lab.Controller01, "touch /run/before-sudo; sleep 0.02")
	before := logged()
	through := 0
	for i, r := range u.runAll(t, commands) {
		if r.Err != nil || r.Output.ExitCode != 1 || r.Output.Stdout != "" || !strings.Contains(r.Output.Stderr, "sudo: ") && !strings.Contains(r.Output.Stderr, "Sorry, user ") {
			t.Errorf("%q was not refused: %+v", commands[i], r)
			through++
		}
	}
	if n := logged() - before; n < len(commands) {
		t.Errorf("sudo logged %d of %d refusals", n, len(commands))
	}
	if made := s.changedFiles(t); made != "" {
		t.Errorf("files were written:\n%s", made)
	}
	t.Logf("%s: %d of %d commands refused and logged", u.name, len(commands)-through, len(commands))
}

// changedFiles lists root's files that are newer than the mark, but for those
// of sudo and of the daemons.
func (s stage) changedFiles(t *testing.T) string {
	t.Helper()
	return s.sh(t, lab.Controller01, `find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /var/log -o -path /var/lib/neutron \) -prune -o -newer /run/before-sudo -user root -type f -print; find / -xdev -name '*canary*' -not -path '/proc/*' 2>/dev/null`)
}

// allowedAll asks sudo for what the rules are for; and it runs what reads.
func allowedAll(s stage) {
	t := s.t
	for _, u := range []sudoUser{newLooker(s), newChanger(s)} {
		var asks [][]string
		for _, r := range u.rules {
			asks = append(asks, slices.Concat([]string{"sudo", "-n", "-l", "--"}, r.Example))
		}
		for i, r := range u.runAll(t, asks) {
			if r.Err != nil || r.Output.ExitCode != 0 && !strings.Contains(r.Output.Stderr, "command not found") {
				t.Errorf("%s may not run %q: %+v", u.name, asks[i], r)
			}
		}
	}
}

// wildcardsAllow is the negative control: rules that name the same programs with
// any words let much through.
func wildcardsAllow(s stage) {
	t := s.t
	for _, u := range []sudoUser{newLooker(s), newChanger(s)} {
		var programs []string
		for _, r := range u.rules {
			path := r.Example[0]
			if !strings.HasPrefix(path, "/") {
				path = strings.TrimSpace(s.sh(t, lab.Controller01, `PATH=/usr/sbin:/usr/bin:/sbin:/bin; command -v -- "$1" || echo /usr/sbin/"$1"`, path))
			}
			if wild := path + " *"; !slices.Contains(programs, wild) {
				programs = append(programs, wild)
			}
		}
		s.until(t, lab.Controller01, "umask 337; echo '"+u.name+" ALL=(root) NOPASSWD: "+strings.Join(programs, ", ")+"' >/etc/sudoers.d/zz-wild && visudo -cqf /etc/sudoers.d/zz-wild",
			"rm -f /etc/sudoers.d/zz-wild")
		var asks [][]string
		for _, argv := range installed(t, s, u.disallowed()) {
			if argv[2] == "--" {
				asks = append(asks, slices.Concat([]string{"sudo", "-n", "-l"}, argv[2:]))
			}
		}
		through := 0
		for _, r := range u.runAll(t, asks) {
			if r.Err == nil && r.Output.ExitCode == 0 {
				through++
			}
		}
		s.sh(t, lab.Controller01, "rm -f /etc/sudoers.d/zz-wild")
		if through < 50 {
			t.Errorf("with wildcards %s gets only %d of %d through: the refusals prove little", u.name, through, len(asks))
		}
		t.Logf("with wildcards %s gets %d of %d through", u.name, through, len(asks))
	}
}

// looksOnly runs what the user who looks is allowed, also with its words cut
// where sudo does not see it: no file of root's comes of it.
func looksOnly(s stage) {
	t := s.t
	u := newLooker(s)
	network := s.VM(lab.Web1).Port.Network.ID
	var commands [][]string
	for _, r := range u.rules {
		argv := slices.Clone(r.Example)
		for i, w := range argv {
			w = strings.ReplaceAll(w, "wbdevice-sample", "eth0")
			if at := strings.Index(w, "9b2e64d1-"); at >= 0 {
				w = w[:at] + network + w[at+36:]
			}
			argv[i] = strings.ReplaceAll(w, "wbfilter-sample", "port 9")
		}
		joined := slices.Clone(argv)
		for len(joined) > 2 { // every two neighbours as one word, for sudo the same
			k := len(joined) - 2
			joined = append(joined[:k:k], joined[k]+" "+joined[k+1])
			commands = append(commands, slices.Concat([]string{"timeout", "1", "sudo", "-n", "--"}, joined))
		}
		commands = append(commands, slices.Concat([]string{"timeout", "1", "sudo", "-n", "--"}, argv))
	}
	s.sh(t, lab.Controller01, "touch /run/before-sudo; sleep 0.02")
	ran := 0
	for _, r := range u.runAll(t, commands) {
		if r.Err == nil && !strings.Contains(r.Output.Stderr, "a password is required") {
			ran++
		}
	}
	if ran < len(u.rules) {
		t.Errorf("only %d of %d commands ran", ran, len(commands))
	}
	if made := s.changedFiles(t); made != "" {
		t.Errorf("who looks has written:\n%s", made)
	}
	t.Logf("%d commands ran as root and wrote nothing", ran)
}

func checkTells(s stage) {
	t := s.t
	w := newWhybot(t, s.Lab)
	healthy := w.run(t.Context(), "check")
	for _, what := range []string{": sudo of whyprobe", ": sudo of " + lab.FixUser, ": helper"} {
		if row := tableRow(healthy.out, lab.Controller01+what); !strings.HasPrefix(row, "ok ") {
			t.Errorf("%s: %q", what, row)
		}
	}
	alone := newWhybot(t, s.Lab, func(set *settings) { set.fix = "" }).run(t.Context(), "check") // one login for both
	if row := tableRow(alone.out, lab.Controller01+": sudo of whyprobe"); !strings.HasPrefix(row, "MISSING") || !strings.Contains(row, "-> whybot sudoers prints") {
		t.Errorf("who looks should change as well, and may not: %q", row)
	}
	for i, c := range []struct{ name, do, undo, row, mark, says, cure string }{
		{
			"a rule is missing", "sed -i.kept -e '/nft -j list ruleset/d' /etc/sudoers.d/whybot-probe; mv /etc/sudoers.d/whybot-probe.kept /root/", "mv /root/whybot-probe.kept /etc/sudoers.d/whybot-probe",
			": sudo of whyprobe", "MISSING", "nft -j list ruleset", "whybot sudoers --probe",
		},
		{"the other's file is missing", "mv /etc/sudoers.d/whybot-fix /root/", "mv /root/whybot-fix /etc/sudoers.d/", ": sudo of " + lab.FixUser, "MISSING", "commands are not allowed", "whybot sudoers --fix"},
		{"too much", "umask 337; echo 'whyprobe ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admins", "rm /etc/sudoers.d/admins", ": sudo of whyprobe", "WARNING", "more than whybot needs: ALL", "take that away"},
		{"a little too much", "umask 337; echo 'whyprobe ALL=(root) NOPASSWD: /usr/bin/less /var/log/syslog' >/etc/sudoers.d/extra", "rm /etc/sudoers.d/extra", ": sudo of whyprobe", "WARNING", "/usr/bin/less /var/log/syslog", "take that away"},
		{"the helper is gone", "mv /usr/local/sbin/whybot-commit /root/", "mv /root/whybot-commit /usr/local/sbin/", ": helper", "MISSING", "is not there", "whybot sudoers --helper"},
		{"the helper is another", "cp -p /usr/local/sbin/whybot-commit /root/; echo >>/usr/local/sbin/whybot-commit", "mv /root/whybot-commit /usr/local/sbin/", ": helper", "MISSING", "not the one of this whybot", "whybot sudoers --helper"},
		{"the helper is others' too", "chmod 777 /usr/local/sbin/whybot-commit", "chmod 755 /usr/local/sbin/whybot-commit", ": helper", "MISSING", "0:0 777", "whybot sudoers --helper"},
		{"the helper is somebody's", "chown whyprobe /usr/local/sbin/whybot-commit", "chown root /usr/local/sbin/whybot-commit", ": helper", "MISSING", "mode 755", "whybot sudoers --helper"},
	} {
		if testing.Short() && i%3 != 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			s.until(t, lab.Controller01, c.do, c.undo)
			r := w.run(t.Context(), "check")
			row := ""
			for line := range strings.Lines(r.out) {
				if strings.HasPrefix(line, c.mark) && strings.Contains(line, lab.Controller01+c.row+" ") {
					row = line
				}
			}
			if !strings.Contains(row, c.says) || !strings.Contains(row, c.cure) {
				t.Errorf("%q, want %s, %q and %q\n%s", row, c.mark, c.says, c.cure, r.out)
			}
			if missing := c.mark == "MISSING"; (r.code == 1) != missing {
				t.Errorf("exit %d", r.code)
			}
		})
	}
}
