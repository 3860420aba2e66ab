#!/bin/sh
# A process that takes TCP connections and greets them: listen NAME ADDRESS PORT
# [GREETING]. It returns when the process listens, whose id is then in
# /run/whylab/listen-PORT.pid; stop the process that had the port before with
# listen -PORT.
set -eu
pidfile=/run/whylab/listen-${3:-${1#-}}.pid
mkdir -p /run/whylab
if [ -e "$pidfile" ]; then
	kill "$(cat "$pidfile")" 2>/dev/null || :
	rm -f "$pidfile"
fi
[ $# -gt 1 ] || exit 0
perl -MIO::Socket::INET -e '
	my ($file, $name, $address, $port, $greeting) = @ARGV;
	my $socket = IO::Socket::INET->new(LocalAddr => $address, LocalPort => $port, Listen => 5, ReuseAddr => 1) or die "listen on $address:$port: $@\n";
	defined(my $pid = fork) or die "fork: $!\n";
	if ($pid) { open(my $out, ">", $file) or die; print $out $pid; exit 0; }
	open(STDIN, "<", "/dev/null"); open(STDOUT, ">", "/dev/null"); open(STDERR, ">", "/dev/null");
	$0 = $name;
	while (my $client = $socket->accept) { print $client $greeting if $greeting; close $client; }
' "$pidfile" "$1" "$2" "$3" "${4:-}"
