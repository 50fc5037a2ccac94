#!/bin/bash
# A supervisor is asked over its control socket, by spillctl and by hand.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
cgroup_new control || tap_skip_all "$CGROUP_WHY"
spillctl=$BUILD/bin/spillctl
socket=$TAP_DIR/run/app.sock
log=$TAP_DIR/log
out=$TAP_DIR/out
ini=$TAP_DIR/app.ini
IDLE_MIB=64

cat >"$ini" <<END
[supervisor]
control = $socket
[policy:default]
scavenge = off
[service:web]
command = $memory idle $IDLE_MIB 1 1000
[service:asleep]
command = sh -c 'trap "echo hup" HUP; echo waits; while :; do sleep 1; done'
[service:short]
command = sh -c 'sleep 0.2; exit 3'
autorestart = false
END

ctl() {
  timeout 60 "$spillctl" --socket="$socket" "$@" >"$TAP_DIR/said" 2>"$TAP_DIR/complained"
  STATUS=$?
}

ctl_is() { # NAME STATUS ARGUMENTS...
  local name=$1 expected=$2
  shift 2
  ctl "$@"
  tap_is "$name" "$STATUS" "$expected"
}

# A word of a service's line in the table.
column() { # SERVICE COLUMN
  awk -v service="$1" -v column="$2" '$1 == service { print $column }' "$TAP_DIR/said"
}

# The status and the answer, by a client that is not ours.
asks() { # METHOD PATH [BODY]
  python3 - "$socket" "$@" <<'END'
import http.client, socket, sys
connection = http.client.HTTPConnection("x", timeout=60)
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(sys.argv[1])
connection.request(sys.argv[2], sys.argv[3], body=sys.argv[4] if len(sys.argv) > 4 else None)
answer = connection.getresponse()
print(answer.status, answer.read().decode())
END
}

state_is() {
  ctl status
  [ "$(column "$1" 2)" = "$2" ]
}

# Somebody else listens there, and leaves the socket behind.
mkdir "$TAP_DIR/run"
python3 -c '
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
time.sleep(1000)
' "$socket" &
other=$!
at_exit_kill "$other"
wait_until 60 test -S "$socket"
(cgroup_exec "$spillway" run "$ini") >"$TAP_DIR/out.early" 2>"$TAP_DIR/log.early" &
early=$!
at_exit_kill "$early"
tap_ok "a socket that somebody listens at is not taken" wait_until 60 said 'control: .*in use' "$TAP_DIR/log.early"
kill "$early"
wait "$early"
kill "$other"
wait "$other"
tap_ok "and is still there" test -S "$socket"

(cgroup_exec "$spillway" run "$ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "the services are up" wait_until 60 said waits "$out"
tap_is "the socket is its owner's" "$(stat -c %a "$socket")" 600
wait_until 60 state_is short EXITED
ctl status
tap_is "status tells of what runs" "$(column web 2) $(column asleep 2)" "RUNNING RUNNING"
tap_is "and that something does not" "$STATUS" 3
ctl_is "which it is not asked about" 0 status web asleep
ctl_is "a service that is not there is unknown" 4 status nobody
ctl_is "JSON, too, that something does not run" 3 status --json
ctl_is "status speaks JSON" 0 status --json web
tap_ok "with the same figures, of that service alone" python3 -c '
import json, sys
status = json.load(open(sys.argv[1]))
[web] = status["services"]
assert web["name"] == "web"
assert web["state"] == "RUNNING" and web["pid"] > 1 and status["supervisor"]["pid"] == int(sys.argv[2])
' "$TAP_DIR/said" "$pid"

before=$(pgrep -P "$pid" -f trap)
ctl_is "a signal goes to the main process" 0 signal asleep HUP
tap_ok "which gets it" wait_until 60 said hup "$out"
ctl_is "a signal that there is not is refused" 2 signal asleep NOSUCH
ctl_is "what does not run gets none" 1 signal short HUP
ctl_is "restart waits until it is up" 0 restart asleep
ctl status
after=$(pgrep -P "$pid" -f trap)
tap_is "as another process" "$(column asleep 3) $([ "$before" != "$after" ] && echo other)" "$after other"
ctl_is "stop waits until it is down" 0 stop asleep
tap_is "and it is" "$(pgrep -P "$pid" -f trap)" ""
ctl_is "a reload does not start it" 0 reload
ctl status
tap_is "nor does anything else" "$(column asleep 2)" STOPPED
ctl_is "the others can be stopped too" 0 stop web
tap_ok "without an end of the supervisor" kill -0 "$pid"
ctl_is "what was stopped is started" 0 start asleep web
ctl_is "what does not stay up is told" 1 start short
tap_ok "with its status" said 'did not stay up.*status 3' "$TAP_DIR/complained"

fills() {
  kill -USR1 "$(pgrep -P "$pid" -f "^$memory idle")"
}
is_idle() {
  [ "$(asks GET /v1/services/web | sed 's/^200 //' |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["idle_bytes"] >> 20)')" -ge $((IDLE_MIB / 2)) ]
}
wait_until 60 said empty "$out"
fills
tap_ok "idle memory is seen" wait_until 60 is_idle
ctl_is "a release says what came back" 0 release web --level=eager --target=8M
mib=$(sed -n 's/^web: returned \([0-9]*\)[.0-9]*M$/\1/p' "$TAP_DIR/said")
tap_ok "which is what was asked for, or somewhat more" test "${mib:-0}" -ge 7 -a "${mib:-0}" -lt $((IDLE_MIB / 2))
ctl_is "all can be asked" 0 release all
tap_is "each says so" "$(grep -c 'returned\|no heap' "$TAP_DIR/said")" 3
ctl_is "a limit can be set" 0 limit web 512M
tap_ok "and is told" said 'web: memory_max 512M, asked by hand' "$log"
ctl_is "but nothing that is none" 2 limit web much

"$spillctl" --socket="$socket" events >"$TAP_DIR/events" 2>&1 &
at_exit_kill $!
hears() {
  ctl release web
  said 'web: full: asked for by hand' "$TAP_DIR/events"
}
tap_ok "events are heard as they happen" wait_until 60 hears
echo nonsense >>"$ini"
ctl_is "a file that is wrong is not reloaded" 1 reload
tap_ok "and it is said where" said 'app.ini:[0-9]*: ' "$TAP_DIR/complained"
sed -i '$d' "$ini"

tap_is "whoever speaks HTTP may ask" "$(asks GET /v1/nothing)" '404 {"error":"no such path"}'
tap_is "but not for nonsense" "$(asks POST /v1/release '[]')" '400 {"error":"the body is no JSON object"}'
tap_is "nor with a level that there is not" "$(asks POST /v1/release '{"level": "all"}' | cut -d' ' -f1)" 400
long=$(head -c 100000 /dev/zero | tr '\0' x)
tap_is "a long body is refused" "$(asks POST /v1/release "{\"x\": \"$long\"}" 2>&1 | grep -c '^413\|Error:')" 1
python3 - "$socket" <<'END'
import os, socket, sys
for _ in range(200):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.send(os.urandom(300))
    s.close()
END
ctl_is "noise harms nobody" 0 status web
if [ "$(id -u)" -eq 0 ]; then
  chmod 755 "$TAP_DIR" "$TAP_DIR/run"
  chmod 666 "$socket"
  tap_is "another user is refused where the mode would let him" "$(setpriv --reuid=65534 --clear-groups \
    "$spillctl" --socket="$socket" status 2>&1 >/dev/null)" \
    "spillctl: status: only root and the supervisor's own user may ask"
else
  tap_skip "another user is refused" "only root has another one"
fi
kill "$pid"
wait "$pid"
tap_ok "the socket goes with the supervisor" test ! -e "$socket"
ctl_is "and nobody is there any more" 4 status
ctl_is "whom a release could be asked of" 7 release all

# Of the processes of one service those are asked first where a page costs least: the first one
# took back all that it had given, the second one never gave anything.
log=$TAP_DIR/pair.log
out=$TAP_DIR/pair.out
cat >"$ini" <<END
[supervisor]
control = $socket
[policy:default]
scavenge = off
[service:pair]
command = sh -c '$memory idle $IDLE_MIB 1 1000 & until test -e $TAP_DIR/go; do sleep 0.1; done; $memory idle $IDLE_MIB 1 1000 & wait'
END
said_times() { # TIMES PATTERN
  [ "$(grep -c "$2" "$out")" -ge "$1" ]
}
holds_mib() {
  [ "$(asks GET /v1/services/pair | sed 's/^200 //' |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["idle_bytes"] >> 20)')" -ge "$1" ]
}
rss_mib() { # PID
  awk '/^Rss:/ { print int($2 / 1024) }' "/proc/$1/smaps_rollup"
}
(cgroup_exec "$spillway" run "$ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "the first process of a service is up" wait_until 60 said_times 1 empty
shell=$(pgrep -P "$pid" -f wait)
set -- "$(pgrep -P "$shell" -f "^$memory")"
kill -USR1 "$1"
tap_ok "the first one holds idle memory" wait_until 60 holds_mib $((IDLE_MIB * 3 / 4))
ctl_is "and gives all of it" 0 release pair
kill -USR1 "$1"
# It begins only now, so that nothing was ever given back there, which is known to be cheap.
touch "$TAP_DIR/go"
tap_ok "and the second one" wait_until 60 said_times 2 empty
set -- "$1" "$(pgrep -P "$shell" -f "^$memory" | grep -v "^$1\$")"
kill -USR1 "$2"
tap_ok "both hold as much" wait_until 60 holds_mib $((IDLE_MIB * 3 / 2))
before=$(rss_mib "$1")/$(rss_mib "$2")
ctl_is "a part of it is asked for" 0 release pair --level=eager --target=16M
after=$(rss_mib "$1")/$(rss_mib "$2")
tap_ok "which the second one gives ($before -> $after MiB)" \
  test $((${before%/*} - ${after%/*})) -lt 4 -a $((${before#*/} - ${after#*/})) -ge 14
tap_ok "the log says of how many, and what a page costs" \
  said 'pair: eager: .*; asked 16M of 1 of [23] processes; returned .* at [0-9]*ns a page' "$log"
tap_diag "$(grep 'pair: eager' "$log")"
kill "$pid"
wait "$pid"
tap_ok "as does the report" said 'pair: in all: .*; a page costs [0-9]*ns; ' "$log"
tap_done
