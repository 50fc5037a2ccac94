#!/bin/bash
# Room that somebody adds above all services is used at once: a heap that waits at the gate goes on when
# the limit is raised, long before its time to wait is over.  ROUNDS: how often; the longest and the
# median time are told.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
cgroup_new room || tap_skip_all "$CGROUP_WHY"
ROUNDS=${ROUNDS:-3}
LIMIT_MIB=128
STEP_MIB=16
WAIT_S=60
# A small part of the time to wait; it takes some tens of milliseconds by itself.
DEADLINE_MS=10000
log=$TAP_DIR/log
out=$TAP_DIR/out

# Sets WAITS: how often the service has waited at the gate.
read_waits() {
	WAITS=$(timeout 60 "$BUILD/bin/spillctl" --socket="$TAP_DIR/control" status --json |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["services"][0]["gate_waits"])')
}

waits_again() {
	read_waits && [ "$WAITS" -gt "$1" ]
}

# To where no further step fits.
fill() {
	while [ $(((grown + 1) * STEP_MIB)) -le $((limit_mib - STEP_MIB)) ]; do
		kill -USR1 "$service"
		grown=$((grown + 1))
		wait_until 60 times_said grown "$out" $grown || return
	done
}

# The pauses of wait_until are longer than what is measured.
look_closely() {
	local i
	for ((i = 0; i < 200; i++)); do
		! times_said grown "$out" $grown || return 0
		sleep 0.002
	done
	wait_until 60 times_said grown "$out" $grown
}

limit_mib=$LIMIT_MIB
cgroup_limit "$CGROUP_MEMORY" $((limit_mib << 20))
cat >"$TAP_DIR/room.ini" <<INI
[supervisor]
control = $TAP_DIR/control
[policy:default]
scavenge = off
gate_wait = ${WAIT_S}s
[service:grows]
command = $memory grow $STEP_MIB
INI
(cgroup_exec "$spillway" run "$TAP_DIR/room.ini") >"$out" 2>"$log" </dev/null &
pid=$!
at_exit_kill "$pid"
tap_ok "it runs" wait_until 60 said small "$out"
service=$(pgrep -P "$pid" -f "^$memory grow")
grown=0 all_ms=()
for ((round = 1; round <= ROUNDS; round++)); do
	fill || break
	read_waits
	kill -USR1 "$service"
	wait_until 60 waits_again "$WAITS" || break
	! times_said grown "$out" $((grown + 1)) || break
	limit_mib=$((limit_mib + 4 * STEP_MIB))
	begin_ms=$(now_ms)
	cgroup_limit "$CGROUP_MEMORY" $((limit_mib << 20))
	grown=$((grown + 1))
	look_closely || break
	all_ms+=($(($(now_ms) - begin_ms)))
done
mapfile -t all_ms < <(printf '%s\n' "${all_ms[@]}" | sort -n)
tap_is "it waited, and went on, every time" $((round - 1)) "$ROUNDS"
tap_ok "as soon as there was room" [ "${all_ms[-1]:-$((WAIT_S * 1000))}" -lt $DEADLINE_MS ]
tap_diag "the longest took ${all_ms[-1]:-?} ms, the median ${all_ms[${#all_ms[@]} / 2]:-?} ms"
tap_is "the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
