#!/bin/bash
# adopt = yes: what a killed supervisor has left running is taken over by the next one, with its
# cgroups and links, and no second copy is started.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
IDLE_MIB=64
LIMIT_MIB=128
STEP_MIB=4
WORKERS=${WORKERS:-60}
run=(env)
root=$(cgroup_mount cgroup2)
leaves=
if [ -n "$root" ] && grep -qw memory "$root/cgroup.controllers"; then
	grep -qx "0::/" /proc/self/cgroup || tap_skip_all "it wants to start at the root of the machine"
	leaves=1
else
	cgroup_new adopt || tap_skip_all "$CGROUP_WHY"
	run=(cgroup_exec)
fi
[ -w /run ] || tap_skip_all "/run cannot be written to"
ini=$TAP_DIR/adopt.ini
out=$TAP_DIR/out

service() {
	printf '[service:%s]\ncommand = %s\n' "$@"
	[ -z "$leaves" ] || echo 'memory_max = 512M'
}

rss_mib() {
	awk '$1 == "Rss:" { print int($2 / 1024) }' "/proc/$1/smaps_rollup" 2>/dev/null
}

fell_to() {
	[ "$(rss_mib "$1")" -le "$2" ]
}

# begin NAME: a supervisor; sets pid and log
begin() {
	log=$TAP_DIR/$1.log
	("${run[@]}" "$spillway" run "$ini") >>"$out" 2>"$log" </dev/null &
	pid=$!
	at_exit_kill "$pid"
}

pid_of() {
	sed -n "s/.* $1: started, pid \([0-9]*\).*/\1/p" "$log" | tail -n 1
}

alive() {
	kill -0 "$1" 2>/dev/null
}

gone() {
	! alive "$1"
}

# write_ini SLEEP REMOVED: the file, where one service sleeps so long and another runs that, or is not
write_ini() {
	printf '[supervisor]\nadopt = yes\n[policy:default]\nscavenge = off\n'
	service idle "$memory idle $IDLE_MIB 2 10000"
	service workers "$memory prefork 4 $WORKERS 1"
	service changed "sleep $1"
	[ -z "$2" ] || service removed "$2"
	[ -z "$leaves" ] || cat <<-INI
		[policy:long]
		brake_hold = 10m
		[service:rush]
		command = $memory grow $STEP_MIB
		memory_max = ${LIMIT_MIB}M
		policy = long
		shim = off
	INI
}

high_is_set() {
	[ "$(cat "$root"/spillway-*/rush/memory.high)" != max ]
}

# As fast as it can, and near the wall one step for each look of the supervisor.
grows_until_braked() {
	grown_mib=0
	until high_is_set; do
		[ $grown_mib -lt $LIMIT_MIB ] && grow "$rush" $((LIMIT_MIB * 7 / 8)) || return 1
		[ $grown_mib -lt $((LIMIT_MIB * 7 / 8)) ] || supervisor_looks "$pid" || return 1
	done
}

write_ini 1000 'sleep 1000' >"$ini"
begin first
tap_ok "all run" wait_until 60 eval 'said "empty" "$out" && times_said idle "$out" $WORKERS'
idle=$(pid_of idle) workers=$(pid_of workers) changed=$(pid_of changed) removed=$(pid_of removed)
state=$(grep -l "^service idle $idle " /run/spillway/*/state)
kill -USR1 "$idle"
tap_ok "one holds idle memory" wait_until 60 times_said idle "$out" $((WORKERS + 1))
"$spillway" run "$ini" 2>"$TAP_DIR/log.twin" </dev/null
tap_is "a second supervisor does not start" $? 1
tap_ok "and says why" said "another supervisor runs its services" "$TAP_DIR/log.twin"

if [ -n "$leaves" ]; then
	rush=$(pid_of rush)
	tap_ok "one is braked" grows_until_braked
fi
kill -KILL "$pid"
wait "$pid" 2>/dev/null
write_ini 1001 '' >"$ini"
begin next
tap_ok "the next one adopts the service" wait_until 60 said "idle: adopted, pid $idle," "$log"
tap_ok "and the one with many processes" wait_until 60 said "workers: adopted, pid $workers," "$log"
tap_ok "both still run" eval 'alive "$idle" && alive "$workers"'
tap_ok "no second copy was started" [ -z "$(pid_of idle)$(pid_of workers)" ]
tap_ok "what was removed from the file is stopped" wait_until 60 gone "$removed"
tap_ok "what was changed in it is started anew" wait_until 60 eval 'gone "$changed" && [ -n "$(pid_of changed)" ]'
begin_ms=$(now_ms)
tap_ok "its process joins the new link" wait_until 60 said 'idle: shim: active, on a new link' "$log"
tap_diag "after $(($(now_ms) - begin_ms)) ms"
kill -USR2 "$pid"
tap_ok "and gives back when it is asked" wait_until 60 fell_to "$idle" $((IDLE_MIB / 4))
tap_diag "$(grep 'idle: full' "$log" | cut -c 1-200)"
all_asked() {
	kill -USR1 "$pid"
	supervisor_looks "$pid"
	grep 'workers: \(eager\|full\)' "$log" | grep -q "of [1-9][0-9]* process"
}
tap_ok "so do the many" wait_until 60 all_asked
tap_diag "$(grep -o 'workers: \(eager\|full\).*' "$log" | tail -n 1 | cut -c 1-200)"
if [ -n "$leaves" ]; then
	tap_is "it is in the cgroup of before" "$(cat "$root"/spillway-*/idle/cgroup.procs)" "$idle"
	tap_is "with its limit" "$(cat "$root"/spillway-*/idle/memory.max)" $((512 << 20))
	tap_ok "the one that was braked is adopted as well" said "rush: adopted, pid $rush," "$log"
	tap_ok "and its brake has come off" wait_until 60 eval '! high_is_set'
	tap_is "there is one tree" "$(find "$root" -maxdepth 1 -name 'spillway-*' | wc -l)" 1
fi

# Once more, as whoever is killed once is killed twice; where there are leaves, in mode B.
[ -z "$leaves" ] || run=(setpriv --bounding-set -sys_resource --inh-caps -sys_resource)
kill -KILL "$pid"
wait "$pid" 2>/dev/null
# As if it was frozen then, and nobody was left to thaw it.
[ -z "$leaves" ] || echo 1 | tee "$root"/spillway-*/idle/cgroup.freeze >/dev/null
begin third
tap_ok "a third one adopts it as well" wait_until 60 said "idle: adopted, pid $idle," "$log"
[ -z "$leaves" ] || tap_ok "without CAP_SYS_RESOURCE" said 'mode B: ' "$log"
tap_ok "which joins again" wait_until 60 said 'idle: shim: active, on a new link' "$log"
kill -KILL "$idle"
tap_ok "when it ends it is started again" wait_until 60 eval 'idle=$(pid_of idle); [ -n "$idle" ]'
tap_ok "how it ended is not known, which is said" said 'idle: ended .* how is not known' "$log"
tap_ok "the new one has a link" wait_until 60 said 'idle: shim: active$' "$log"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops" $? 0
tap_ok "and all that was adopted with it" eval 'gone "$workers" && gone "$idle"'
tap_ok "nothing is noted any more" eval '[ -n "$state" ] && [ ! -e "$state" ]'
[ -z "$leaves" ] || tap_is "no cgroup stays" "$(find "$root" -maxdepth 1 -name 'spillway-*' | wc -l)" 0
tap_done
