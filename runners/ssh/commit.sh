#!/bin/sh
# whybot-commit: makes a change of this node that takes itself back unless it is
# confirmed in time. Installed root-owned as /usr/local/sbin/whybot-commit, or,
# where whybot logs in as root, sent as the text of one command. In the second
# form the lines that start with # are cut and the rest is joined by blanks: end
# every command with ; and use no other comments.
#
#   whybot-commit commit ID TOKEN SECONDS guard SUM N WORDS... step do N WORDS... undo N WORDS...
#   whybot-commit confirm ID TOKEN
#   whybot-commit rollback ID
#   whybot-commit status ID
#
# A guard is a listing and the SHA-256 of what it prints: when it prints
# anything else, nothing is changed. Every step has what makes it and what takes
# it back; N counts the words of each command. Words are run as they are, never
# read by a shell, and only those of a few programs are taken.
#
# All that is known lies in /run, which the changes themselves do not outlive
# either: a reboot takes both.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; LC_ALL=C; export PATH LC_ALL;
umask 077;
whybot_home=/run/whybot;
whybot_newline=$(printf '\nx'); whybot_newline=${whybot_newline%x};
whybot_refuse() { code=$1; shift; printf 'whybot-commit: %s\n' "$*" >&2; exit "$code"; };
whybot_misuse() { whybot_refuse 64 "not understood: $*"; };
whybot_number() { case "$1" in ''|*[!0-9]*|0?*|????????????????*) whybot_misuse "$2 is no number";; esac; };
whybot_write() { printf '%s\n' "$2" >"$1.new" && mv -f -- "$1.new" "$1"; };
whybot_uptime() { IFS=' .' read -r uptime rest </proc/uptime; };

# The lock is held until this process ends; what it starts does not inherit it.
whybot_lock() {
  for program in flock timeout sha256sum setsid; do
    command -v "$program" >/dev/null 2>&1 || whybot_refuse 69 "$program is not installed here";
  done;
  mkdir -p "$whybot_home/fixes" || whybot_refuse 69 "$whybot_home cannot be made";
  exec 9>>"$whybot_home/lock"; flock "$@" 9 || whybot_refuse 67 "another change of this node holds the lock";
};

whybot_id() {
  case "$1" in ''|-*|*[!A-Za-z0-9_-]*|?????????????????????????????????????????????????????????????????*) whybot_misuse "the fix's name";; esac;
  id=$1; dir=$whybot_home/fixes/$id;
};

# state, token, began, ended: what is known of the fix. The times are seconds
# since 1970, for people; what decides is the time since boot.
whybot_state() {
  state=none; token=-; began=-; ended=-;
  if [ -r "$dir/state" ]; then read -r state token began ended <"$dir/state"; fi;
};
whybot_settle() {
  whybot_write "$dir/state" "$1 $token $began $(date +%s)"; state=$1;
  rm -f -- "$dir/helper" "$whybot_home/open";
};
whybot_answer() { whybot_state; printf 'whybot-commit 1 %s %s %s\n' "$state" "$began" "$ended"; };

# Only the shapes that fixes have are taken, so that the right to run this is
# not the right to run anything.
whybot_words() {
  kind=$1; count=$2; shift 2; at=0; shape=;
  for word in "$@"; do
    if [ "$at" -ge "$count" ]; then break; fi; at=$((at+1));
    case "$word" in *"$whybot_newline"*) whybot_misuse "a word of two lines";; esac;
    if [ "$at" -le 6 ]; then
      case "$word" in ''|*[[:space:]]*) whybot_misuse "a blank in word $at";; esac;
      shape="$shape $word";
    fi;
    if [ "$at" -eq 1 ]; then program=$word; continue; fi;
    case "$program" in
      *tables*) case "$word" in -[!-]*M*|-M*|--mo|--mo=*|--mod|--mod=*|--modp*) whybot_misuse "$word";; esac;;
      ip) case "$word" in xdp*) whybot_misuse "$word";; esac;;
    esac;
  done;
  if [ "$kind" != guard ]; then kind=change; fi;
  case "$kind$shape " in
    "guard iptables -w 5 -S "*|"guard iptables-nft -w 5 -S "*|"guard iptables-legacy -w 5 -S "*) ;;
    "guard ip6tables -w 5 -S "*|"guard ip6tables-nft -w 5 -S "*|"guard ip6tables-legacy -w 5 -S "*) ;;
    *..*) whybot_misuse "$shape";;
    "guard ip -o link show "*|"guard cat /sys/class/net/"*"/bridge/stp_state ") ;;
    guard*) whybot_misuse "a listing by$shape";;
    "change iptables -w 5 -"[AID]" "*|"change iptables-nft -w 5 -"[AID]" "*|"change iptables-legacy -w 5 -"[AID]" "*) ;;
    "change ip6tables -w 5 -"[AID]" "*|"change ip6tables-nft -w 5 -"[AID]" "*|"change ip6tables-legacy -w 5 -"[AID]" "*) ;;
    "change ip link set dev "*" up "|"change ip link set dev "*" down "|"change ip link set dev "*" master "|"change ip link set dev "*" nomaster "|"change ip link set dev "*" type ") ;;
    "change ip link add link "*|"change ip link del dev "*) ;;
    *) whybot_misuse "a change by$shape";;
  esac;
};

# The plan as files, one word a line: N, then N words, for each command.
whybot_take() {
  plan=$1; shift; steps=0; guards=0;
  while [ "$#" -gt 0 ]; do
    kind=$1; shift;
    case "$kind" in
      step) steps=$((steps+1)); : >"$plan/$steps.do"; : >"$plan/$steps.undo"; continue;;
      guard) case "${1-}" in *[!0-9a-f]*) whybot_misuse "a sum";; esac;
        if [ "${#1}" -ne 64 ]; then whybot_misuse "a sum"; fi;
        file=$plan/guards; guards=$((guards+1)); printf '%s\n' "$1" >>"$file"; shift;;
      do|undo) if [ "$steps" -eq 0 ]; then whybot_misuse "$kind before a step"; fi; file=$plan/$steps.$kind;;
      *) whybot_misuse "$kind";;
    esac;
    whybot_number "${1-}" "a count"; many=$1; shift;
    if [ "$many" -lt 2 ] || [ "$many" -gt "$#" ]; then whybot_misuse "a command of $many words"; fi;
    whybot_words "$kind" "$many" "$@";
    printf '%s\n' "$many" >>"$file";
    while [ "$many" -gt 0 ]; do printf '%s\n' "$1" >>"$file"; shift; many=$((many-1)); done;
  done;
  if [ "$steps" -eq 0 ] || [ "$guards" -eq 0 ]; then whybot_misuse "a change without a step or without a guard"; fi;
  for file in "$plan"/*do; do if [ ! -s "$file" ]; then whybot_misuse "a step that is not made or not taken back"; fi; done;
};

# A rule that an undo would put in and that is there already.
whybot_there() {
  case "$1 ${4-}" in *tables*" -"[AI]) ;; *) return 1;; esac;
  program=$1; chain=$5; verb=$4; shift 5;
  if [ "$verb" = -I ]; then case "${1-}" in ''|*[!0-9]*) ;; *) shift;; esac; fi;
  timeout -k 1 15 "$program" -w 5 -C "$chain" "$@" </dev/null >/dev/null 2>&1 4<&- 9>&-;
};

# Runs the commands of a file: the first that fails ends it, but not an undo.
whybot_run() {
  kind=$1; bad=0;
  while read -r count <&4; do
    set --;
    while [ "$count" -gt 0 ]; do IFS= read -r word <&4 || return 1; set -- "$@" "$word"; count=$((count-1)); done;
    if [ "$kind" = undo ] && whybot_there "$@"; then continue; fi;
    timeout -k 1 15 "$@" </dev/null 4<&- 9>&- || { bad=1; if [ "$kind" = "do" ]; then return 1; fi; };
  done;
  return "$bad";
};

# Whether all listings are as they were when the change was planned.
whybot_same() {
  while read -r sum <&4 && read -r count <&4; do
    set --;
    while [ "$count" -gt 0 ]; do IFS= read -r word <&4 || return 1; set -- "$@" "$word"; count=$((count-1)); done;
    now=$(timeout -k 1 15 "$@" </dev/null 2>/dev/null 4<&- 9>&- | sha256sum);
    if [ "${now%% *}" != "$sum" ]; then return 1; fi;
  done 4<"$dir/guards";
  return 0;
};

# Takes back what was begun, last first.
whybot_undo() {
  read -r step <"$dir/begun"; failed=0;
  while [ "$step" -gt 0 ]; do
    whybot_run undo 4<"$dir/$step.undo" || failed=1;
    step=$((step-1));
  done;
  return "$failed";
};

# Takes back what does not show as it was before; tried again, because an agent may hold
# the lock of the rules. Ends with whether it is as it was.
whybot_back() {
  for try in 1 2 3; do
    if whybot_same; then return 0; fi;
    if whybot_undo; then return 0; fi;
    sleep 1;
  done;
  whybot_same;
};

# Arms the rollback outside of this session, with a copy of this program that
# lasts as long as the fix is open.
whybot_arm() {
  case "$0" in */*) cat -- "$0" >"$dir/helper";; *) printf '%s\n' "$whybot_text" >"$dir/helper";; esac;
  if [ ! -s "$dir/helper" ]; then return 1; fi;
  whybot_uptime; whybot_write "$dir/deadline" "$((uptime+seconds))" || return 1;
  if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null 2>&1; then
    systemd-run --quiet --collect --unit="whybot-rollback-$id" --on-active="$seconds" --timer-property=AccuracySec=100ms -- /bin/sh "$dir/helper" rollback "$id" </dev/null >&2 9>&-;
    return;
  fi;
  setsid sh "$dir/helper" wait "$id" </dev/null >/dev/null 2>&1 9>&- &
  for try in 1 2 3 4 5 6 7 8 9 10; do
    if [ -s "$dir/waiting" ] && read -r pid <"$dir/waiting" && kill -0 "$pid" 2>/dev/null; then return 0; fi;
    sleep 0.2 2>/dev/null || sleep 1;
  done;
  return 1;
};

# Refuses while another fix is open. One whose time is long up had its timer
# killed, or never had one: it is taken back here.
whybot_alone() {
  mine=$1;
  if [ -r "$whybot_home/open" ] && read -r other <"$whybot_home/open"; then
    whybot_id "$other"; whybot_state; whybot_uptime; deadline=0;
    if [ -r "$dir/deadline" ]; then read -r deadline <"$dir/deadline"; fi;
    if [ "$state" = armed ] && [ "$uptime" -lt "$((deadline+30))" ]; then whybot_refuse 67 "another fix is open here: $other"; fi;
    if [ "$state" = armed ]; then
      if whybot_back; then whybot_settle rolled-back; else whybot_settle broken; fi;
    fi;
  fi;
  whybot_id "$mine"; whybot_state;
};

whybot_commit() {
  if [ "$#" -lt 4 ]; then whybot_misuse "too few words"; fi;
  whybot_id "$1"; whybot_number "$2" "the token"; whybot_number "$3" "the time"; fence=$2; seconds=$3; shift 3;
  if [ "$seconds" -lt 1 ] || [ "$seconds" -gt 3600 ]; then whybot_misuse "a time of $seconds s"; fi;
  whybot_lock -w 10;
  last=0; if [ -r "$whybot_home/token" ]; then read -r last <"$whybot_home/token"; fi;
  if [ "$fence" -lt "$last" ]; then whybot_refuse 66 "token $fence is older than $last, which this node has seen"; fi;
  whybot_state; if [ "$state" != none ]; then whybot_refuse 68 "this fix was begun before and is $state"; fi;
  whybot_alone "$id";
  new=$whybot_home/new; rm -rf -- "$new"; mkdir "$new" || whybot_refuse 69 "$new cannot be made";
  whybot_take "$new" "$@";
  whybot_write "$whybot_home/token" "$fence" && whybot_write "$new/begun" 0 || whybot_refuse 69 "$whybot_home cannot be written";
  rm -rf -- "$dir"; mv -- "$new" "$dir" || whybot_refuse 69 "$dir cannot be made";
  token=$fence; began=$(date +%s); ended=-;
  if ! whybot_same; then rm -rf -- "$dir"; whybot_refuse 70 "it is not as it was when this was planned; nothing was changed"; fi;
  whybot_write "$dir/state" "armed $token $began -" && whybot_write "$whybot_home/open" "$id" || whybot_refuse 69 "$dir cannot be written";
  if ! whybot_arm; then whybot_settle failed; whybot_refuse 69 "the rollback could not be armed; nothing was changed"; fi;
  step=0;
  while [ "$step" -lt "$steps" ]; do
    step=$((step+1)); whybot_write "$dir/begun" "$step" && whybot_run "do" 4<"$dir/$step.do" && continue;
    if whybot_back; then whybot_settle failed; whybot_refuse 71 "the change failed; nothing is changed"; fi;
    whybot_settle broken; whybot_refuse 72 "the change failed and could not be taken back";
  done;
  if whybot_same; then
    if whybot_undo; then whybot_settle failed; whybot_refuse 71 "the change does not show in what guards it; it was taken back"; fi;
    whybot_settle broken; whybot_refuse 72 "the change does not show in what guards it and could not be taken back";
  fi;
  whybot_answer;
};

whybot_confirm() {
  whybot_id "${1-}"; whybot_number "${2-}" "the token"; fence=$2;
  whybot_lock -w 10; whybot_state;
  if [ "$state" != armed ]; then whybot_refuse 73 "there is nothing to confirm: the fix is $state"; fi;
  if [ "$fence" != "$token" ]; then whybot_refuse 66 "token $fence is not the one of this fix"; fi;
  whybot_settle confirmed;
  if [ -d /run/systemd/system ]; then systemctl stop "whybot-rollback-$id.timer" </dev/null >/dev/null 2>&1 9>&-; fi;
  whybot_answer;
};

whybot_rollback() {
  whybot_id "${1-}"; whybot_lock -x; whybot_state;
  if [ "$state" = armed ]; then
    if whybot_back; then whybot_settle rolled-back; else whybot_settle broken; fi;
  fi;
  whybot_answer;
};

# Sleeps until the fix is settled or its time is up. Time since boot: nobody
# sets that clock.
whybot_wait() {
  whybot_id "${1-}"; read -r deadline <"$dir/deadline"; whybot_write "$dir/waiting" "$$";
  while whybot_state; [ "$state" = armed ]; do
    whybot_uptime;
    if [ "$uptime" -ge "$deadline" ]; then whybot_rollback "$id"; return; fi;
    sleep 0.5 2>/dev/null || sleep 1;
  done;
};

whybot_main() {
  verb=${1-}; if [ "$#" -gt 0 ]; then shift; fi;
  case "$verb" in
    commit) whybot_commit "$@";;
    confirm) whybot_confirm "$@";;
    rollback) whybot_rollback "$@";;
    wait) whybot_wait "$@";;
    status) whybot_id "${1-}"; whybot_answer;;
    *) whybot_misuse "$verb";;
  esac;
};
whybot_main "$@";
