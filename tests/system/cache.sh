#!/bin/bash
# A service whose files fill its cgroup is not at its wall: the kernel can have the cache back.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
cgroup_new cache || tap_skip_all "$CGROUP_WHY"
LIMIT_MIB=128
FILE_MIB=104
cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
log=$TAP_DIR/log
active=active_file
cgroup_v2 "$CGROUP_MEMORY" || active=total_active_file

active_mib() {
  echo $(($(cgroup_stat "$CGROUP_MEMORY" $active) >> 20))
}

is_active() {
  [ "$(active_mib)" -ge $((FILE_MIB - 16)) ]
}

# Written inside, so that its pages are charged there.  Not on tmpfs: that is not cache.
folder=$(mktemp -d /var/tmp/spillway-test-cache.XXXXXX)
at_exit rm -rf "$folder"
[ "$(stat -f -c %T "$folder")" != tmpfs ] || tap_skip_all "/var/tmp is in memory"
(cgroup_exec dd if=/dev/zero of="$folder/file" bs=1M count=$FILE_MIB conv=fsync status=none)
# Nor below an overlay, which only the count of it shows.
shared=shmem
cgroup_v2 "$CGROUP_MEMORY" || shared=total_shmem
[ $(($(cgroup_stat "$CGROUP_MEMORY" $shared) >> 20)) -lt $((FILE_MIB / 2)) ] || tap_skip_all "/var/tmp is in memory"
(cgroup_exec "$spillway" -v -- "$memory" read "$folder/file") >"$TAP_DIR/out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
if ! wait_until 60 is_active; then
  tap_skip "a cache in use is no lack of headroom" \
    "only $(active_mib) of $FILE_MIB MiB came on the active list"
  tap_done
fi
# What it says from now on is of a look at the cache in use.
supervisor_looks "$pid"
lines=$(wc -l <"$log")
for _ in 1 2 3 4; do
  supervisor_looks "$pid"
done
tap_diag "$(cut -c 1-200 "$log")"
tap_ok "a cache in use is no lack of headroom" \
  sh -c "! tail -n +$((lines + 1)) '$log' | grep -q ': headroom'"
tap_ok "nor was it before" sh -c "! grep -q 'full' '$log'"
tap_is "the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
