#!/bin/bash
# Services that speak systemd's memory pressure protocol are given something to watch, and are told.
# kernels: 6.12
. "$(dirname "$0")/../support/system.sh"
cgroup_new watch || tap_skip_all "$CGROUP_WHY"
watcher=$BUILD/tests/system/watcher
LIMIT_MIB=192
STEP_MIB=4
cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
log=$TAP_DIR/log
out=$TAP_DIR/out

# What NAME has said, its own output: of several services the lines of one.
of() {
	sed -n "s/^$1: //p" "$out"
}

of_says() {
	of "$1" | grep -q "$2"
}

other_user=
[ "$(id -u)" -ne 0 ] || other_user="user = nobody"
service() {
	printf '[service:%s]\n%s\ncommand = sh -c "%s | sed -u s/^/%s:\\ /"\n' "$1" "${3:-}" "$2" "$1"
}
{
	cat <<-END_INI
		[policy:default]
		lazy_time_to_wall = off
		eager_time_to_wall = off
		full_time_to_wall = off
		lazy_pressure = off
		eager_pressure = off
		full_pressure = off
		hold = 10m
		brake = off
		[service:grow]
		command = $memory grow $STEP_MIB
	END_INI
	service plain "$watcher plain"
	service other "$watcher plain" "$other_user"
	service event "$watcher sd-event"
	service chosen "$watcher plain" 'environment = MEMORY_PRESSURE_WATCH=/chosen'
} >"$TAP_DIR/watch.ini"
(cgroup_exec env MEMORY_PRESSURE_WATCH=/ours MEMORY_PRESSURE_WRITE=b3Vycw== "$spillway" run "$TAP_DIR/watch.ini") \
	>"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
for name in plain other; do
	tap_ok "$name: has something to watch" wait_until 60 of_says $name '^watches /'
done
tap_ok "what the user has chosen stays" wait_until 60 of_says chosen '^unable: /chosen: '
wait_until 60 of_says event '^[wu]'
sockets="other event"
if cgroup_v2 "$CGROUP_MEMORY"; then
	tap_is "in a leaf of its own it watches that" "$(of plain | grep watches)" \
		"watches $CGROUP_MEMORY/plain/memory.pressure"
	[ -n "$other_user" ] || sockets=
else
	sockets="plain other event"
fi
path=$(of other | sed -n 's/^watches //p')
grower=$(pgrep -P "$pid" -f "^$memory grow")
pressed=0
grows_until_said "$grower" $((LIMIT_MIB / 2)) $LIMIT_MIB 'plain: lazy' || pressed=1
tap_is "the level rises" $pressed 0
for name in $sockets; do
	if of_says "$name" '^unable: .*libsystemd'; then
		tap_skip "$name" "$(of "$name")"
	elif of_says "$name" 'memory.pressure$'; then
		tap_pass "$name: watches a trigger of the kernel"
	else
		tap_ok "$name: is told of it" wait_until 60 of_says "$name" '^told$'
	fi
done
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_ok "and leaves no socket" [ ! -S "$path" ]
tap_diag "$(sort "$out" | uniq -c | tr '\n' ';')"
tap_done
