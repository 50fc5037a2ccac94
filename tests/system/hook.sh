#!/bin/bash
# A service is told that memory is short: by a command beside it, and by a signal.
# kernels: 6.12
. "$(dirname "$0")/../support/system.sh"
cgroup_new hook || tap_skip_all "$CGROUP_WHY"
LIMIT_MIB=192
STEP_MIB=4
cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
log=$TAP_DIR/log
out=$TAP_DIR/out

cat >"$TAP_DIR/told" <<EOF
#!/bin/sh
{
  env | grep '^SPILLWAY_\|^OF_THE_SERVICE'
  echo "groups \$(grep -h memory: /proc/self/cgroup || cat /proc/self/cgroup)"
  id -u
} >$TAP_DIR/heard.tmp
mv $TAP_DIR/heard.tmp $TAP_DIR/heard
echo \$\$ >$TAP_DIR/hangs
sleep 1000
EOF
chmod +x "$TAP_DIR/told"
chmod 777 "$TAP_DIR"
other_user=
uid=$(id -u)
if [ "$uid" -eq 0 ]; then
  other_user="user = nobody"
  uid=$(id -u nobody)
fi

heard() {
  grep -q "$1" "$TAP_DIR/heard" 2>/dev/null
}

hook_is_gone() {
  ! kill -0 "$(cat "$TAP_DIR/hangs")" 2>/dev/null
}

cat >"$TAP_DIR/hook.ini" <<EOF
[policy:default]
eager_headroom = 20%
hold = 10m
brake = off
[service:grow]
command = $memory grow $STEP_MIB
[service:web]
$other_user
environment = OF_THE_SERVICE=yes
command = sh -c 'trap "echo signalled" HUP; echo waits; while :; do sleep 1; done'
on_pressure = $TAP_DIR/told
on_pressure_signal = HUP
on_pressure_level = lazy
[service:unable]
command = sleep 1000
on_pressure = /nowhere/at-all
on_pressure_level = lazy
EOF
(cgroup_exec "$spillway" run "$TAP_DIR/hook.ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "the services are up" wait_until 60 said waits "$out"
grower=$(pgrep -P "$pid" -f "^$memory grow")
web=$(pgrep -P "$pid" -f 'trap')
pressed=0
grows_until_said "$grower" $((LIMIT_MIB / 2)) $LIMIT_MIB 'web: \(lazy\|eager\|full\)' || pressed=1
tap_is "memory gets short" $pressed 0
tap_ok "the command is run" wait_until 60 test -e "$TAP_DIR/heard"
tap_ok "it knows whom it is for" heard '^SPILLWAY_SERVICE=web$'
tap_ok "and which process" heard "^SPILLWAY_PID=$web\$"
tap_ok "and how short it is" heard '^SPILLWAY_LEVEL=[lef]'
tap_ok "in numbers" heard '^SPILLWAY_HEADROOM_BYTES=[0-9]*$'
tap_ok "it has the service's environment" heard '^OF_THE_SERVICE=yes$'
tap_ok "and its user" heard "^$uid\$"
if cgroup_v2 "$CGROUP_MEMORY"; then
  tap_ok "and its cgroup" heard 'groups 0::.*/web$'
fi
tap_ok "the signal reaches the main process" wait_until 60 said signalled "$out"
tap_ok "a command that hangs is killed" wait_until 60 hook_is_gone
tap_ok "which is said" wait_until 60 said 'web: on_pressure: still there after 5000 ms, killed' "$log"
tap_ok "so is one that is not there" wait_until 60 said 'unable: on_pressure: /nowhere/at-all: No such file' "$log"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_diag "$(grep on_pressure "$log" | cut -c 1-160)"
tap_done
