#!/bin/bash
# Without any limit the machine's memory is the wall: who grows gets what others hold idle, and the
# kernel kills nobody.
# kernels: 6.1
# No kernel differs in it.
. "$(dirname "$0")/../support/system.sh"
[ -n "${SPILLWAY_VM:-}" ] || tap_skip_all "the machine's memory is everybody's"
log=$TAP_DIR/log
out=$TAP_DIR/out

available_mib() {
	awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo
}

oom_kills() {
	awk '$1 == "oom_kill" { print $2 }' /proc/vmstat
}

said_both() {
	said empty "$out" && said small "$out"
}

grown() {
	times_said '^grown' "$out" "$1" || ! kill -0 "$grower" 2>/dev/null
}

# grows STEPS
grows() {
	local step
	for ((step = 1; step <= $1; step++)); do
		kill -USR1 "$grower" 2>/dev/null || return 1
		wait_until 60 grown "$step" || return 1
	done
	kill -0 "$grower"
}

available=$(available_mib)
idle_mib=$((available * 45 / 100))
step_mib=$((available / 20))
kills=$(oom_kills)
cat >"$TAP_DIR/two.ini" <<END_INI
[policy:default]
scavenge = off
[service:idle]
command = $memory idle $idle_mib 2 10000
[service:grow]
command = $memory grow $step_mib
END_INI
"$spillway" run "$TAP_DIR/two.ini" >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "both services are up" wait_until 60 said_both
grower=$(pgrep -P "$pid" -f "^$memory grow")
idler=$(pgrep -P "$pid" -f "^$memory idle")
kill -USR1 "$idler"
tap_ok "one of them holds idle memory" wait_until 60 said '^idle' "$out"
tap_ok "the other grows to three quarters of what was available" grows 15
tap_is "under the same process" "$(pgrep -P "$pid" -f "^$memory grow")" "$grower"
tap_is "the first is there, too" "$(pgrep -P "$pid" -f "^$memory idle")" "$idler"
tap_is "the kernel killed nobody" "$(oom_kills)" "$kills"
tap_ok "the idle memory was asked for" said 'idle: .*; asked ' "$log"
tap_diag "$(grep '(was \|brake\|idle: \|grow: ' "$log" | cut -c 1-230 | head -n 20)"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0

# The same by the preload alone, two processes that know nothing of each other.
alone() {
	LD_PRELOAD=$BUILD/lib/libspillway.so SPILLWAY_SCAVENGE=off exec "$memory" "$@" >>"$out"
}

: >"$out"
kills=$(oom_kills)
alone idle "$idle_mib" 2 10000 &
idler=$!
alone grow "$step_mib" &
grower=$!
at_exit_kill "$idler"
at_exit_kill "$grower"
tap_ok "without a supervisor both are up" wait_until 60 said_both
tap_ok "far from the end nobody watches" [ "$(cat /proc/$grower/task/*/comm | grep -c spillway-limit)" = 0 ]
kill -USR1 "$idler"
tap_ok "one of them holds idle memory again" wait_until 60 said '^idle' "$out"
tap_ok "the other grows to three quarters of what was available" grows 15
tap_ok "both are still there" kill -0 "$idler" "$grower"
tap_is "the kernel killed nobody" "$(oom_kills)" "$kills"
kill -TERM "$idler" "$grower"
tap_done
