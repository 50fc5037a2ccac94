#!/bin/bash
# target_file: a wall that a file names, reached through a link that is moved, as the kubelet does it.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
IDLE_MIB=64
TARGET_MIB=80
run=(env)
root=$(cgroup_mount cgroup2)
if [ -n "$root" ] && grep -qw memory "$root/cgroup.controllers"; then
	grep -qx "0::/" /proc/self/cgroup || tap_skip_all "it wants to start at the root of the machine"
else
	cgroup_new target || tap_skip_all "$CGROUP_WHY"
	run=(cgroup_exec)
fi
log=$TAP_DIR/log
out=$TAP_DIR/out
volume=$TAP_DIR/volume

rss_mib() {
	awk '$1 == "Rss:" { print int($2 / 1024) }' "/proc/$1/smaps_rollup"
}

fell_to() {
	[ "$(rss_mib "$1")" -le "$2" ]
}

# publish NAME TEXT: the next version of the volume
publish() {
	mkdir "$volume/..$1"
	[ -z "$2" ] || printf '%s\n' "$2" >"$volume/..$1/target"
	ln -s "..$1" "$volume/..data_tmp"
	mv -T "$volume/..data_tmp" "$volume/..data"
}

mkdir "$volume"
ln -s ..data/target "$volume/target"
publish 1 1G
cat >"$TAP_DIR/target.ini" <<END_INI
[policy:default]
scavenge = off
lazy_time_to_wall = off
eager_time_to_wall = off
full_time_to_wall = off
lazy_headroom = off
eager_headroom = 20%
full_headroom = off
[service:aimed]
command = $memory idle $IDLE_MIB 2 10000
target_file = $volume/target
[service:free]
command = $memory idle $IDLE_MIB 2 10000
[service:fifo]
command = sleep 1000
target_file = $volume/fifo
END_INI
mkfifo "$volume/fifo"
("${run[@]}" "$spillway" run "$TAP_DIR/target.ini") >"$out" 2>"$log" </dev/null &
pid=$!
at_exit_kill "$pid"
tap_ok "both run" wait_until 60 times_said empty "$out" 2
tap_ok "the target is said" wait_until 60 said "aimed: target 1G, as " "$log"
tap_ok "what is no file is not waited for" wait_until 60 said 'fifo: target_file .*: not a regular file; there is no target' "$log"
aimed=$(sed -n 's/.*aimed: started, pid \([0-9]*\).*/\1/p' "$log")
free=$(sed -n 's/.*free: started, pid \([0-9]*\).*/\1/p' "$log")
kill -USR1 "$aimed" "$free"
tap_ok "both have freed what they filled" wait_until 60 times_said idle "$out" 2
supervisor_looks "$pid"
tap_ok "far from the target it is kept" [ "$(rss_mib "$aimed")" -ge $((IDLE_MIB * 3 / 4)) ]
begin_ms=$(now_ms)
publish 2 $((TARGET_MIB << 20))
tap_ok "with a nearer one it goes" wait_until 60 fell_to "$aimed" $((IDLE_MIB / 4))
tap_diag "after $(($(now_ms) - begin_ms)) ms"
tap_ok "the other service's does not" [ "$(rss_mib "$free")" -ge $((IDLE_MIB * 3 / 4)) ]
tap_ok "the reason is that wall" grep -q "aimed: eager .* of ${TARGET_MIB}M" "$log"
tap_diag "$(grep 'aimed: eager' "$log" | head -n 1 | cut -c 1-200)"
publish 3 '12 apples'
tap_ok "what makes no sense is said, and the last one stays" wait_until 60 said "expected a size from 1M .*; the target stays ${TARGET_MIB}M" "$log"
publish 4 ''
tap_ok "so is a file that is not there" wait_until 60 said "No such file or directory; the target stays ${TARGET_MIB}M" "$log"
supervisor_looks "$pid"
tap_is "each once" "$(grep -c 'the target stays' "$log")" 2
publish 5 off
tap_ok "it can be switched off" wait_until 60 said "aimed: target off, as " "$log"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
