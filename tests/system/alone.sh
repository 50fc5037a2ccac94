#!/bin/bash
# The preload library alone, without a supervisor, keeps processes below the limit of their cgroup and
# below one of their own, and lets them sleep when that is far.
# kernels: 6.12
. "$(dirname "$0")/../support/system.sh"
cgroup_new alone || tap_skip_all "$CGROUP_WHY"
preload=$BUILD/lib/libspillway.so
log=$TAP_DIR/log
STEP_MIB=10

# start NAME COMMAND...: a preloaded process in the box, which gives back only what it must; sets $started.
start() {
	local name=$1
	shift
	: >"$TAP_DIR/$name"
	(LD_PRELOAD=$preload SPILLWAY_SCAVENGE=off cgroup_exec "$@") >"$TAP_DIR/$name" 2>>"$log" &
	started=$!
	at_exit_kill "$started"
}

# start_idle NAME MIB: one that fills so much when it is told to and frees it again.
start_idle() {
	start "$1" "$memory" idle "$2" 2 10000
	wait_until 60 said '^empty' "$TAP_DIR/$1"
}

# bursts NAME PID TIMES: has it do that, for the TIMES-th time in all.
bursts() {
	kill -USR1 "$2" 2>/dev/null && wait_until 60 has_burst "$1" "$2" "$3" && alive "$2"
}

has_burst() {
	times_said '^idle' "$TAP_DIR/$1" "$3" || ! alive "$2"
}

alive() {
	kill -0 "$1" 2>/dev/null
}

stop() {
	kill -TERM "$@" 2>/dev/null
	wait "$@" 2>/dev/null
}

usage_mib() {
	cgroup_read_usage "$CGROUP_MEMORY"
	echo $((TAP_USAGE_BYTES >> 20))
}

usage_is_below() {
	[ "$(usage_mib)" -lt "$1" ]
}

# What it has that the kernel cannot take back by itself.
kept_mib() {
	awk '$1 == "Rss:" { kib += $2 } $1 == "LazyFree:" { kib -= $2 } END { print int(kib / 1024) }' \
		"/proc/$1/smaps_rollup"
}

# keep_less MIB PID...: all of them together.
keep_less() {
	local below=$1 kept=0 pid
	shift
	for pid; do
		kept=$((kept + $(kept_mib "$pid")))
	done
	[ "$kept" -lt "$below" ]
}

threads() {
	cat "/proc/$1/task/"*/comm
}

limit_thread_is_gone() {
	! threads "$1" | grep -qx spillway-limit
}

limit_thread_is_there() {
	threads "$1" | grep -qx spillway-limit
}

descriptors() {
	find "/proc/$1/fd" -type l -printf '%l\n'
}

# How often any of its threads has gone to sleep.
sleeps() {
	cat "/proc/$1/task/"*/status | awk '$1 == "voluntary_ctxt_switches:" { sum += $2 } END { print sum }'
}

rests() {
	local before
	before=$(sleeps "$1")
	sleep 4
	[ "$(sleeps "$1")" = "$before" ]
}

grown_by() {
	times_said '^grown' "$TAP_DIR/$1" "$3" || ! alive "$2"
}

# grows NAME PID MIB: by steps of 100 and 10 MiB, to so much; a step is counted by its word.
grows() {
	local mib=0 steps=0
	while [ $mib -lt "$3" ]; do
		if [ $((mib + 10 * STEP_MIB)) -le "$3" ]; then
			kill -USR2 "$2" 2>/dev/null || return 1
			mib=$((mib + 10 * STEP_MIB))
		else
			kill -USR1 "$2" 2>/dev/null || return 1
			mib=$((mib + STEP_MIB))
		fi
		steps=$((steps + 1))
		wait_until 60 grown_by "$1" "$2" $steps && alive "$2" || return 1
	done
}

# Far away, and nothing idle but what the heap was told to keep.
cgroup_limit "$CGROUP_MEMORY" $((1 << 30))
start_idle far 1
far=$started
(LD_PRELOAD=$preload cgroup_exec "$memory" idle 40 2 10000) >"$TAP_DIR/rest" 2>>"$log" &
rest=$!
at_exit_kill "$rest"
wait_until 60 said '^empty' "$TAP_DIR/rest"
tap_ok "a process far from the limit fills and frees" bursts rest "$rest" 1
tap_ok "then no thread of it wakes up any more" wait_until 120 rests "$rest"
tap_ok "and there is none that watches the limit" limit_thread_is_gone "$rest"
tap_ok "a small one has none either" limit_thread_is_gone "$far"
stop "$far" "$rest"

# The limit comes nearer while the process sleeps.
start_idle lowered 100
lowered=$started
tap_ok "a process holds idle memory" bursts lowered "$lowered" 1
tap_ok "which it keeps while the limit is far" [ "$(usage_mib)" -ge 90 ]
tap_ok "so it watches the limit" wait_until 20 limit_thread_is_there "$lowered"
cgroup_limit "$CGROUP_MEMORY" $((112 << 20))
tap_ok "when the limit is lowered it gives that back, asleep as it is" wait_until 60 keep_less 60 "$lowered"
tap_is "and none of its descriptors is of a cgroup" "$(descriptors "$lowered" | grep -c cgroup)" 0
stop "$lowered"

# Two sleep on idle memory, the third needs it, faster than any of them looks.
cgroup_limit "$CGROUP_MEMORY" $((256 << 20))
start_idle first 70
first=$started
start_idle second 70
second=$started
tap_ok "two processes hold idle memory" eval 'bursts first "$first" 1 && bursts second "$second" 1'
start third "$memory" grow $STEP_MIB
third=$started
wait_until 60 said '^small' "$TAP_DIR/third"
tap_ok "a third one gets what they do not need" grows third "$third" 200
tap_ok "which they have given back" wait_until 60 keep_less 64 "$first" "$second"
tap_ok "and they are still there" eval 'alive "$first" && alive "$second"'
stop "$first" "$second" "$third"

# Three take turns: each needs more than half of what there is, and none can have it while the others
# keep it.
names=(red green blue)
pids=()
for name in "${names[@]}"; do
	start_idle "$name" 150
	pids+=("$started")
done
turns_go_round() {
	local turn i
	for turn in 1 2 3; do
		for i in 0 1 2; do
			bursts "${names[$i]}" "${pids[$i]}" $turn || {
				echo "turn $turn: ${names[$i]} did not fill its memory"
				return 1
			}
		done
	done
}
tap_ok "three processes fill more than half of the limit in turn, three times" turns_go_round
tap_is "the kernel killed nobody so far" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
stop "${pids[@]}"
export SPILLWAY_LIMIT=off
pids=()
for name in "${names[@]}"; do
	start_idle "$name" 150
	pids+=("$started")
done
tap_ok "with SPILLWAY_LIMIT=off that ends in the OOM killer" eval \
	'! turns_go_round && cgroup_oom_killed "$CGROUP_MEMORY"'
stop "${pids[@]}"
unset SPILLWAY_LIMIT

# A limit of the process's own, without one of the cgroup's.
cgroup_limit "$CGROUP_MEMORY" $((1 << 30))
export SPILLWAY_LIMIT=64M
start_idle size 100
own=$started
tap_ok "a limit of its own does not stop what a process needs" bursts size "$own" 1
tap_ok "what idles goes below it" wait_until 60 usage_is_below 64
stop "$own"
export SPILLWAY_LIMIT=5%
start_idle share 100
own=$started
tap_ok "the same by a share of the cgroup's limit" bursts share "$own" 1
tap_ok "here 51 MiB" wait_until 60 usage_is_below 51
stop "$own"
unset SPILLWAY_LIMIT

# The agent, and the C library's own malloc.
cgroup_limit "$CGROUP_MEMORY" $((1 << 30))
preload=$BUILD/lib/libspillway-agent.so
start_idle kept 100
kept=$started
tap_ok "a process that keeps its malloc holds idle memory" bursts kept "$kept" 1
tap_ok "and keeps it while the limit is far" [ "$(usage_mib)" -ge 90 ]
cgroup_limit "$CGROUP_MEMORY" $((112 << 20))
tap_ok "when the limit is lowered it gives that back, too" wait_until 60 keep_less 60 "$kept"
stop "$kept"

# The supervisor dies.
cat >"$TAP_DIR/one.ini" <<END_INI
[policy:default]
scavenge = off
[service:idle]
command = $memory idle 100 2 10000
END_INI
(cgroup_exec "$spillway" run "$TAP_DIR/one.ini") >"$TAP_DIR/orphan" 2>"$log" &
pid=$!
at_exit_kill "$pid"
wait_until 60 said '^empty' "$TAP_DIR/orphan"
orphan=$(pgrep -P "$pid" -f "^$memory idle")
group=$(sed -n 's/^.*memory:\|^0:://p' "/proc/$orphan/cgroup" | head -n 1)
tap_ok "a service of the supervisor's holds idle memory" bursts orphan "$orphan" 1
tap_ok "and does not watch the limit by itself" limit_thread_is_gone "$orphan"
kill -KILL "$pid"
wait "$pid" 2>/dev/null
tap_ok "when the supervisor is killed it goes on alone" wait_until 60 limit_thread_is_there "$orphan"
tap_diag "it is in $group"
cgroup_limit "$CGROUP_MEMORY" $((112 << 20))
tap_ok "and gives back what it must" wait_until 60 keep_less 60 "$orphan"
kill -TERM "$orphan"
tap_done
