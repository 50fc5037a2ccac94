#!/bin/bash
# What is tried in the virtual machine alone: the wall clock is set by hours while brakes, stops and
# restarts are pending, and a service forks without end below its pids_max.
# kernels: 6.1
# No kernel differs in it.
. "$(dirname "$0")/../support/system.sh"
[ -n "${SPILLWAY_VM:-}" ] || tap_skip_all "it sets the clock and forks without end"
cgroup_new unsafe || tap_skip_all "$CGROUP_WHY"
LIMIT_MIB=128
STEP_MIB=4
IDLE_MIB=32
BOMB_PIDS=24

stop() {
	kill -TERM "$pid"
	wait "$pid"
	tap_is "$1: it stops cleanly" $? 0
	tap_is "$1: and leaves nothing" "$(cgroup_pids "$CGROUP_MEMORY" | wc -l) $(find "$CGROUP_MEMORY" -mindepth 1 -type d)" "0 "
}

pid_of() {
	sed -n "s/.* $1: started, pid \([0-9]*\).*/\1/p" "$log" | tail -n 1
}

rss_mib() {
	awk '$1 == "Rss:" { print int($2 / 1024) }' "/proc/$1/smaps_rollup" 2>/dev/null
}

fell_to() {
	[ "$(rss_mib "$1")" -le "$2" ]
}

# --- the clock ------------------------------------------------------------------------------

high_is_set() {
	[ "$(cat "$CGROUP_MEMORY/$1/memory.high")" != max ]
}

high_is_max() {
	! high_is_set "$1"
}

# A brake comes off early when a service that was braked for its speed stops far from the wall, with 15 %
# of it left.
stays_braked() {
	high_is_set "$1" && [ "$(cat "$CGROUP_MEMORY/$1/memory.current")" -ge $((LIMIT_MIB * 7 / 8 << 20)) ]
}

# brakes SERVICE CONDITION: it grows until that holds of it
brakes() {
	local process
	process=$(pid_of "$1")
	grown_mib=0
	until "$2" "$1"; do
		[ $grown_mib -lt $LIMIT_MIB ] && grow "$process" $((LIMIT_MIB * 7 / 8)) || return 1
		[ $grown_mib -lt $((LIMIT_MIB * 7 / 8)) ] || supervisor_looks "$pid" || return 1
	done
}

# Within a minute or two of the clock's time.
is_stamped_now() {
	local stamp said_s
	stamp=$(tail -n 1 "$log" | cut -d ' ' -f 1)
	said_s=$(date -u -d "$stamp" +%s) || return 1
	[ $(($(date +%s) - said_s)) -ge 0 ] && [ $(($(date +%s) - said_s)) -lt 120 ]
}

{
	printf '[policy:default]\nscavenge = off\n'
	printf '[policy:long]\nbrake_hold = 10m\n[policy:short]\nbrake_hold = 3s\n'
	printf '[service:long]\ncommand = %s grow %s\nmemory_max = %sM\npolicy = long\nshim = off\n' \
		"$memory" $STEP_MIB $LIMIT_MIB
	printf '[service:short]\ncommand = %s grow %s\nmemory_max = %sM\npolicy = short\nshim = off\n' \
		"$memory" $STEP_MIB $LIMIT_MIB
	printf '[service:idle]\ncommand = %s idle %s 2 10000\n' "$memory" $IDLE_MIB
	printf '[service:dies]\ncommand = sleep 100000\n'
	printf "[service:stays]\ncommand = sh -c 'trap \"\" TERM; echo stays; while :; do sleep 1; done'\nstopwaitsecs = 3\n"
} >"$TAP_DIR/clock.ini"
run_file clock
tap_ok "clock: all run" wait_until 60 eval 'times_said small "$out" 2 && said empty "$out" && said stays "$out"'
tap_ok "clock: one is braked for long" brakes long stays_braked
kept=$(pid_of long) idle=$(pid_of idle)

# jump HOURS WORDS ROUND: a brake and a restart are pending when the clock is set
jump() {
	local dies before=$log.before
	dies=$(pid_of dies)
	tap_ok "$2: one is braked for a short time" brakes short high_is_set
	kill -KILL "$dies"
	wait_until 60 times_said 'dies: ended by SIGKILL' "$log" "$3"
	cp "$log" "$before"
	date -s "@$(($(date +%s) + $1 * 3600))" >&2
	tap_ok "$2: a restart that was due comes" wait_until 60 times_said 'dies: started' "$log" $(($3 + 1))
	tap_ok "$2: a brake that was on comes off" wait_until 60 high_is_max short
	tap_ok "$2: the one that is to last lasts" high_is_set long
	kill -USR1 "$idle"
	tap_ok "$2: a service holds idle memory" wait_until 60 times_said '^idle' "$out" "$3"
	kill -USR2 "$pid"
	tap_ok "$2: and gives it back when it is asked" wait_until 60 fell_to "$idle" $((IDLE_MIB / 4))
	tap_ok "$2: the log has the new time" is_stamped_now
	tap_is "$2: nobody else's level moves" \
		"$(tail -n +$(($(wc -l <"$before") + 1)) "$log" | grep 'idle: \|dies: \|stays: ' | grep -c '(was ')" 0
	tap_is "$2: nobody else was started" "$(pid_of long) $(pid_of idle)" "$kept $idle"
	# It grows again from the start in the next round.
	kill -KILL "$(pid_of short)"
	tap_ok "$2: the next round" wait_until 60 times_said '^small' "$out" $(($3 + 2))
}
jump -5 "five hours back" 1
jump 12 "twelve hours on" 2

# A stop that is given so many seconds has them, and no more.
kill -TERM "$pid"
tap_ok "a stop: it has begun" wait_until 60 said 'stays: stopping' "$log"
date -s "@$(($(date +%s) - 7 * 3600))" >&2
wait "$pid"
tap_is "a stop beside a jump ends" $? 0
tap_ok "a stop: what does not end is killed" said 'stays: still there after 3000 ms, killed' "$log"
tap_is "nobody is said to have lived for hours" "$(grep -c 'after [0-9]\{4,\}\.[0-9]* s' "$log")" 0
tap_is "the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
tap_diag "$(grep 'brake o\|killed' "$log" | cut -c 1-160 | head -n 12)"

# --- forks without end ------------------------------------------------------------------------

{
	printf '[policy:default]\nscavenge = off\n'
	printf '[service:bomb]\ncommand = %s bomb 200\npids_max = %s\nstopwaitsecs = 2\nautorestart = true\n' "$memory" $BOMB_PIDS
	printf '[service:good]\ncommand = %s idle %s 2 10000\n' "$memory" $IDLE_MIB
} >"$TAP_DIR/bomb.ini"
# Without it pids_max has no effect.
echo +pids >"$(dirname "$CGROUP_MEMORY")/cgroup.subtree_control"
run_file bomb
leaf=$CGROUP_MEMORY/bomb
refused() {
	awk '$1 == "max" { exit !($2 > 0) }' "$leaf/pids.events" 2>/dev/null
}
is_full() {
	[ "$(cat "$leaf/pids.current")" -eq $BOMB_PIDS ]
}
tap_ok "bomb: forks are refused" wait_until 60 refused
tap_ok "bomb: it has as many as it may" wait_until 60 is_full
good=$(pid_of good)
tap_ok "bomb: the sibling works" wait_until 60 said empty "$out"
kill -USR1 "$good"
tap_ok "bomb: and fills its heap" wait_until 60 said '^idle' "$out"
kill -USR2 "$pid"
tap_ok "bomb: and is asked for it" wait_until 60 fell_to "$good" $((IDLE_MIB / 4))

# bomb_again N SIGNAL: its main process ends, and the Nth comes when all the others have gone
bomb_again() {
	local old process=
	old=$(cat "$leaf/cgroup.procs")
	kill -"$2" "$(pid_of bomb)"
	tap_ok "bomb: after SIG$2 it starts again" wait_until 120 times_said 'bomb: started' "$log" "$1"
	for process in $old; do
		! kill -0 "$process" 2>/dev/null || break
		process=
	done
	tap_is "bomb: and none of the old ones is left" "$process" ""
	tap_ok "bomb: it has forked as far as it may" wait_until 60 is_full
}
bomb_again 2 KILL
bomb_again 3 TERM
tap_is "bomb: the sibling was not touched" "$(pid_of good)" "$good"
tap_diag "pids.events $(tr '\n' ' ' <"$leaf/pids.events"), the supervisor has $(rss_mib "$pid") MiB"
stop bomb
tap_done
