#!/bin/bash
# What goes wrong around the services: the supervisor is stopped, a process dies in the middle of a
# release, hundreds of processes and services, descriptors that run out.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
cgroup_new faults || tap_skip_all "$CGROUP_WHY"
cgroup_limit "$CGROUP_MEMORY" $((1024 << 20))
IDLE_MIB=48
STOPPED_S=${STOPPED_S:-8}

rss_mib() {
	awk '$1 == "Rss:" { print int($2 / 1024) }' "/proc/$1/smaps_rollup" 2>/dev/null
}

fell_to() {
	[ "$(rss_mib "$1")" -le "$2" ]
}

# start NAME: runs $TAP_DIR/NAME.ini; sets pid, log and out
start() {
	log=$TAP_DIR/$1.log
	out=$TAP_DIR/$1.out
	(cgroup_exec "$spillway" run "$TAP_DIR/$1.ini") >"$out" 2>"$log" &
	pid=$!
	at_exit_kill "$pid"
}

# stop NAME: nothing of it is left
stop() {
	kill -TERM "$pid"
	wait "$pid"
	tap_is "$1: it stops cleanly" $? 0
	tap_ok "$1: and leaves no process" wait_until 10 cgroup_is_empty
}

cgroup_is_empty() {
	[ -z "$(cgroup_pids "$CGROUP_MEMORY" 2>/dev/null)" ]
}

service() {
	printf '[service:%s]\ncommand = %s\n' "$1" "$2"
}

pid_of() {
	sed -n "s/.* $1: started, pid \([0-9]*\).*/\1/p" "$log" | tail -n 1
}

scavenge_off='[policy:default]
scavenge = off'

# A supervisor that is stopped: services go on, and are asked again when it goes on.
{
	echo "$scavenge_off"
	service idle "$memory idle $IDLE_MIB 2 10000"
	service grow "$memory grow 4"
} >"$TAP_DIR/stopped.ini"
start stopped
tap_ok "stopped: both run" wait_until 60 eval 'said empty "$out" && said small "$out"'
idle=$(pid_of idle)
kill -USR1 "$idle"
tap_ok "stopped: one holds idle memory" wait_until 60 said idle "$out"
kill -STOP "$pid"
sleep "$STOPPED_S"
begin_ms=$(now_ms)
kill -USR2 "$(pid_of grow)"
tap_ok "stopped: the other grows all the same" wait_until 20 said grown "$out"
tap_diag "it took $(($(now_ms) - begin_ms)) ms"
kill -CONT "$pid"
kill -USR2 "$pid"
tap_ok "stopped: what idles goes when the supervisor goes on" wait_until 30 fell_to "$idle" $((IDLE_MIB / 4))
stop stopped

# A process that is killed in the middle of a release, as the kernel would.
{
	echo "$scavenge_off"
	service idle "$memory idle 256 4 100000"
	service other "$memory idle $IDLE_MIB 2 10000"
} >"$TAP_DIR/killed.ini"
start killed
tap_ok "killed: both run" wait_until 60 times_said empty "$out" 2
idle=$(pid_of idle)
kill -USR1 "$idle" "$(pid_of other)"
tap_ok "killed: both hold idle memory" wait_until 60 times_said idle "$out" 2
kill -USR2 "$pid"
kill -KILL "$idle"
tap_ok "killed: the other gives back" wait_until 30 fell_to "$(pid_of other)" $((IDLE_MIB / 4))
tap_ok "killed: the one that was killed starts again" wait_until 30 times_said empty "$out" 3
kill -USR2 "$pid"
tap_ok "killed: and is asked as before" wait_until 30 said 'idle: full: asked for by hand; nobody to ask' "$log"
stop killed

# Hundreds of processes of one service, each with a slot of the link.
{
	echo "$scavenge_off"
	service crowd "$memory prefork 4 200 4"
} >"$TAP_DIR/crowd.ini"
start crowd
tap_ok "crowd: 200 workers run" wait_until 100 times_said idle "$out" 200
# One that has freed all but has not got to run since has no thread yet.
all_are_asked() {
	kill -USR2 "$pid"
	supervisor_looks "$pid"
	said 'crowd: full.*asked for by hand; asked all of 20[01] processes' "$log"
}
tap_ok "crowd: all of them are asked" wait_until 60 all_are_asked
tap_diag "$(grep 'asked for by hand' "$log" | cut -c 1-160)"
stop crowd

# A hundred services.
for i in $(seq 100); do
	service "s$i" 'sleep 1000'
done >"$TAP_DIR/many.ini"
start many
tap_ok "many: 100 services run" wait_until 100 eval '[ "$(grep -c "started, pid" "$log")" -ge 100 ]'
kill -USR2 "$pid"
supervisor_looks "$pid"
tap_ok "many: the supervisor goes on" kill -0 "$pid"
stop many

# Descriptors that run out are said, and no loop spins.
{
	for i in $(seq 20); do
		service "s$i" "$memory idle 1 1 1000"
	done
} >"$TAP_DIR/few.ini"
log=$TAP_DIR/few.log
out=$TAP_DIR/few.out
(ulimit -n 64 && cgroup_exec "$spillway" run "$TAP_DIR/few.ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "few: it says that descriptors are short" wait_until 60 said \
	'20 services may need [0-9]* descriptors, and 64 are allowed' "$log"
tap_ok "few: the first runs" wait_until 60 said 's1: started' "$log"
tap_ok "few: one that cannot says why" wait_until 60 said 'cannot start: Too many open files' "$log"
supervisor_looks "$pid"
before=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
sleep 2
spent=$(($(awk '{ print $14 + $15 }' "/proc/$pid/stat") - before))
tap_ok "few: and does not spin ($spent ticks in 2 s)" [ "$spent" -lt 100 ]
tap_diag "$(grep 'open files' "$log" | cut -c 26-150 | sort | uniq -c | head -n 5)"
stop few
tap_done
