#!/bin/bash
# Nobody who reads the log, or does not, stops the supervisor.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
pipe=$TAP_DIR/stderr
out=$TAP_DIR/out

up() {
  [ -s "$out" ]
}

# begin COMMAND...: under a supervisor whose stderr is $pipe.
begin() {
  : >"$out"
  "$spillway" -vv "$@" >"$out" 2>"$pipe" </dev/null &
  pid=$!
  at_exit_kill "$pid"
}

mkfifo "$pipe"
exec 9<>"$pipe"
# dd opens the pipe for itself, so that it stays blocking for everybody else.
until ! dd if=/dev/zero of="$pipe" bs=4096 count=1 oflag=nonblock 2>"$TAP_DIR/dd"; do :; done

begin -- sh -c 'trap "exit 7" TERM; (exit 0) & echo up; while :; do sleep 0.05; done'
tap_ok "with a full stderr that nobody reads the service starts" wait_until 60 up
kill -TERM "$pid"
wait "$pid"
tap_is "a signal reaches it, it is reaped, and its status is ours" $? 7

cat >"$TAP_DIR/restart.ini" <<INI
[service:again]
command = sh -c 'echo up; sleep 0.02'
autorestart = true
INI
begin run "$TAP_DIR/restart.ini"
started_often() {
  [ "$(wc -l <"$out")" -ge 3 ]
}
tap_ok "services are started again" wait_until 60 started_often
kill -TERM "$pid"
wait "$pid"
tap_is "and it stops" $? 0
exec 9<&-

# The reader is gone before the first line.
: | "$spillway" -vv -- sh -c 'exit 3' 2> >(exec <&-)
tap_is "with the reader gone the status is still the service's" $? 3

"$spillway" -vv -- sh -c 'exit 4' 2>/dev/full
tap_is "and on a full disk" $? 4
"$spillway" -vv -- sh -c 'exit 5' 2>&-
tap_is "and with stderr closed" $? 5
tap_done
