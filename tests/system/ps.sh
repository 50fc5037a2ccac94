#!/bin/bash
# kernels: none
# spillctl ps lists every preloaded process, with its figures where it has grown, and nobody else.
. "$(dirname "$0")/../support/system.sh"
preload=$BUILD/lib/libspillway.so
spillctl=$BUILD/bin/spillctl
STEP_MIB=20
unset SPILLWAY_SHARE

# start NAME COMMAND...: in the background, its answers in $TAP_DIR/NAME; sets $started
start() {
  local name=$1
  shift
  "$@" >"$TAP_DIR/$name" 2>&1 &
  started=$!
  at_exit_kill "$started"
}

# field PID KEY: of the process in ps --json; "none": it has no such key, "": it is not there
field() {
  "$spillctl" ps --json | /usr/bin/python3 -c '
import json, sys
for process in json.load(sys.stdin):
    if process["pid"] == int(sys.argv[1]):
        print(process.get(sys.argv[2], "none"))' "$1" "$2"
}

# holds PID KEY LEAST MOST
holds() {
  local value
  value=$(field "$1" "$2")
  [ -n "$value" ] && [ "$value" != none ] && [ "$value" -ge "$3" ] && [ "$value" -le "$4" ]
}

start grown env LD_PRELOAD="$preload" "$memory" grow $STEP_MIB
grown=$started
start small env LD_PRELOAD="$preload" sleep 1000
small=$started
start plain sleep 1000
plain=$started
out=$TAP_DIR/grown
wait_until 60 said small "$out"
tap_ok "a process grows" grow "$grown" $STEP_MIB
tap_ok "its live memory is told" wait_until 60 holds "$grown" live_bytes $((20 << 20)) $((40 << 20))
tap_ok "and how old that is" holds "$grown" age_ms 0 600000
tap_is "with its command" "$(field "$grown" command)" memory
tap_is "its user" "$(field "$grown" user)" "$(id -un)"
tap_is "and its cgroup" "$(field "$grown" cgroup)" "$(awk -F : '$2 == "" || $2 ~ /memory/ { path = $3; if ($2 != "") exit } END { print path }' "/proc/$grown/cgroup")"
tap_ok "a small one is listed" wait_until 60 eval '[ -n "$(field "$small" pid)" ]'
tap_is "without figures" "$(field "$small" live_bytes)" none
tap_is "one that is not preloaded is not" "$(field "$plain" pid)" ""
"$spillctl" ps >"$TAP_DIR/table"
tap_is "the table has a line for it" "$(awk -v pid="$grown" '$1 == pid { print $3 }' "$TAP_DIR/table")" memory

text=$TAP_DIR/metrics
"$spillctl" ps --metrics >"$text"
tap_ok "so has the text for Prometheus" grep -q \
  "^spillway_process_live_bytes{pid=\"$grown\",command=\"memory\",cgroup=\"[^\"]*\"} [0-9]*\$" "$text"
if command -v promtool >/dev/null; then
  tap_is "promtool has nothing to say" "$(promtool check metrics <"$text" 2>&1)" ""
else
  tap_skip "promtool has nothing to say" "promtool is not installed"
fi

if [ "$(id -u)" -eq 0 ] && unshare -m sh -c 'mount -t tmpfs none /dev/shm' 2>/dev/null; then
  # shellcheck disable=SC2016
  start inside unshare -m sh -c 'mount -t tmpfs none /dev/shm && LD_PRELOAD=$1 exec "$2" grow 20' - "$preload" "$memory"
  inside=$started
  out=$TAP_DIR/inside grown_mib=0
  wait_until 60 said small "$out"
  grow "$inside" $STEP_MIB
  tap_ok "one with a /dev/shm of its own is seen from outside" \
    wait_until 60 holds "$inside" live_bytes $((20 << 20)) $((40 << 20))
else
  tap_skip "one with a /dev/shm of its own is seen from outside" "nothing can be mounted here"
fi

if command -v redis-server >/dev/null; then
  start redis env LD_PRELOAD="$preload" redis-server --port 0 --unixsocket "$TAP_DIR/redis.sock" --save ''
  redis=$started
  wait_until 60 redis-cli -s "$TAP_DIR/redis.sock" ping >/dev/null
  seq 100000 | sed 's/.*/set key:& a-value-that-takes-some-bytes-&/' |
    timeout 60 redis-cli -s "$TAP_DIR/redis.sock" --pipe >/dev/null
  tap_ok "redis is listed, with what it holds" wait_until 60 holds "$redis" live_bytes $((10 << 20)) $((200 << 20))
else
  tap_skip "redis is listed, with what it holds" "redis is not installed"
fi
tap_done
