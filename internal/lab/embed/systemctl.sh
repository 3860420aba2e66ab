#!/bin/sh
# systemctl, where no systemd runs: it knows the units in /usr/lib/whylab/units.
# A unit is a shell file that sets description and may define on_start, on_stop
# and command (the process that stands for the daemon; none for a oneshot).
lib=/usr/lib/whylab
run=/run/whylab
mkdir -p $run

note() { # UNIT TEXT: a line in the agent's own log
	[ ! -d /var/log/neutron ] || case $1 in
	neutron-*) echo "$(date '+%F %T.000') $(pid_of "$1") INFO $1 [-] $2" >>"/var/log/neutron/$(cat $lib/log-prefix)${1#neutron-}.log" ;;
	esac
}
pid_of() { cat "$run/$1.pid" 2>/dev/null || echo 0; }
active() { # UNIT, for whoever asks: only its owner may send a process even signal 0
	if [ -n "$command" ]; then
		[ -d "/proc/$(pid_of "$1")" ]
	else
		[ -e "$run/$1.active" ]
	fi
}
start() { # UNIT
	active "$1" && return 0
	rm -f "$run/$1.deaf"
	on_start || return 1
	if [ -n "$command" ]; then
		# a process of that name which waits for ever and takes no time
		[ -p "$run/$1.fifo" ] || mkfifo "$run/$1.fifo"
		bash -c 'exec -a "$0" cat' "$command" <>"$run/$1.fifo" >/dev/null 2>&1 &
		echo $! >"$run/$1.pid"
	fi
	date '+%a %F %T %Z' >"$run/$1.active"
	note "$1" "started"
}
stop() { # UNIT
	note "$1" "stopped"
	on_stop
	[ -z "$command" ] || ! active "$1" || kill "$(pid_of "$1")"
	rm -f "$run/$1.active" "$run/$1.pid"
}
load() { # UNIT: its file, or 1 when there is none
	description='' command=''
	on_start() { :; }
	on_stop() { :; }
	[ -e "$lib/units/$1" ] || return 1
	. "$lib/units/$1"
}
status() { # UNIT STATE SUB
	echo "● $1.service - $description"
	echo "     Loaded: loaded (/usr/lib/systemd/system/$1.service; enabled)"
	echo "     Active: $2 ($3) since $(cat "$run/$1.active" 2>/dev/null || echo n/a)"
	[ "$(pid_of "$1")" = 0 ] || echo "   Main PID: $(pid_of "$1")"
}
unknown() { # UNIT
	case $verb in
	show) printf 'Id=%s.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n\n' "$1" ;;
	is-active) [ -n "$quiet" ] || echo inactive; rc=3 ;;
	is-enabled) echo "Failed to get unit file state for $1.service: No such file or directory" >&2; rc=1 ;;
	status) echo "Unit $1.service could not be found." >&2; rc=4 ;;
	*) echo "Failed to $verb $1.service: Unit $1.service not found." >&2; rc=5 ;;
	esac
}
one() { # UNIT
	load "$1" || { unknown "$1"; return; }
	state=inactive sub=dead
	if active "$1"; then state=active sub=running; [ -n "$command" ] || sub=exited; fi
	case $verb in
	start) start "$1" || rc=1 ;;
	stop) stop "$1" ;;
	restart | try-restart | reload-or-restart) stop "$1"; start "$1" || rc=1 ;;
	is-active) [ -n "$quiet" ] || echo $state; [ $state = active ] || rc=3 ;;
	is-enabled) [ -n "$quiet" ] || echo enabled ;;
	show) printf 'Id=%s.service\nLoadState=loaded\nActiveState=%s\nSubState=%s\nMainPID=%s\nActiveEnterTimestamp=%s\nUnitFileState=enabled\n\n' \
		"$1" $state $sub "$(pid_of "$1")" "$(cat "$run/$1.active" 2>/dev/null)" ;;
	status) status "$1" $state $sub; [ $state = active ] || rc=3 ;;
	list-units | list-unit-files) printf '  %-38s loaded %-8s %-8s %s\n' "$1.service" $state $sub "$description" ;;
	daemon-reload) ;;
	*) echo "Unknown command verb $verb." >&2; rc=1 ;;
	esac
}

verb='' quiet='' units='' rc=0
while [ $# -gt 0 ]; do
	case $1 in
	-q | --quiet) quiet=1 ;;
	-p | --property | -t | --type | -n | --lines) shift ;;
	-*) ;;
	*) if [ -z "$verb" ]; then verb=$1; else units="$units ${1%.service}"; fi ;;
	esac
	shift
done
[ -n "$verb" ] || verb=list-units
case $verb in list-units | list-unit-files) [ -n "$units" ] || units='*' ;; esac
cd $lib/units || exit 1
for unit in $units; do # a pattern is expanded against the units here
	if [ -h "$unit" ]; then # an alias; listings show what it stands for
		case $verb in list-*) continue ;; esac
		unit=$(readlink "$unit")
	fi
	one "$unit"
done
exit $rc
