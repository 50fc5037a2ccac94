#!/bin/bash
# Releases asked for by hand give back at least 90 % of memory known to be idle, as the cgroup counts it.
# kernels: 6.12
. "$(dirname "$0")/../support/system.sh"
cgroup_new manual || tap_skip_all "$CGROUP_WHY"
IDLE_MIB=128

usage_mib() {
  echo $(($(cgroup_usage_bytes "$CGROUP_MEMORY") >> 20))
}

said() {
  [ "$(grep -c "$1" "$2" 2>/dev/null)" -ge "${3:-1}" ]
}

fell_to() {
  [ "$(usage_mib)" -le "$1" ]
}

# fill PIDS...: empty_mib and idle_mib, the usage before they fill and after they have freed it all
fill() {
  empty_mib=$(usage_mib)
  kill -USR1 "$@"
  tap_ok "memory is filled and freed" wait_until 60 said idle "$out" $rounds
  idle_mib=$(usage_mib)
  tap_ok "at least three quarters of $IDLE_MIB MiB are still held ($empty_mib -> $idle_mib MiB)" \
    [ $((idle_mib - empty_mib)) -ge $((IDLE_MIB * 3 / 4)) ]
}

# release NAME SIGNAL: 90 % of what is idle comes back
release() {
  kill -"$2" "$pid"
  if wait_until 60 fell_to $((idle_mib - (idle_mib - empty_mib) * 9 / 10)); then
    tap_pass "$1 ($idle_mib -> $(usage_mib) MiB)"
  else
    tap_fail "$1" "usage was $empty_mib, then $idle_mib, and is $(usage_mib) MiB"
  fi
}

stop() {
  kill -TERM "$pid"
  wait "$pid"
}

# One service under its own options: the RT signals are ours, all others the service's.
log=$TAP_DIR/wrap.log
out=$TAP_DIR/wrap.out
(cgroup_exec "$spillway" -vv --name=idle --scavenge=off -- "$memory" idle $IDLE_MIB 4 10000) >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "the service is up" wait_until 60 said empty "$out"
rounds=1
fill "$pid"
release "RTMIN+2 gives back 90 % of what is idle" 36
rounds=2
fill "$pid"
release "RTMIN+3 gives back 90 % of what is idle" 37
tap_ok "the log says what was asked for and what came back" wait_until 60 \
  said 'idle: full: asked for by hand; asked all of 1 process; returned [0-9.]*[KMG]* in [0-9]*ms' "$log"
tap_diag "$(grep 'asked for by hand' "$log")"
stop
tap_is "and it ends with the service's own status" $? 0

# Several services: USR1 and USR2 are ours, and reach all of them.
cat >"$TAP_DIR/two.ini" <<END
[policy:default]
scavenge = off
[service:one]
command = $memory idle $((IDLE_MIB / 2)) 2 10000
[service:two]
command = $memory idle $((IDLE_MIB / 2)) 8 10000
END
for round in 'USR1 eager' 'USR2 full'; do
  set -- $round
  log=$TAP_DIR/$1.log
  out=$TAP_DIR/$1.out
  (cgroup_exec "$spillway" run "$TAP_DIR/two.ini") >"$out" 2>"$log" &
  pid=$!
  at_exit_kill "$pid"
  tap_ok "both services are up" wait_until 60 said empty "$out" 2
  rounds=2
  # shellcheck disable=SC2046
  fill $(pgrep -P "$pid" -f "^$memory idle")
  release "$1 asks every service for $2" "$1"
  tap_ok "$1: a line for each of them" wait_until 60 said "\(one\|two\): $2: asked for by hand" "$log" 2
  tap_diag "$(grep 'asked for by hand' "$log")"
  stop
done
tap_done
