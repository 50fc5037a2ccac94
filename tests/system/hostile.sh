#!/bin/bash
# What a process of a service does to its link is no business of the others, nor of the supervisor.
# kernels: 6.12
. "$(dirname "$0")/../support/system.sh"
cgroup_new hostile || tap_skip_all "$CGROUP_WHY"
hostile=$BUILD/tests/system/hostile
IDLE_MIB=64

rss_mib() {
	awk '$1 == "Rss:" { print int($2 / 1024) }' "/proc/$1/smaps_rollup"
}

fell_to() {
	[ "$(rss_mib "$1")" -le "$2" ]
}

stop() {
	kill -TERM "$pid"
	wait "$pid"
	tap_is "$1: the supervisor stops cleanly" $? 0
}

# The user is another one than the supervisor's only for root.
other_user=
[ "$(id -u)" -ne 0 ] || other_user="user = nobody"
cat >"$TAP_DIR/header.ini" <<END_INI
[service:root]
command = $hostile header
autorestart = false
[service:other]
command = $hostile header
autorestart = false
$other_user
END_INI
run_file header
wait "$pid"
tap_is "no service can write the header, whoever it runs as" "$(grep -c '^refused$' "$out")" 2
tap_is "and both can wait on a word of it" "$(grep -c '^waits$' "$out")" 2
tap_diag "$(sort "$out" | uniq -c | tr '\n' ' ')"

# How often the supervisor may wake up in a second for one that calls it in a loop, far less than the
# loop does: 100 notifications, or 256 connections that each are a wake or two, and its own looks.
declare -A wakes_most=([notify]=300 [connect]=800)
WATCHED_S=2

watch_wakes() {
	local begin passed_ms before
	read_sleeps "$pid"
	before=$SLEEPS begin=$(now_ms)
	sleep $WATCHED_S
	read_sleeps "$pid"
	passed_ms=$(($(now_ms) - begin))
	tap_diag "$1: $((SLEEPS - before)) wake-ups in $passed_ms ms"
	tap_ok "$1: the supervisor does not wake up as often as it is called" \
		[ $((SLEEPS - before)) -le $((wakes_most[$1] * (passed_ms + 1000) / 1000)) ]
}

# The sibling of one that writes nonsense over all that it can reach.
for act in slots owners notify connect wants; do
	cat >"$TAP_DIR/$act.ini" <<-END_INI
		[policy:default]
		scavenge = off
		[service:bad]
		command = $hostile $act
		$other_user
		[service:good]
		command = $memory idle $IDLE_MIB 2 10000
	END_INI
	run_file $act
	tap_ok "$act: both run" wait_until 60 eval 'said hostile "$out" && said empty "$out"'
	good=$(pgrep -P "$pid" -f "^$memory idle")
	kill -USR1 "$good"
	tap_ok "$act: the sibling holds idle memory" wait_until 60 said idle "$out"
	[ -z "${wakes_most[$act]:-}" ] || watch_wakes $act
	kill -USR2 "$pid"
	tap_ok "$act: and gives it back when it is asked" wait_until 30 fell_to "$good" $((IDLE_MIB / 4))
	stop $act
done
tap_done
