#!/bin/bash
# Near the wall, and with nothing left in any heap, the kernel is asked to take back the cache that
# nobody uses, so that growth finds free memory.
# kernels: 6.12
. "$(dirname "$0")/../support/system.sh"
cgroup_new reclaim || tap_skip_all "$CGROUP_WHY"
cgroup_v2 "$CGROUP_MEMORY" || tap_skip_all "there is no memory.reclaim on cgroup v1"
[ -e "$CGROUP_MEMORY/memory.reclaim" ] || tap_skip_all "this kernel has no memory.reclaim"
LIMIT_MIB=128
FILE_MIB=32
STEP_MIB=2
log=$TAP_DIR/log
out=$TAP_DIR/out
leaf=$CGROUP_MEMORY/web

file_mib() {
  echo $(($(cgroup_stat "$leaf" file) >> 20))
}

usage_mib() {
  echo $(($(cgroup_usage_bytes "$leaf") >> 20))
}

# Read once, so that it lies on the inactive list; of files that nobody else has read yet.
find /usr/lib/*-linux-gnu /usr/bin -maxdepth 1 -type f -size +1M >"$TAP_DIR/files"
cat >"$TAP_DIR/reads" <<SH
xargs -d '\n' cat <$TAP_DIR/files 2>/dev/null | head -c ${FILE_MIB}M >/dev/null
exec $memory grow $STEP_MIB
SH
cat >"$TAP_DIR/web.ini" <<INI
[policy:default]
brake = off
[service:web]
command = sh $TAP_DIR/reads
memory_max = ${LIMIT_MIB}M
shim = off
INI
(cgroup_exec "$spillway" run "$TAP_DIR/web.ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "the service is up" wait_until 120 said small "$out"
tap_ok "nothing was reclaimed before there was need" sh -c "! grep -q ': reclaim: ' '$log'"
read_mib=$(file_mib)
if [ "$read_mib" -lt $((FILE_MIB / 2)) ]; then
  tap_skip "near the wall the cache is taken" "only $read_mib MiB of files were charged to the service"
  tap_done
fi
child=$(pgrep -P "$pid" -f "^$memory grow")
# To a threshold of 8 %, and not much further.
tap_ok "near the wall the kernel is asked" \
  grows_until_said "$child" $((LIMIT_MIB * 7 / 8)) $((LIMIT_MIB - 2)) "web: reclaim: "
tap_ok "the log says why, and what it brought" said \
  "web: reclaim: headroom [0-9.]*[MK] < 10.2M of ${LIMIT_MIB}M; asked the kernel for [0-9.]*M; memory.current [0-9.]*M -> [0-9.]*M in " "$log"
has_room() {
  [ "$(usage_mib)" -le $((LIMIT_MIB - 2)) ]
}
tap_ok "memory is free, and not only reclaimable" wait_until 60 has_room
tap_diag "files $read_mib MiB -> $(file_mib) MiB, usage $(usage_mib) of $LIMIT_MIB MiB"
tap_diag "$(grep reclaim "$log" | cut -c 1-200 | head -n 6)"
tap_is "the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
