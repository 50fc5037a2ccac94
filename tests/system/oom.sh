#!/bin/bash
# A service that really needs more than there is gets OOM-killed; this is noticed, counted, and it is
# started again.
# kernels: 6.12
. "$(dirname "$0")/../support/system.sh"
cgroup_new oom || tap_skip_all "$CGROUP_WHY"
log=$TAP_DIR/log
cgroup_limit "$CGROUP_MEMORY" $((96 << 20))

count() {
  grep -c "$1" "$log"
}

at_least() {
  [ "$(count "$2")" -ge "$1" ]
}

# The neighbour must survive: where there are leaves the hog's own limit, a share of the wall, is met first.
cat >"$TAP_DIR/hog.ini" <<END
[policy:default]
brake_hold = 200ms
[service:hog]
command = $memory hog 60
autorestart = unexpected
memory_max = 60%
[service:calm]
command = $memory idle 1 1 1
END
(cgroup_exec "$spillway" run "$TAP_DIR/hog.ini") >"$TAP_DIR/out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "two OOM kills are noticed" wait_until 120 at_least 2 'the kernel OOM-killed 1 process'
tap_ok "the service is started again after each" wait_until 60 at_least 2 'hog: starts again'
neighbour=$(pgrep -P "$pid" -f "^$memory idle")
tap_ok "the neighbour and the supervisor live" [ -n "$neighbour" ]
tap_is "the neighbour was never started again" "$(count ' calm: starts again')" 0
tap_diag "$(grep 'OOM\| hog: ' "$log" | cut -c 1-200 | head -n 12)"
kill -TERM "$pid"
wait "$pid"
kills=$(cgroup_oom_kills "$CGROUP_MEMORY")
noticed=$(count 'the kernel OOM-killed')
tap_ok "what was noticed is what the kernel counts (noticed $noticed, counted $kills)" [ "$noticed" = "$kills" ]
tap_done
