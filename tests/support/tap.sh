# shellcheck shell=sh
# What script tests share: TAP, polling, cleaning up, cgroups.  Sourced, by sh or bash, from the
# repository's root:
#
#   #!/bin/sh
#   set -u
#   . tests/support/tap.sh
#   cgroup_new web || tap_skip_all "$CGROUP_WHY"      # sets CGROUP and CGROUP_MEMORY
#   cgroup_limit "$CGROUP_MEMORY" $((64 << 20))
#   (cgroup_exec build/release/tests/system/grow 100M) & pid=$!
#   tap_ok "the kernel kills what grows past the limit" \
#       wait_until 10 cgroup_oom_killed "$CGROUP_MEMORY"
#   tap_done
#
# TAP
#   tap_ok NAME COMMAND...    ok when COMMAND succeeds; its stdout goes to stderr, out of TAP's way
#   tap_is NAME GOT WANTED    ok when the two strings are equal; says both when they are not
#   tap_pass NAME             ok                     tap_fail NAME [WHY]   not ok
#   tap_skip NAME REASON      one test skipped       tap_skip_all REASON   all of them; exits
#                             The runner names all whose reason begins with "needs root" in one line.
#   tap_diag TEXT...          a comment line
#   tap_done                  prints the plan; exits 0 when all passed, 1 otherwise.  The last line
#                             of every script: the runner fails a script that printed no plan.
# Waiting
#   wait_until SECONDS COMMAND...   polls every 50 ms until COMMAND succeeds; 1 when SECONDS are over.
#                                   The deadline stretches with the load, as tests/support/patience.h
#                                   says
#   bounded SECONDS COMMAND...      runs COMMAND, each of whose processes may use so many seconds of
#                                   CPU time.  What hangs is ended after 30 times that by the clock:
#                                   then "timed out" is said on stderr and the status is 124
#   now_ms                          prints milliseconds since boot
# Cleaning up, also when the script is interrupted or dies of set -u
#   at_exit COMMAND...        runs at exit, the last one first
#   at_exit_kill PID          kills a process then, if it is still a child of this script: the number of
#                             one that was waited for may be anybody's by then
#   $TAP_DIR                  an empty folder of this script, removed at exit
# Cgroups, all removed at exit with everything in them and below them killed
#   cgroup_new NAME           makes one below our own, or says why not in CGROUP_WHY and returns 1.
#                             CGROUP: its folder in the v2 tree (has memory.pressure; may be empty
#                             where there is no v2).  CGROUP_MEMORY: where the memory controller
#                             is: the same folder on v2, one in the v1 memory tree on hybrid hosts.
#   cgroup_exec COMMAND...    moves this subshell into the last one made, then execs COMMAND; call
#                             it in ( )
#   cgroup_v2 DIR             true when DIR is of the v2 tree
#   cgroup_limit DIR BYTES    memory.max without swap, or v1's limit_in_bytes
#   cgroup_usage_bytes DIR    prints memory.current, or v1's usage_in_bytes
#   cgroup_read_usage DIR     sets TAP_USAGE_BYTES to it and starts no process, for polls
#   cgroup_oom_kills DIR      prints how many processes the kernel killed there
#   cgroup_oom_killed DIR     true when it is at least one
#   cgroup_stat DIR KEY       prints KEY of memory.stat, 0 when missing
#   cgroup_pids DIR           prints every process in and below DIR

. tests/support/path.sh
TAP_COUNT=0
# What a reason begins with where another user than root could not do it.
TAP_ROOT=
[ "$(id -u)" -eq 0 ] || TAP_ROOT="needs root: "
TAP_PROCESSORS=$(nproc)
TAP_FAILED=0
TAP_AT_EXIT=
TAP_CGROUPS=0
CGROUP=
CGROUP_MEMORY=
CGROUP_WHY=

tap_pass() {
  TAP_COUNT=$((TAP_COUNT + 1))
  echo "ok $TAP_COUNT - $1"
}

tap_fail() {
  TAP_COUNT=$((TAP_COUNT + 1))
  TAP_FAILED=$((TAP_FAILED + 1))
  echo "not ok $TAP_COUNT - $1"
  [ $# -lt 2 ] || tap_diag "$2"
}

tap_ok() {
  local tap_name="$1"
  shift
  if "$@" >&2; then
    tap_pass "$tap_name"
  else
    tap_fail "$tap_name" "failed: $*"
  fi
}

tap_is() {
  if [ "$2" = "$3" ]; then
    tap_pass "$1"
  else
    tap_fail "$1" "got '$2', wanted '$3'"
  fi
}

tap_skip() {
  TAP_COUNT=$((TAP_COUNT + 1))
  echo "ok $TAP_COUNT - $1 # SKIP $2"
}

tap_skip_all() {
  echo "1..0 # SKIP $1"
  exit 0
}

tap_diag() {
  printf '%s\n' "$*" | sed 's/^/# /'
}

tap_done() {
  echo "1..$TAP_COUNT"
  [ "$TAP_FAILED" -eq 0 ] || exit 1
  exit 0
}

# Sets TAP_NOW_MS.  Polling starts no process but the pause and the command that is asked.
tap_read_clock() {
  local up rest
  read -r up rest </proc/uptime
  # 12.34 -> 12340; the leading 1 keeps a fraction such as 08 from being read as octal.
  TAP_NOW_MS=$((${up%.*} * 1000 + (1${up#*.} - 100) * 10))
}

now_ms() {
  tap_read_clock
  echo "$TAP_NOW_MS"
}

# Sets TAP_COUNTED_MS: how many of $1 ms count: with more runnable threads than processors a part, and
# at most 200.
tap_count() {
  local average running
  TAP_COUNTED_MS=$1
  read -r average average average running average </proc/loadavg
  running=${running%/*}
  [ "$TAP_COUNTED_MS" -le 200 ] || TAP_COUNTED_MS=200
  [ "$running" -le "$TAP_PROCESSORS" ] || TAP_COUNTED_MS=$((TAP_COUNTED_MS * TAP_PROCESSORS / running))
}

# 50 ms.  In the emulated machine starting sleep costs as much CPU time as the pause is long, so bash
# waits for a line that nobody writes; the FIFO is open for that moment only, so no child has it.
if [ -n "${BASH_VERSION:-}" ]; then
  tap_pause() {
    local nothing
    # shellcheck disable=SC3045
    read -r -t 0.05 nothing <>"$TAP_DIR/pause" || :
  }
else
  tap_pause() {
    sleep 0.05
  }
fi

wait_until() {
  local left_ms=$(($1 * 1000)) polled_ms
  tap_read_clock
  polled_ms=$TAP_NOW_MS
  shift
  until "$@"; do
    [ "$left_ms" -gt 0 ] || return 1
    tap_pause
    tap_read_clock
    tap_count $((TAP_NOW_MS - polled_ms))
    left_ms=$((left_ms - TAP_COUNTED_MS))
    polled_ms=$TAP_NOW_MS
  done
}

bounded() {
  local cpu_s=$1 wall_s=$(($1 * 30)) status
  shift
  (ulimit -t "$cpu_s" && exec timeout -k 10 "$wall_s" "$@")
  status=$?
  [ $status -ne 124 ] || echo "timed out after $wall_s s: $*" >&2
  return $status
}

tap_quote() {
  printf "'%s' " "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

at_exit() {
  local word line=
  for word in "$@"; do
    line="$line$(tap_quote "$word")"
  done
  TAP_AT_EXIT="$line
$TAP_AT_EXIT"
}

at_exit_kill() {
  at_exit tap_kill_child "$1"
}

tap_kill_child() {
  local stat=
  read -r stat <"/proc/$1/stat"
  # 4711 (name) S 42 ...: the name may hold blanks, the parent is the second word after it.
  stat=${stat##*) }
  stat=${stat#* }
  [ "${stat%% *}" != $$ ] || kill -9 "$1"
}

tap_clean() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  set +eu
  eval "$TAP_AT_EXIT" >/dev/null 2>&1
  exit "$status"
}

# The mount point of the tree that has file system type $1 and, for v1, the controller $2.
cgroup_mount() {
  awk -v type="$1" -v controller="${2:-}" '
    $3 == type && (controller == "" || ("," $4 ",") ~ ("," controller ",")) { print $2; exit }' /proc/mounts
}

# Our own path in the tree whose controller is $1 (empty: v2).
cgroup_own() {
  awk -F : -v controller="$1" '
    (controller == "" && $1 == "0" && $2 == "") ||
    (controller != "" && ("," $2 ",") ~ ("," controller ",")) { print $3; exit }' /proc/self/cgroup
}

# Prints a folder of the v2 tree whose children have the memory controller.
cgroup_v2_parent() {
  local folder
  for folder in "$1${2%/}" "$1"; do
    if grep -qw memory "$folder/cgroup.subtree_control" 2>/dev/null ||
      { echo +memory >"$folder/cgroup.subtree_control"; } 2>/dev/null; then
      [ -w "$folder" ] || continue
      echo "$folder"
      return 0
    fi
  done
  return 1
}

cgroup_new() {
  local v2 v1 parent name
  TAP_CGROUPS=$((TAP_CGROUPS + 1))
  name="spillway-test-$1.$$.$TAP_CGROUPS"
  CGROUP=
  CGROUP_MEMORY=
  v2=$(cgroup_mount cgroup2)
  v1=$(cgroup_mount cgroup memory)
  if [ -n "$v1" ]; then
    CGROUP_WHY="${TAP_ROOT}cannot make a cgroup below our own in $v1"
    cgroup_make "$v1$(cgroup_own memory)" "$name" || return 1
    CGROUP_MEMORY=$CGROUP_MADE
    if [ -n "$v2" ] && cgroup_make "$v2$(cgroup_own '')" "$name"; then
      CGROUP=$CGROUP_MADE
    fi
    return 0
  fi
  CGROUP_WHY="no memory controller in any cgroup tree"
  [ -n "$v2" ] && grep -qw memory "$v2/cgroup.controllers" || return 1
  CGROUP_WHY="${TAP_ROOT}cannot give a cgroup below $v2 the memory controller"
  parent=$(cgroup_v2_parent "$v2" "$(cgroup_own '')") || return 1
  cgroup_make "$parent" "$name" || return 1
  CGROUP=$CGROUP_MADE
  CGROUP_MEMORY=$CGROUP_MADE
}

cgroup_make() {
  CGROUP_MADE="${1%/}/$2"
  mkdir "$CGROUP_MADE" 2>/dev/null || return 1
  at_exit cgroup_destroy "$CGROUP_MADE"
}

cgroup_pids() {
  find "$1" -name cgroup.procs -exec cat {} + 2>/dev/null
}

cgroup_empty() {
  local pids
  pids=$(cgroup_pids "$1")
  [ -n "$pids" ] || return 0
  # shellcheck disable=SC2086
  kill -9 $pids 2>/dev/null
  return 1
}

cgroup_remove() {
  find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
  ! [ -d "$1" ]
}

cgroup_destroy() {
  [ -d "$1" ] || return 0
  { echo 0 >"$1/cgroup.freeze"; echo 1 >"$1/cgroup.kill"; } 2>/dev/null
  wait_until 10 cgroup_empty "$1"
  wait_until 5 cgroup_remove "$1"
}

cgroup_exec() {
  [ -z "$CGROUP" ] || echo 0 >"$CGROUP/cgroup.procs" || exit 125
  [ "$CGROUP_MEMORY" = "$CGROUP" ] || echo 0 >"$CGROUP_MEMORY/cgroup.procs" || exit 125
  exec "$@"
}

cgroup_v2() {
  [ -e "$1/cgroup.controllers" ]
}

cgroup_limit() {
  if cgroup_v2 "$1"; then
    [ ! -e "$1/memory.swap.max" ] || echo 0 >"$1/memory.swap.max"
    echo "$2" >"$1/memory.max"
  else
    echo "$2" >"$1/memory.limit_in_bytes"
  fi
}

# Sets TAP_USAGE_BYTES; starts no process.
cgroup_read_usage() {
  if cgroup_v2 "$1"; then
    read -r TAP_USAGE_BYTES <"$1/memory.current"
  else
    read -r TAP_USAGE_BYTES <"$1/memory.usage_in_bytes"
  fi
}

cgroup_usage_bytes() {
  cgroup_read_usage "$1" && echo "$TAP_USAGE_BYTES"
}

cgroup_oom_kills() {
  if cgroup_v2 "$1"; then
    awk '$1 == "oom_kill" { print $2 }' "$1/memory.events"
  else
    awk '$1 == "oom_kill" { print $2 }' "$1/memory.oom_control"
  fi
}

cgroup_oom_killed() {
  [ "$(cgroup_oom_kills "$1")" -gt 0 ]
}

cgroup_stat() {
  awk -v key="$2" '$1 == key { value = $2 } END { print value + 0 }' "$1/memory.stat"
}

trap tap_clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
TAP_DIR=$(mktemp -d "${TMPDIR:-/tmp}/spillway-test.XXXXXX") || exit 125
at_exit rm -rf "$TAP_DIR"
mkfifo "$TAP_DIR/pause" || exit 125
