#!/bin/bash
# What a start and a wrapped command that sleeps cost, by counts that no other work beside them changes:
# system calls, page faults, memory.
# kernels: 6.12
. "$(dirname "$0")/../support/system.sh"

# The least that X -- /bin/true needs of both, ours and the command's: while the machine is busy the
# supervisor looks at its services more often before that ends.
RUNS=5
CALLS_MOST=400
CALLS_MOST_NOSHIM=340
# Of all processes, the command's own 50 among them.
FAULTS_MOST=165
DIRTY_MOST_KB=180
# Three times 64.  New code that each turn runs is side by side with the rest once
# tests/bench/footprint/order has been run.
TEXT_MOST_KB=192
SHIM_DIRTY_MOST_KB=60
trace=$TAP_DIR/trace
service=$BUILD/tests/bench/footprint/service

least_calls() {
	local least=999999 calls
	for _ in $(seq $RUNS); do
		strace -f -o "$trace" "$spillway" "$@" -- /bin/true || return
		calls=$(grep -c '(' "$trace")
		[ "$calls" -ge "$least" ] || least=$calls
	done
	echo "$least"
}

least_faults() {
	/usr/bin/python3 - "$RUNS" "$@" <<-'EOF'
		import os, sys
		least = 999999
		for _ in range(int(sys.argv[1])):
		    pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
		    least = min(least, os.wait4(pid, 0)[2].ru_minflt)
		print(least)
	EOF
}

field_kb() {
	awk -v key="$2:" '$1 == key { print $2 }' "/proc/$1/smaps_rollup"
}

child_of() {
	ps -o pid= --ppid "$1" | head -n 1 | tr -d ' '
}

# start OPTIONS...: beside a command that allocates nothing and sleeps, once the start is over
start() {
	"$spillway" -q "$@" -- "$service" "$TAP_DIR/fifo" 2>"$TAP_DIR/log" &
	PID=$!
	at_exit_kill "$PID"
	head -c 1 <&3 >"$TAP_DIR/byte"
	supervisor_looks "$PID"
}

# Sets text.
has_little_code() {
	text=$(awk '/-/ { mine = /r-xp.*\/spillway$/ } mine && $1 == "Rss:" { sum += $2 } END { print sum }' "/proc/$1/smaps")
	[ "$text" -le $TEXT_MOST_KB ]
}

# The supervisor ends its command.
end() {
	kill -TERM "$PID"
	wait "$PID"
}

# Where it has a cgroup of its own, a wrapped command begins in that and no page table is copied.
begins_in_its_cgroup() {
	(cgroup_exec strace -f -e trace=clone,clone3,vfork,fork -o "$trace" "$spillway" -- true) 2>"$TAP_DIR/log" || return
	grep -q 'CLONE_VM|CLONE_VFORK|CLONE_INTO_CGROUP' "$trace"
}

if [ -n "${SPILLWAY_VM:-}" ]; then
	cgroup_new light || tap_skip_all "$CGROUP_WHY"
	name="a wrapped command borrows the supervisor's memory until exec"
	if ! command -v strace >/dev/null; then
		tap_skip "$name" "there is no strace"
	else
		tap_ok "$name" begins_in_its_cgroup
		tap_diag "$(grep -h clone "$trace" | head -n 5)"
	fi
	tap_done
fi

if strace -o "$trace" true 2>/dev/null; then
	calls=$(least_calls)
	tap_ok "$calls system calls start and end a command, at most $CALLS_MOST" [ "$calls" -le $CALLS_MOST ]
	tap_ok "none of which waits for a grace period of the kernel" eval '! grep -q inotify "$trace"'
	tap_ok "and none of which copies page tables" grep -q 'vfork(' "$trace"
	calls=$(least_calls --shim off)
	tap_ok "$calls do without the preload, at most $CALLS_MOST_NOSHIM" [ "$calls" -le $CALLS_MOST_NOSHIM ]
else
	tap_skip "system calls of a start" "there is no strace, or it may not be used"
fi
faults=$(least_faults "$spillway" -- /bin/true)
tap_ok "$faults page faults do, at most $FAULTS_MOST" [ "$faults" -le $FAULTS_MOST ]

mkfifo "$TAP_DIR/fifo"
exec 3<>"$TAP_DIR/fifo"
start --shim off
bare=$(field_kb "$(child_of "$PID")" Anonymous)
end
start
dirty=$(field_kb "$PID" Anonymous)
tap_ok "a supervisor of one has $dirty kB of its own, at most $DIRTY_MOST_KB" [ "$dirty" -le $DIRTY_MOST_KB ]
tap_ok "and $TEXT_MOST_KB kB of its code mapped at most, once the start is over" wait_until 60 has_little_code "$PID"
tap_diag "$text kB"
child=$(field_kb "$(child_of "$PID")" Anonymous)
tap_ok "the preload makes $((child - bare)) kB of a process that sleeps its own, at most $SHIM_DIRTY_MOST_KB" \
	[ $((child - bare)) -le $SHIM_DIRTY_MOST_KB ]
end
tap_done
