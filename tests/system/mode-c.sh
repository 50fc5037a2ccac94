#!/bin/bash
# In a container's conditions, a cgroup namespace of its own with a read-only cgroupfs and without
# CAP_SYS_RESOURCE, spillway finds mode C and does all that is left: levels, releases, OOM kills.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
cgroup_new box || tap_skip_all "$CGROUP_WHY"
cgroup_v2 "$CGROUP_MEMORY" || tap_skip_all "the memory controller is on cgroup v1"
LIMIT_MIB=192
IDLE_MIB=48
STEP_MIB=4
cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
log=$TAP_DIR/log
out=$TAP_DIR/out

# Prints what a container's shell would run: COMMAND in new namespaces, cgroupfs read only.
cat >"$TAP_DIR/container" <<'END'
#!/bin/bash
exec unshare --cgroup --mount -- bash -c '
  mount --make-rprivate / && umount /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup &&
  mount -o remount,bind,ro /sys/fs/cgroup && exec setpriv --bounding-set -sys_resource,-sys_admin \
    --inh-caps -sys_resource,-sys_admin "$@"' container "$@"
END
chmod +x "$TAP_DIR/container"
(cgroup_exec "$TAP_DIR/container" true) 2>"$log" || tap_skip_all "no namespaces here: $(cat "$log")"

said_both() {
  said empty "$out" && said small "$out"
}

# A heap that is late to answer is told of as having given nothing: it is filled again, and asked again
# while the level lasts.
idle_memory_comes_back() {
  local round
  for round in $(seq 2 40); do
    wait_until 2 said \
      'idle: .* asked .* of 1 process; returned [1-9][0-9.]*[KM] in .*(shared memory.current' "$log" && return
    kill -USR1 "$idler" && wait_until 60 times_said '^idle' "$out" "$round" || return 1
  done
  return 1
}

# Levels by headroom only: the speed of what fills the memory says nothing.
cat >"$TAP_DIR/two.ini" <<END
[policy:default]
lazy_time_to_wall = off
eager_time_to_wall = off
full_time_to_wall = off
lazy_pressure = off
eager_pressure = off
full_pressure = off
hold = 10m
scavenge = off
[service:idle]
command = $memory idle $IDLE_MIB 2 10000
[service:hog]
command = $memory grow $STEP_MIB
END
(cgroup_exec "$TAP_DIR/container" "$spillway" -v run "$TAP_DIR/two.ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "it finds mode C" wait_until 30 said \
  'mode C: cgroup v2 at /sys/fs/cgroup, read-only (Read-only file system): no leaves, no brake, no PSI triggers' "$log"
tap_diag "$(grep -o 'mode .*' "$log")"
tap_ok "both services run" wait_until 60 said_both
tap_is "there are no leaves" "$(find "$CGROUP_MEMORY" -mindepth 1 -type d | wc -l)" 0
grower=$(pgrep -P "$pid" -f "^$memory grow")
idler=$(pgrep -P "$pid" -f "^$memory idle")
kill -USR1 "$idler"
wait_until 60 said '^idle' "$out"
tap_ok "growth raises the level by the container's own limit" \
  grows_until_said "$grower" $((LIMIT_MIB * 3 / 4 - IDLE_MIB - 8)) $((LIMIT_MIB * 2)) \
  ': \(lazy\|eager\|full\) (was [a-z]*): headroom .* of shared 192M'
tap_ok "idle memory comes back" idle_memory_comes_back
tap_ok "the OOM kill of the one that needs more than there is, is noticed" \
  grows_until_said "$grower" $((LIMIT_MIB * 2)) $((LIMIT_MIB * 2)) 'the kernel OOM-killed 1 process'
tap_ok "and told of that service" wait_until 60 said 'hog: OOM-killed' "$log"
tap_ok "it is started again" wait_until 60 said 'hog: starts again' "$log"
tap_diag "$(grep '(was\|OOM' "$log" | cut -c 1-200 | head -n 12)"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_is "no process is left" "$(cgroup_pids "$CGROUP_MEMORY" | wc -l)" 0

# A memory_max is kept by us there.
cat >"$TAP_DIR/soft.ini" <<END
[policy:default]
scavenge = off
lazy_headroom = off
eager_headroom = 20%
full_headroom = off
[service:limited]
command = $memory idle $IDLE_MIB 2 10000
memory_max = $((IDLE_MIB + 16))M
END
(cgroup_exec "$TAP_DIR/container" "$spillway" run "$TAP_DIR/soft.ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "a memory_max is soft, which is said" wait_until 60 said 'limited: memory_max 64M is soft here' "$log"
wait_until 60 said empty "$out"
limited=$(pgrep -P "$pid" -f "^$memory idle")
kill -USR1 "$limited"
wait_until 60 said '^idle' "$out"
gave_back() {
	[ "$(awk '$1 == "Rss:" { print int($2 / 1024) }' "/proc/$limited/smaps_rollup")" -le $((IDLE_MIB / 4)) ]
}
tap_ok "and idle memory near it goes" wait_until 60 gave_back
tap_ok "by that limit" said 'limited: \(eager\|full\) .* of 64M' "$log"
tap_diag "$(grep 'limited: ' "$log" | cut -c 1-160 | head -n 6)"
kill -TERM "$pid"
wait "$pid"
tap_done
