#!/bin/bash
# What is run before a start and after an end, one-shot services, files of variables, and services
# that daemonise.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
socket=$TAP_DIR/app.sock
ini=$TAP_DIR/app.ini
log=$TAP_DIR/log
notes=$TAP_DIR/notes
vars=$TAP_DIR/vars

begin() {
  : >"$notes"
  "$spillway" run "$ini" >"$TAP_DIR/out" 2>"$log" </dev/null &
  pid=$!
  at_exit_kill "$pid"
}

end() {
  kill -TERM "$pid"
  wait "$pid"
}

noted() {
  grep -qx "$1" "$notes"
}

logged() {
  said "$1" "$log"
}

order() {
  tr '\n' ' ' <"$notes"
}

cat >"$vars" <<'END'
# as /etc/default has them
A=plain value
export B="quoted \"twice\""
C='$A'
END
cat >"$ini" <<END
[supervisor]
control = $socket
[service:migrate]
type = oneshot
command = sh -c 'sleep 0.2; echo migrated >>$notes'
[service:web]
requires = migrate
environment = A=first
environment_file = $vars
pre_start = sh -c 'echo "prepares \$SPILLWAY_SERVICE \$A \$B \$C" >>$notes'
command = sh -c 'echo serves >>$notes; exec sleep 1000'
post_stop = sh -c 'echo "cleans \$SPILLWAY_EXIT_STATUS" >>$notes'
END
begin
tap_ok "a service waits for a one-shot" wait_until 60 noted serves
tap_is "which is up when it is done" "$(order)" "migrated prepares web plain value quoted \"twice\" \$A serves "
tap_ok "all is well then" ctl status
: >"$notes"
sed -i 's/plain/other/' "$vars"
tap_ok "a restart" ctl restart web
tap_is "reads the variables again, and cleans before it prepares" "$(order)" \
  "cleans 143 prepares web other value quoted \"twice\" \$A serves "
rm "$vars"
mkfifo "$vars"
ctl restart web
tap_ok "a FIFO is not waited for" logged "environment_file: $vars: Not a regular file"
ctl status
tap_is "and is a start that has failed" "$(awk '$1 == "web" { print $2 }' "$TAP_DIR/said")" BACKOFF
rm "$vars"
printf 'A=1\nno variable\n' >"$vars"
tap_ok "what is none is said with its line" wait_until 60 logged "environment_file: $vars:2: not understood"
end
tap_is "told to stop it exits with 0" $? 0

cat >"$ini" <<END
[service:broken]
pre_start = sh -c 'exit 3'
command = sh -c 'echo runs >>$notes'
startretries = 1
[service:slow]
pre_start = sleep 1000
command = sh -c 'echo runs >>$notes'
start_timeout = 200ms
startretries = 0
[service:job]
type = oneshot
command = sh -c 'echo tries >>$notes; test \$(grep -c tries $notes) = 2'
[service:stops]
command = sleep 1000
post_stop = sleep 1000
stopwaitsecs = 300ms
END
begin
tap_ok "a pre_start that fails is a start that has" wait_until 60 logged 'broken: pre_start: exited with 3'
tap_ok "and is given up" wait_until 60 logged 'broken: given up'
tap_ok "as is one that takes too long" wait_until 60 logged 'slow: given up'
tap_ok "a one-shot is tried again until it is done" wait_until 60 eval '[ "$(grep -c tries "$notes")" = 2 ]'
end
tap_is "none of the two has run" "$(grep -c runs "$notes")" 0
tap_ok "a post_stop that hangs has the time of a stop" logged 'stops: post_stop: still there after its time, killed'

# --- daemons ------------------------------------------------------------------------------------

cat >"$TAP_DIR/daemon.py" <<'PY'
import os, sys, time
# Forks twice, in a session of its own, and writes the number of the second one a little late.
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
if sys.argv[1] != "-":
    time.sleep(0.2)
    with open(sys.argv[1] + ".new", "w") as f:
        f.write("%d\n" % os.getpid())
    os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(1000)
PY
copies() {
  pgrep -c -f "^python3 $TAP_DIR/daemon.py $1"
}
cat >"$ini" <<END
[supervisor]
control = $socket
[service:known]
command = python3 $TAP_DIR/daemon.py $TAP_DIR/pid
pidfile = $TAP_DIR/pid
autorestart = true
shim = off
[service:unknown]
command = python3 $TAP_DIR/daemon.py -
autorestart = true
shim = off
END
begin
tap_ok "a service that daemonises is followed" wait_until 60 logged 'known: daemonised: follows process'
daemon=$(cat "$TAP_DIR/pid")
is_up() {
  ctl status known && [ "$(awk '$1 == "known" { print $2 $3 }' "$TAP_DIR/said")" = "RUNNING$1" ]
}
tap_ok "and up, by its new number" wait_until 60 is_up "$daemon"
kill -KILL "$daemon"
tap_ok "its end is the service's" wait_until 60 logged 'known: ended by SIGKILL'
is_another() {
  [ "$(cat "$TAP_DIR/pid")" != "$daemon" ] && is_up "$(cat "$TAP_DIR/pid")"
}
tap_ok "which is started again" wait_until 60 is_another
started_often() {
  [ "$(grep -c 'unknown: started' "$log")" -ge 4 ]
}
tap_ok "one that nobody can follow is said to be such a one" wait_until 60 logged 'unknown: it has left processes behind, which are ended'
wait_until 60 started_often
tap_ok "and never runs twice" test "$(copies -)" -le 1
end
tap_is "at the end all daemons are gone" "$(copies "")" 0
tap_done
