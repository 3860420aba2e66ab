# Runs on a node, by `sh -c`. Lines that start with # are cut and the rest is
# joined by blanks, because csh as a login shell cannot carry a newline: end
# every command with ; and use no other comments.
#
# Before this goes n=NONCE, after it go calls: whybot_run INDEX SECONDS ROOT
# WORDS... and at last whybot_mark Z.
#
# A mark is RS, the nonce, a blank, fields and a newline, on both streams. RS
# comes out of printf, so that the mark itself stands in no command line that a
# process listing could show.
PATH="$PATH:/usr/sbin:/sbin:/usr/local/sbin"; LC_ALL=C; export PATH LC_ALL;
# One fork tells both who we are and whether timeout(1) knows -k.
bound=; if me=$(timeout -k 1 9 id -u </dev/null 2>/dev/null); then bound=1; else me=$(id -u); fi;
whybot_mark() { printf "\036%s %s\n" "$n" "$*"; printf "\036%s %s\n" "$n" "$*" >&2; };
whybot_now() { now=-; { read -r now rest </proc/uptime; } 2>/dev/null || now=-; };
whybot_run() {
  i=$1; seconds=$2; root=$3; shift 3;
  program=$1; place=-; direct=1; if [ "$root" = 1 ] && [ "$me" != 0 ]; then direct=; fi;
  whybot_now; whybot_mark S "$i" "$now";
  if [ -z "$direct" ] && ! command -v sudo >/dev/null 2>&1; then
    whybot_mark E "$i" nosudo "$now" "$bound-$direct" "$place"; return 1;
  fi;
  if [ -z "$direct" ]; then set -- sudo -n -- "$@"; fi;
  if [ -n "$bound" ]; then set -- timeout -k 1 "$seconds" "$@"; fi;
  command "$@" </dev/null; code=$?;
  whybot_now;
  # Only what sudo may have refused has its place looked up: that costs a fork.
  if [ -z "$direct" ] && [ "$code" = 1 ]; then place=$(command -v "$program" 2>/dev/null) || place=-; fi;
  whybot_mark E "$i" "$code" "$now" "$bound-$direct" "$place";
  # The command ignored SIGTERM and timeout(1) could kill sudo but not what
  # sudo started: that still holds both streams, so nothing more can be framed.
  if [ "$code" = 137 ] && [ "$bound-$direct" = 1- ]; then whybot_mark X "$i"; exit 0; fi;
  return "$code";
};
