#!/bin/bash
# Where services have no cgroups of their own a memory_max is kept by us: idle memory goes when the
# service comes near it, and that of another does not.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
cgroup_new soft || tap_skip_all "$CGROUP_WHY"
cgroup_v2 "$CGROUP_MEMORY" && tap_skip_all "services have cgroups of their own here"
IDLE_MIB=64
LIMIT_MIB=80
log=$TAP_DIR/log
out=$TAP_DIR/out

rss_mib() {
	awk '$1 == "Rss:" { print int($2 / 1024) }' "/proc/$1/smaps_rollup"
}

fell_to() {
	[ "$(rss_mib "$1")" -le "$2" ]
}

cat >"$TAP_DIR/soft.ini" <<END_INI
[supervisor]
control = $TAP_DIR/socket
[policy:default]
scavenge = off
lazy_time_to_wall = off
eager_time_to_wall = off
full_time_to_wall = off
lazy_headroom = off
eager_headroom = 20%
full_headroom = off
[service:limited]
command = $memory idle $IDLE_MIB 2 10000
memory_max = ${LIMIT_MIB}M
[service:free]
command = $memory idle $IDLE_MIB 2 10000
[service:alone]
command = sleep 1000
shim = off
memory_max = 8M
cpu_max = 1.5
io_max = 8:0 wbps=1M
END_INI
# What a service uses, in KiB; nothing where it is not told.
used_kib() {
	"$BUILD/bin/spillctl" --socket="$TAP_DIR/socket" status --json "$1" |
		python3 -c 'import json, sys
[service] = json.load(sys.stdin)["services"]
print(service["used_bytes"] >> 10 if "used_bytes" in service else "")'
}

is_used() {
	local used
	used=$(used_kib limited)
	[ -n "$used" ] && [ "$used" -gt 0 ] && [ "$used" -lt $((LIMIT_MIB * 1024)) ]
}

tap_is "check says that it is soft" \
	"$("$spillway" check "$TAP_DIR/soft.ini" | grep -c 'limited.*memory_max is soft here')" 1
tap_is "and what has no effect at all" \
	"$("$spillway" check "$TAP_DIR/soft.ini" | grep -c 'alone. cpu_max, io_max without effect here')" 1
(cgroup_exec "$spillway" run "$TAP_DIR/soft.ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "both run" wait_until 60 times_said empty "$out" 2
tap_ok "the start says so too" said "limited: memory_max ${LIMIT_MIB}M is soft here" "$log"
tap_ok "without the shim nobody keeps it" said 'alone: memory_max, cpu_max, io_max: no effect here' "$log"
tap_ok "its usage is told" wait_until 60 is_used
tap_is "that of one without a limit is not known" "$(used_kib free)" ""
mapfile -t both < <(pgrep -P "$pid" -f "^$memory idle")
for one in "${both[@]}"; do
	grep -zq 'SPILLWAY_LINK' "/proc/$one/environ" && kill -USR1 "$one"
done
tap_ok "both have freed what they filled" wait_until 60 times_said idle "$out" 2
limited=$(pid_said limited)
free=$(pid_said free)
tap_ok "the one that is near its limit gives it back" wait_until 60 fell_to "$limited" $((IDLE_MIB / 4))
tap_ok "the other keeps it" [ "$(rss_mib "$free")" -ge $((IDLE_MIB * 3 / 4)) ]
tap_ok "the reason is its own limit" grep -q "limited: eager .* of ${LIMIT_MIB}" "$log"
tap_diag "$(grep 'limited: ' "$log" | cut -c 1-160 | head -n 6)"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
