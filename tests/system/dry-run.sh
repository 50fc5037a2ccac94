#!/bin/bash
# With dry_run what would be done is logged, and the heap keeps what it has.
# kernels: 6.12
. "$(dirname "$0")/../support/system.sh"
cgroup_new dry || tap_skip_all "$CGROUP_WHY"
LIMIT_MIB=192
IDLE_MIB=80
STEP_MIB=4
cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
log=$TAP_DIR/log
out=$TAP_DIR/out
cat >"$TAP_DIR/dry.ini" <<INI
[supervisor]
dry_run = yes
[policy:default]
scavenge = off
[service:grow]
command = $memory grow $STEP_MIB
[service:idle]
command = $memory idle $IDLE_MIB 2 10000
on_pressure = touch $TAP_DIR/told
on_pressure_level = eager
INI
(cgroup_exec "$spillway" run "$TAP_DIR/dry.ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "the services are up" wait_until 60 sh -c "grep -q small '$out' && grep -q empty '$out'"
idle=$(pgrep -P "$pid" -f "^$memory idle")
grow=$(pgrep -P "$pid" -f "^$memory grow")
kill -USR1 "$idle"
tap_ok "one holds idle memory" wait_until 60 said '^idle' "$out"
read_mib() {
  rss_mib=$(($(awk '/^VmRSS/ { print $2 }' "/proc/$idle/status") >> 10))
}
read_mib
before_mib=$rss_mib
tap_ok "near the wall it says what it would ask for" \
  grows_until_said "$grow" $((LIMIT_MIB - IDLE_MIB - 64)) $((LIMIT_MIB - IDLE_MIB - 12)) "idle: dry run: would "
tap_ok "and that it would tell the service" \
  grows_until_said "$grow" $((LIMIT_MIB - IDLE_MIB - 64)) $((LIMIT_MIB - IDLE_MIB - 12)) "idle: dry run: would tell it of pressure"
for _ in 1 2 3; do
  supervisor_looks "$pid"
done
read_mib
tap_diag "idle has $before_mib -> $rss_mib MiB"
tap_diag "$(cut -c 1-200 "$log" | tail -n 10)"
tap_ok "the idle memory stays where it is" [ "$rss_mib" -ge $((before_mib - 4)) ]
tap_ok "nobody was told" [ ! -e "$TAP_DIR/told" ]
tap_is "nothing was asked, braked or reclaimed" "$(grep -c '; asked\|brake on\|: reclaim: ' "$log")" 0
kill -USR2 "$pid"
gave_back() {
  read_mib
  [ "$rss_mib" -lt $((before_mib / 2)) ]
}
tap_ok "what the operator asks for is done" wait_until 60 gave_back
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
