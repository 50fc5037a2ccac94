#!/bin/bash
# A supervisor that is killed under load, with a brake on, and followed by another at once: the brake
# comes off, no service runs twice, and the next one does all that the first did.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
cgroup_new takeover || tap_skip_all "$CGROUP_WHY"
cgroup_v2 "$CGROUP_MEMORY" || tap_skip_all "nobody finds what a killed supervisor has left without cgroup v2"
LIMIT_MIB=160
STEP_MIB=4
IDLE_MIB=32

# Beside a stranger the supervisor makes a cgroup of its own for its leaves, which the next one finds.
echo +memory >"$CGROUP_MEMORY/cgroup.subtree_control"
mkdir "$CGROUP_MEMORY/entry"
(echo 0 >"$CGROUP_MEMORY/entry/cgroup.procs" && exec sleep 100000) &
at_exit_kill $!
cat >"$TAP_DIR/services.ini" <<INI
[policy:default]
brake_hold = 10m
scavenge = off
[service:rush]
command = $memory grow $STEP_MIB
memory_max = ${LIMIT_MIB}M
shim = off
[service:idle]
command = $memory idle $IDLE_MIB 2 10000
[service:crash]
command = sh -c 'sleep 0.1; exit 1'
INI

# begin N: the Nth supervisor; sets pid, out, log, leaf, rush
begin() {
  out=$TAP_DIR/out.$1
  log=$TAP_DIR/log.$1
  (echo 0 >"$CGROUP_MEMORY/entry/cgroup.procs" && exec "$spillway" run "$TAP_DIR/services.ini") >"$out" 2>"$log" &
  pid=$!
  at_exit_kill "$pid"
  leaf=$CGROUP_MEMORY/spillway-$pid/rush
  tap_ok "supervisor $1: its services run" wait_until 60 eval 'said small "$out" && said empty "$out"'
  rush=$(pgrep -P "$pid" -f "^$memory grow")
}

high_is_set() {
  [ "$(cat "$leaf/memory.high")" != max ]
}

grows_until_braked() {
  grown_mib=0
  until high_is_set; do
    [ $grown_mib -lt $LIMIT_MIB ] && grow "$rush" $((LIMIT_MIB * 7 / 8)) || return 1
    [ $grown_mib -lt $((LIMIT_MIB * 7 / 8)) ] || supervisor_looks "$pid" || return 1
  done
}

count() {
  cgroup_pids "$CGROUP_MEMORY" | xargs -I{} sh -c 'tr "\0" " " </proc/{}/cmdline; echo' 2>/dev/null | grep -c "^$memory $1"
}

begin first
tap_ok "its brake is on" grows_until_braked
first=$pid
old=$(cgroup_pids "$CGROUP_MEMORY/spillway-$first" | grep -vx "$first")
kill -USR1 "$(pgrep -P "$pid" -f "^$memory idle")"
kill -KILL "$first"
wait "$first"
# What a supervisor leaves that is killed before it has made a leaf.
mkdir -p "$CGROUP_MEMORY/spillway-$(sh -c 'echo $$')/supervisor"
begin next
tap_is "no service runs twice" "$(count grow) $(count idle)" "1 1"
old_are_gone() {
  local process
  for process in $old; do
    ! kill -0 "$process" 2>/dev/null || return 1
  done
}
tap_ok "what the first one ran has ended" wait_until 60 old_are_gone
tap_ok "its cgroups are gone" wait_until 60 eval '[ ! -e "$CGROUP_MEMORY/spillway-$first" ]'
tap_ok "no brake is left" eval '! high_is_set'
tap_ok "the next one brakes as well" grows_until_braked
idle=$(pgrep -P "$pid" -f "^$memory idle")
kill -USR1 "$idle"
wait_until 60 said '^idle' "$out"
rss_fell() {
  [ "$(awk '$1 == "Rss:" { print int($2 / 1024) }' "/proc/$idle/smaps_rollup")" -le $((IDLE_MIB / 4)) ]
}
kill -USR2 "$pid"
tap_ok "and has idle memory given back" wait_until 60 rss_fell
tap_ok "a service that crashes is started again" wait_until 60 times_said 'crash: started' "$log" 2
tap_is "the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
tap_diag "$(grep 'brake\|left' "$log" | cut -c 26-200 | head -n 8)"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_is "and leaves nothing" "$(find "$CGROUP_MEMORY" -mindepth 1 -type d -printf '%f ')" "entry "
tap_done
