#!/bin/bash
# In a container's conditions, a cgroup namespace of its own with a read-only cgroupfs and without
# CAP_SYS_RESOURCE, spillway finds mode C and does all that is left: levels, releases, OOM kills.
. "$(dirname "$0")/../support/system.sh"
cgroup_new box || tap_skip_all "$CGROUP_WHY"
cgroup_v2 "$CGROUP_MEMORY" || tap_skip_all "the memory controller is on cgroup v1"
cgroup_limit "$CGROUP_MEMORY" $((192 << 20))
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

said() {
  grep -q "$1" "$2"
}

times() {
  [ "$(grep -c "$1" "$2")" -ge "$3" ]
}

# The background may have given all of it back before the level asks: every two seconds there is more.
asked_memory_came_back() {
  said 'idle: .* asked .* of 1 process; returned [1-9][0-9.]*[KM] in .*(shared memory.current' "$log" &&
    return
  if [ $(($(now_ms) - idle_ms)) -ge 2000 ]; then
    idle_ms=$(now_ms)
    pkill -USR1 -P "$pid" -f "^$memory idle"
  fi
  return 1
}

cat >"$TAP_DIR/two.ini" <<END
[service:idle]
command = $memory idle 64 2 10000
[service:hog]
command = $memory hog 40
END
(cgroup_exec "$TAP_DIR/container" "$spillway" -v run "$TAP_DIR/two.ini") >"$out" 2>"$log" &
pid=$!
at_exit kill -9 $pid
tap_ok "it finds mode C" wait_until 30 said \
  'mode C: cgroup v2 at /sys/fs/cgroup, read-only (Read-only file system): no leaves, no brake, no PSI triggers' "$log"
tap_diag "$(grep -o 'mode .*' "$log")"
tap_ok "both services run" wait_until 30 said empty "$out"
tap_is "there are no leaves" "$(find "$CGROUP_MEMORY" -mindepth 1 -type d | wc -l)" 0
idle_ms=$(now_ms)
kill -USR1 "$(pgrep -P "$pid" -f "^$memory idle")"
tap_ok "growth raises the level by the container's own limit" \
  wait_until 60 said ': \(lazy\|eager\|full\) (was [a-z]*): .* to the shared wall of 192M' "$log"
tap_ok "idle memory comes back" wait_until 60 asked_memory_came_back
tap_ok "the OOM kill of the one that needs more than there is, is noticed" \
  wait_until 60 said 'the kernel OOM-killed 1 process' "$log"
tap_ok "and told of that service" wait_until 10 said 'hog: OOM-killed' "$log"
tap_ok "it is started again" wait_until 30 times 'hog: starts again' "$log" 1
tap_diag "$(grep '(was\|OOM' "$log" | cut -c 1-200 | head -n 12)"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_is "no process is left" "$(cgroup_pids "$CGROUP_MEMORY" | wc -l)" 0
tap_done
