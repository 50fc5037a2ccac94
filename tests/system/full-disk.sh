#!/bin/bash
# Where nothing can be written, neither the log nor a file below /run or /tmp, services start, are
# asked, and stop all the same.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
cgroup_new disk || tap_skip_all "$CGROUP_WHY"
IDLE_MIB=32
folder=$TAP_DIR/full
out=$TAP_DIR/out
mkdir "$folder"

# A file system without room, in place of the folders that a supervisor could write to.
cat >"$TAP_DIR/inside" <<'END'
mount --make-rprivate / && mount -t tmpfs -o size=4k,nr_inodes=4 none "$1" || exit 9
: >"$1/log"
until ! dd if=/dev/zero of="$1/rest" bs=1k count=8 oflag=append conv=notrunc 2>/dev/null; do :; done
mkdir "$1/a" 2>/dev/null
mkdir "$1/b" 2>/dev/null
for place in /run /dev/shm; do mount --bind "$1" $place; done
shift
exec "$@"
END
cat >"$TAP_DIR/services.ini" <<INI
[policy:default]
scavenge = off
[service:idle]
command = $memory idle $IDLE_MIB 2 10000
[service:again]
command = sh -c 'echo again; sleep 0.02; exit 1'
INI
(unshare --mount true) 2>/dev/null || tap_skip_all "${TAP_ROOT}no mount namespaces here"
(cgroup_exec unshare --mount sh "$TAP_DIR/inside" "$folder" \
	sh -c 'TMPDIR=/run XDG_RUNTIME_DIR=/run exec "$@" 2>"$0/log"' "$folder" "$spillway" -v run "$TAP_DIR/services.ini") >"$out" &
pid=$!
at_exit_kill "$pid"
tap_ok "the services run" wait_until 60 said empty "$out"
idle=$(pgrep -P "$pid" -f "^$memory idle")
tap_ok "its log takes nothing" test ! -s "/proc/$pid/root$folder/log"
tap_is "nor does anything else there" "$(sh -c ': >"/proc/$1/root/run/x"' - "$pid" 2>&1 | grep -c 'No space')" 1
kill -USR1 "$idle"
tap_ok "one holds idle memory" wait_until 60 said '^idle' "$out"
rss_fell() {
	[ "$(awk '$1 == "Rss:" { print int($2 / 1024) }' "/proc/$idle/smaps_rollup")" -le $((IDLE_MIB / 4)) ]
}
kill -USR2 "$pid"
tap_ok "and gives it back when it is asked" wait_until 60 rss_fell
tap_ok "what crashes is started again" wait_until 60 times_said again "$out" 3
sed -i '/again\]/,$d' "$TAP_DIR/services.ini"
kill -HUP "$pid"
is_alone() {
	[ "$(pgrep -c -P "$pid")" -eq 1 ]
}
tap_ok "a reload takes one away" wait_until 60 is_alone
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
