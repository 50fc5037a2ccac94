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

# start NAME: under $TAP_DIR/NAME.ini; sets pid, log, out
start() {
	log=$TAP_DIR/$1.log
	out=$TAP_DIR/$1.out
	(cgroup_exec "$spillway" run "$TAP_DIR/$1.ini") >"$out" 2>"$log" &
	pid=$!
	at_exit_kill "$pid"
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
start header
wait "$pid"
tap_is "no service can write the header, whoever it runs as" "$(grep -c '^refused$' "$out")" 2
tap_is "and both can wait on a word of it" "$(grep -c '^waits$' "$out")" 2
tap_diag "$(sort "$out" | uniq -c | tr '\n' ' ')"

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
	start $act
	tap_ok "$act: both run" wait_until 60 eval 'said hostile "$out" && said empty "$out"'
	good=$(pgrep -P "$pid" -f "^$memory idle")
	kill -USR1 "$good"
	tap_ok "$act: the sibling holds idle memory" wait_until 60 said idle "$out"
	kill -USR2 "$pid"
	tap_ok "$act: and gives it back when it is asked" wait_until 30 fell_to "$good" $((IDLE_MIB / 4))
	stop $act
done
tap_done
