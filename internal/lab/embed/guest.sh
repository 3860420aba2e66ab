#!/bin/sh
# pid 1 of a guest: guest.sh DIRECTORY NAME IPV6-MODE. It takes orders, one a line, from a
# pipe that the lab's owner holds and answers each with "ok"; when the pipe
# closes it ends, and the kernel takes the DHCP client along.
directory=$1 name=$2 ipv6=$3
export LEASE="$directory/lease" KEEP=
exec 2>>"$directory/log"
# 3 DISCOVERs 2 s apart, a pause of 3 s, and again
ask="busybox udhcpc -f -i eth0 -t 3 -T 2 -A 3 -x hostname:$name -s $directory/udhcpc.sh"
client='' client6='' pinger=''
start() { # COMMAND: a process group of its own
	setsid sh -c "$1" </dev/null >>"$directory/log" 2>&1 &
	client=$!
}
echo ok
while read -r order; do
	case $order in
	ask) start "exec $ask" ;;
	ask-often) KEEP=1 start "while :; do $ask -q; sleep 3; done" ;;
	stop)
		if [ -n "$client" ]; then
			kill -- "-$client" || kill "$client" # not yet a group of its own
			wait "$client"
		fi
		client=''
		;;
	ask6 | ask6-often)
		often=once
		[ $order = ask6 ] || often=often
		setsid sh "$directory/ask6.sh" "$directory" "$ipv6" $often </dev/null >>"$directory/log6" 2>&1 &
		client6=$!
		;;
	stop6)
		if [ -n "$client6" ]; then # a client that is asked to end may give its address back
			kill -KILL -- "-$client6" || kill -KILL "$client6"
			wait "$client6"
		fi
		client6=''
		;;
	forget6) # with what the kernel knows of routers
		echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6
		echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6
		;;
	"ping "*) # one echo a second, as somebody who tries out leaves it running
		busybox ping "${order#ping }" </dev/null >/dev/null 2>&1 &
		pinger=$!
		;;
	stop-ping)
		if [ -n "$pinger" ]; then
			kill "$pinger" && wait "$pinger"
		fi
		pinger=''
		;;
	broadcast) # replies to everybody, as a client wants that hears nothing else yet
		ask="$ask -B"
		;;
	forget)
		rm -f "$LEASE"
		ip -4 addr flush dev eth0
		: >"$directory/log"
		;;
	esac
	echo ok
done
