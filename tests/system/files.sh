#!/bin/bash
# A minute (WATCHED_S=60) of heavy reading and writing of files, and of walking folders, fills the limit with what the
# kernel takes back by itself.  With half of the limit free of anything else that is no pressure.
# cpu limit: 240 s
# kernels: none
. "$(dirname "$0")/../support/system.sh"
cgroup_new files || tap_skip_all "$CGROUP_WHY"
LIMIT_MIB=192
FILE_MIB=224
IDLE_MIB=32
ROUNDS_LEAST=2
WATCHED_S=${WATCHED_S:-60}
cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
log=$TAP_DIR/log
out=$TAP_DIR/out
folder=$(mktemp -d /var/tmp/spillway-test-files.XXXXXX)
at_exit rm -rf "$folder"

# What lies there is memory of its own, and not the kernel's to take back, in the VM for one.
shmem=shmem
cgroup_v2 "$CGROUP_MEMORY" || shmem=total_shmem
(cgroup_exec dd if=/dev/zero of="$folder/file" bs=1M count=32 status=none)
[ $(($(cgroup_stat "$CGROUP_MEMORY" $shmem) >> 20)) -lt 16 ] || tap_skip_all "/var/tmp is in memory"

cat >"$TAP_DIR/work.sh" <<END
while :; do
  dd if=/dev/zero of=$folder/file bs=1M count=$FILE_MIB conv=fsync status=none
  cat $folder/file >/dev/null
  find /usr/include /usr/share -xdev -newer /nowhere 2>/dev/null
  find /usr/include /usr/share -xdev -size +100M >/dev/null
  echo round
done
END
cat >"$TAP_DIR/two.ini" <<END_INI
[service:files]
command = /bin/sh $TAP_DIR/work.sh
[service:idle]
command = $memory idle $IDLE_MIB 2 10000
END_INI
(cgroup_exec "$spillway" run "$TAP_DIR/two.ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "the services are up" wait_until 60 said empty "$out"
kill -USR1 "$(pgrep -P "$pid" -f "^$memory idle")"
tap_ok "one holds idle memory" wait_until 60 said '^idle' "$out"

is_full_of_files() {
  [ "$(cgroup_usage_bytes "$CGROUP_MEMORY")" -gt $(((LIMIT_MIB - 24) << 20)) ]
}
tap_ok "files fill the limit" wait_until 120 is_full_of_files
begin=$SECONDS
rounds_are_done() {
  [ $((SECONDS - begin)) -ge $WATCHED_S ] && times_said '^round' "$out" $ROUNDS_LEAST
}
tap_ok "they are read and written for a minute" wait_until $((WATCHED_S + 240)) rounds_are_done
tap_diag "$(grep -c '^round' "$out") rounds; usage $(($(cgroup_usage_bytes "$CGROUP_MEMORY") >> 20)) MiB"
tap_diag "$(cut -c 1-200 "$log" | tail -n 12)"
tap_ok "the supervisor was there all the time" kill -0 "$pid"
tap_is "no level beyond lazy" "$(grep -cE ': (eager|full) ?(\(|:)' "$log")" 0
tap_is "no brake" "$(grep -c 'brake on' "$log")" 0
tap_is "nothing was concluded" "$(grep -c 'no idle memory' "$log")" 0
tap_is "the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
