#!/bin/bash
# After a stop there is no process left, not even one that hides, and no cgroup that we made.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
cgroup_new clean || tap_skip_all "$CGROUP_WHY"
log=$TAP_DIR/log
parent=$(dirname "$CGROUP_MEMORY")
controllers() {
  cat "$CGROUP_MEMORY/cgroup.subtree_control" 2>/dev/null
}
# What is left of supervisor $1 in our cgroup and beside it; other tests have theirs there.
folders() {
  find "$CGROUP_MEMORY" -mindepth 1 -type d
  find "$parent" -mindepth 1 -maxdepth 1 -name "spillway-$1"
}
ready() {
  [ "$(grep -c '^ready' "$TAP_DIR/out")" -ge 2 ]
}
before_controllers=$(controllers)

# One hides a grandchild in a session of its own that ignores every polite signal, the other ends only
# when it is killed.
cat >"$TAP_DIR/hide.sh" <<'END'
setsid sh -c 'trap "" TERM INT HUP; echo ready; while :; do sleep 1; done' &
while :; do sleep 1; done
END
cat >"$TAP_DIR/deaf.sh" <<'END'
trap '' TERM
echo ready
while :; do sleep 1; done
END
cat >"$TAP_DIR/two.ini" <<END
[service:hide]
command = /bin/sh $TAP_DIR/hide.sh
stopwaitsecs = 200ms
[service:deaf.max]
command = /bin/sh $TAP_DIR/deaf.sh
stopwaitsecs = 200ms
END

# run HOW SIGNAL
run() {
  : >"$TAP_DIR/out"
  (cgroup_exec "$spillway" run "$TAP_DIR/two.ini") >"$TAP_DIR/out" 2>"$log" &
  pid=$!
  at_exit_kill "$pid"
  tap_ok "$1: both services are up" wait_until 60 ready
  if grep -q 'mode [AB]:' "$log"; then
    tap_is "$1: one leaf for each and one for us" \
      "$(find "$CGROUP_MEMORY" -mindepth 1 -type d -printf '%f\n' | sort | tr '\n' ' ')" \
      "deaf_max hide supervisor "
  fi
  kill -"$2" "$pid"
  wait "$pid"
  tap_is "$1: it ends with 0" $? 0
  tap_is "$1: no process is left" "$(cgroup_pids "$CGROUP_MEMORY" | wc -l)" 0
  tap_is "$1: no cgroup is left" "$(folders "$pid")" ""
  tap_is "$1: controllers are as before" "$(controllers)" "$before_controllers"
}
run "stopped by TERM" TERM
run "stopped by INT" INT

# Strangers in our cgroup are left alone, and so is the limit we live under.
if cgroup_v2 "$CGROUP_MEMORY"; then
  cgroup_limit "$CGROUP_MEMORY" $((512 << 20))
  (cgroup_exec sh -c '"$@" & wait $!; exit $?' sh "$spillway" -v -- sh -c 'cat /proc/self/cgroup') \
    >"$TAP_DIR/out" 2>"$log"
  tap_ok "with a shell beside us under a limit there are no leaves" \
    grep -q 'mode C: .*1 other process in it, and a cgroup beside it would escape its limit' "$log"
  tap_is "the service stays in that cgroup" "$(cat "$TAP_DIR/out")" "0::${CGROUP_MEMORY#"$(cgroup_mount cgroup2)"}"
  echo max >"$CGROUP_MEMORY/memory.max"
  (cgroup_exec sh -c '"$@" & wait $!; exit $?' sh "$spillway" -v --name=beside -- sh -c 'cat /proc/self/cgroup') \
    >"$TAP_DIR/out" 2>"$log"
  tap_ok "without a limit the leaves are made beside it" grep -q '/spillway-[0-9]*/beside$' "$TAP_DIR/out"
  tap_is "nothing of it is left" "$(folders "$(sed -n 's|.*/spillway-\([0-9]*\)/beside$|\1|p' "$TAP_DIR/out")")" ""
else
  tap_skip "strangers in our cgroup" "the memory controller is on cgroup v1"
fi
tap_done
