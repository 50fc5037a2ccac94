#!/bin/bash
# Services start and stop along what they need, and are ready when they say so.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
socket=$TAP_DIR/app.sock
ini=$TAP_DIR/app.ini
log=$TAP_DIR/log
notes=$TAP_DIR/notes

# Notes when it starts, and when it is told to stop.
cat >"$TAP_DIR/noter" <<'SHELL'
#!/bin/sh
# noter NOTES NAME
trap 'echo "$2 stops" >>$1; kill $!; exit 0' TERM
echo "$2 starts" >>$1
while :; do sleep 1000 & wait $!; done
SHELL
chmod +x "$TAP_DIR/noter"

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

noted() { # TIMES WHAT
  [ "$(grep -cx "$2" "$notes")" -ge "$1" ]
}

order() {
  tr '\n' ' ' <"$notes"
}

cat >"$ini" <<END
[supervisor]
control = $socket
[service:web]
requires = api
command = $TAP_DIR/noter $notes web
[service:api]
requires = db
after = migrate
notify = exec:grep -qx 'api starts' $notes
command = $TAP_DIR/noter $notes api
[service:migrate]
after = db
type = oneshot
command = sh -c 'echo migrate starts >>$notes'
[service:db]
notify = exec:grep -qx 'db starts' $notes
command = $TAP_DIR/noter $notes db
END
begin
tap_ok "a chain starts" wait_until 60 noted 1 "web starts"
tap_is "up to what needs all others" "$(order)" "db starts migrate starts api starts web starts "
tap_ok "one in the middle is stopped" ctl stop api
tap_is "after what requires it, and nothing else is" "$(order)" \
  "db starts migrate starts api starts web starts web stops api stops "
tap_ok "what requires it waits" state_is web WAITING
tap_ok "which status tells why" eval 'ctl status --json web; said "\"waits_for\": *\"api\"" "$TAP_DIR/said"'
: >"$notes"
tap_ok "it is asked for again" ctl start web
tap_is "with what it requires" "$(order)" "api starts web starts "
: >"$notes"
end
tap_is "told to stop it exits with 0" $? 0
tap_is "and the chain goes down from its end" "$(order)" "web stops api stops db stops "

printf '[service:a]\nafter = b\ncommand = true\n[service:b]\nrequires = a\ncommand = true\n' >"$ini"
"$spillway" check "$ini" >"$TAP_DIR/said" 2>&1
tap_is "a cycle is refused" "$?" 1
tap_ok "with its line" said "app.ini:2: a -> b -> a: expected needs without a cycle" "$TAP_DIR/said"
printf '[service:a]\ncommand = false\nstartsecs = 1\nstartretries = 0\n[service:b]\nrequires = a\ncommand = sleep 1000\n' >"$ini"
tap_is "where all are down or lack one of these it ends, with 1" "$("$spillway" run "$ini" 2>"$log"; echo $?)" 1
tap_ok "and says what is missing" said 'b: not started, as a, which it requires, is down' "$log"
tap_done
