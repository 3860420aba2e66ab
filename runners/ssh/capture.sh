# Runs tcpdump on a node, by `sh -c`; written and sent like probes.sh. Before
# this goes n=NONCE, after it goes whybot_capture SECONDS NETNS DEVICE FILTER,
# where NETNS and FILTER may be empty.
#
# whybot keeps our stdin open; when it closes it, or dies, or the connection
# does, the watcher reads the end of file and stops tcpdump. A background job
# has /dev/null as stdin, hence descriptor 3. The watcher holds neither stdout
# nor stderr, so sshd sees them close when tcpdump ends.
#
# tcpdump listens without -p on purpose: a bridge shows the unicast replies
# only to a promiscuous listener. An unprivileged user cannot signal what sudo
# started, and sudo does not pass on every signal; so tcpdump is told to become
# that user once it has opened the device (-Z), where timeout(1), which signals
# its whole process group, reaches it.
PATH="$PATH:/usr/sbin:/sbin:/usr/local/sbin"; LC_ALL=C; export PATH LC_ALL;
whybot_end() { printf "\036%s E %s\n" "$n" "$1" >&2; exit 0; };
whybot_gone() { ! kill -0 -- "-$1" 2>/dev/null; };
whybot_stop() {
  while read -r line <&3; do :; done;
  for turn in 1 2 3 4 5; do
    kill -TERM "$1"; kill -TERM -- "-$1";
    if whybot_gone "$1"; then exit 0; fi;
    sleep 0.2 || sleep 1;
  done;
  kill -KILL -- "-$1" || sudo -n kill -KILL -- "-$1";
};
whybot_capture() {
  seconds=$1; netns=$2; device=$3; filter=$4;
  command -v tcpdump >/dev/null 2>&1 || whybot_end notcpdump;
  timeout -k 1 9 true </dev/null >/dev/null 2>&1 || whybot_end notimeout;
  root=; if [ "$(id -u)" = 0 ]; then root=1; fi;
  set -- tcpdump -U -nn -s 0 -w - -i "$device";
  case "$(tcpdump --help 2>&1 </dev/null)" in *immediate-mode*) set -- "$@" --immediate-mode;; esac;
  if [ -z "$root" ]; then set -- "$@" -Z "$(id -un)"; fi;
  if [ -n "$filter" ]; then set -- "$@" -- "$filter"; fi;
  if [ -n "$netns" ]; then set -- ip netns exec "$netns" "$@"; fi;
  if [ -z "$root" ]; then
    command -v sudo >/dev/null 2>&1 || whybot_end nosudo;
    set -- sudo -n -- "$@";
  fi;
  exec 3<&0;
  timeout -k 1 "$seconds" "$@" </dev/null 3<&- &
  dump=$!;
  { whybot_stop "$dump"; } </dev/null >/dev/null 2>&1 &
  watcher=$!;
  exec 3<&-;
  wait "$dump"; code=$?;
  kill "$watcher" 2>/dev/null;
  whybot_end "$code";
};
