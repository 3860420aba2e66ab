package lab

// An agent's log: $1 is the file, $2 how many seconds ago the line was written,
// $3 what it says. Heal takes every error away again.
const (
	logLine   = `printf '%s.417 2417 %s\n' "$(date -d "-$2 seconds" '+%F %T')" "$3" >>"$1"; `
	logErrors = `sed -i '/ ERROR /d' "$1"; `
)

// What a linuxbridge agent writes when it cannot write web-1's rules.
var (
	loopError = "ERROR neutron.plugins.ml2.drivers.agent._common_agent [None req-5d0b6c1e-0d1c-4c57-9a5b-6a5f2b7c8d9e - - - - - -] " +
		"Error in agent loop. Devices info: {'current': {'" + webTap + "', '" + dbTap + "'}, 'timestamps': {'" + webTap + "': 1037, '" + dbTap + "': 1021}, " +
		"'added': {'" + webTap + "'}, 'removed': set(), 'updated': set()}: neutron_lib.exceptions.ProcessExecutionError: "
	rootwrapRefused = loopError + "Exit code: 99; Cmd: ['sudo', '/usr/bin/neutron-rootwrap', '/etc/neutron/rootwrap.conf', 'iptables-restore', '-n']; " +
		"Stdin: ; Stdout: ; Stderr: /usr/bin/neutron-rootwrap: Unauthorized command: iptables-restore -n (no filter matched)"
	xtablesLocked = loopError + "Exit code: 4; Cmd: ['iptables-restore', '-n']; " +
		"Stdin: ; Stdout: ; Stderr: Another app is currently holding the xtables lock. Perhaps you want to use the -w option?"
)

// forgetChains takes every rule and chain of a port away; $2 is what their
// names and its tap's have in common.
const forgetChains = `iptables-save | grep -v -e "$2" | iptables-restore; `

// dhcp24 is an agent that fails in its loop, so that web-1 has no chains.
func dhcp24() []Fault {
	fault := func(variant, doc, line string, o Options) Fault {
		file := o.agentLog("linuxbridge-agent")
		inject := []change{on(Compute01, forgetChains+policyDrop, "", webPortID[:idInName-1])}
		for _, age := range []string{"42", "22", "2"} {
			inject = append(inject, on(Compute01, logLine, file, age, line))
		}
		return Fault{
			ID: "DHCP-24", Variant: variant, Doc: doc, Want: requestLostAt("DHCP-24", Compute01), Options: o,
			Inject: broken(inject...),
			Heal:   healed(on(Compute01, logErrors+restartAgent+"; "+policyAccept, file)),
		}
	}
	return []Fault{
		fault("rootwrap", "rootwrap refuses the agent its iptables-restore: web-1 has no chains, and FORWARD drops", rootwrapRefused, Options{}),
		fault("xtables-lock", "the xtables lock is held whenever the agent writes rules, on Debian with iptables-legacy",
			xtablesLocked, Options{Distro: Debian, Backend: Legacy}),
	}
}

const stopAgent = "systemctl stop neutron-linuxbridge-agent; "

// dhcp25 is a dead L2 agent and a tap that came after its death.
func dhcp25() []Fault {
	fault := func(variant, doc, node, tap string, o Options) Fault {
		want := Want{State: proven, Cause: "DHCP-25", FromNode: node, FromDevice: webTap, ToNode: node, ToDevice: webBridge, Direction: request}
		if node != Compute01 {
			want.FromDevice, want.ToDevice = webBridge, dhcpTap
		}
		return Fault{
			ID: "DHCP-25", Variant: variant, Doc: doc, Want: want, Options: o,
			Inject: broken(on(node, stopAgent+unplug, tap)), Heal: healed(on(node, "systemctl start neutron-linuxbridge-agent")),
		}
	}
	return []Fault{
		fault("compute", "the L2 agent of the compute node is dead and web-1's tap came after it", Compute01, webTap, Options{}),
		fault("controller", "the same on the network node with the DHCP port's tap", Controller01, dhcpTap, Options{Distro: Debian, Backend: Legacy}),
	}
}
