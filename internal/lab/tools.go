package lab

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// tools maps every program a lab runs to the Debian package that has it.
var tools = map[string]string{
	"ip": "iproute2", "tc": "iproute2", "bridge": "iproute2", "ss": "iproute2",
	"iptables-nft": "iptables", "iptables-legacy": "iptables", "nft": "nftables",
	"sshd": "openssh-server", "ssh-keygen": "openssh-client",
	"dnsmasq": "dnsmasq-base", "radvd": "radvd", "dhclient": "isc-dhcp-client", "ip6tables-nft": "iptables", "timeout": "coreutils", "busybox": "busybox-static", "tcpdump": "tcpdump",
	"sudo": "sudo", "ethtool": "ethtool", "nsenter": "util-linux", "mount": "mount",
	"pgrep": "procps", "sysctl": "procps", "bash": "bash", "brctl": "bridge-utils", "ebtables": "ebtables",
}

// EnsureTools reports the Debian packages that a lab needs and this machine
// lacks; the script install-tools.sh beside this file installs them.
func EnsureTools() error {
	var missing []string
	for program, pkg := range tools {
		if _, err := exec.LookPath(program); err != nil && !slices.Contains(missing, pkg) {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fmt.Errorf("lab: programs are missing; install the Debian packages %s (internal/lab/install-tools.sh does)", strings.Join(missing, " "))
}
