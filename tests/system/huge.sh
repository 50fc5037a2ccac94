#!/bin/bash
# Transparent huge pages: what a release gives back has left the cgroup, whether the kernel gives huge
# pages to everybody, to who asks, or to nobody, and whether the heap asks.  It is judged by
# memory.current: where a part of a huge page was given back the wrong way, RSS falls and nothing is
# free.  khugepaged, which fills the gaps of a huge page again that was given back in part, is made
# quick.
# The settings are the whole machine's, so only the virtual one is made so.
. "$(dirname "$0")/../support/system.sh"
[ -n "${SPILLWAY_VM:-}" ] || tap_skip_all "transparent huge pages are the whole machine's"
thp=/sys/kernel/mm/transparent_hugepage
[ -w $thp/enabled ] || tap_skip_all "$thp/enabled cannot be written"
sparse=$BUILD/tests/system/sparse
[ -x "$sparse" ] || { echo "Bail out! $sparse is not built"; exit 1; }
unset SPILLWAY_LINK MEMORY_PRESSURE_WATCH MEMORY_PRESSURE_WRITE
FILL_MIB=128
# What a heap may keep beside what lives: metadata, and what the rest of the process touches.
REST_KIB=4096

at_exit sh -c "echo $(sed 's/.*\[\(.*\)\].*/\1/' $thp/enabled) >$thp/enabled"
for setting in scan_sleep_millisecs alloc_sleep_millisecs; do
  at_exit sh -c "echo $(cat $thp/khugepaged/$setting) >$thp/khugepaged/$setting"
  echo 10 >$thp/khugepaged/$setting
done

usage_kib() {
  echo $(($(cgroup_usage_bytes "$CGROUP_MEMORY") >> 10))
}

fell_to() {
  [ "$(usage_kib)" -le "$1" ]
}

# The most that was in use within so many seconds.
most_kib_in() {
  local end most=0 now
  end=$(($(now_ms) + $1 * 1000))
  while [ "$(now_ms)" -lt "$end" ]; do
    now=$(usage_kib)
    [ "$now" -le "$most" ] || most=$now
    sleep 0.1
  done
  echo "$most"
}

# do_it WORD: has the program do it; its answer is in $answer
do_it() {
  echo "$1" >&"${service[1]}" || return 1
  read -r -t 200 -u "${service[0]}" answer
}

huge_kib() {
  echo $(($(cgroup_stat "$CGROUP_MEMORY" anon_thp) >> 10))
}

# One process under the library: $1 of SPILLWAY_HUGE_PAGES, $2 what a test's name begins with.
run_one() {
  local on=$1 name=$2 level empty_kib full_kib live_kib
  cgroup_new huge || tap_skip_all "$CGROUP_WHY"
  coproc service { SPILLWAY_HUGE_PAGES=$on LD_PRELOAD=$BUILD/lib/libspillway.so cgroup_exec "$sparse" $FILL_MIB 2>&1; }
  local pid=$service_PID
  # A first turn, so that what a process touches once is not counted.
  do_it fill && do_it empty && do_it full
  sleep 3
  empty_kib=$(usage_kib)
  for level in eager full; do
    do_it fill
    full_kib=$(usage_kib)
    tap_diag "$name: full: $full_kib KiB, $(huge_kib) KiB of them huge"
    tap_ok "$name: $FILL_MIB MiB are there" [ $((full_kib - empty_kib)) -ge $((FILL_MIB << 10)) ]
    do_it thin
    live_kib=$((${answer#left } * 4))
    do_it "$level"
    if wait_until 20 fell_to $((empty_kib + live_kib + REST_KIB)); then
      tap_pass "$name, $level: it falls to what lives ($full_kib -> $(usage_kib) KiB)"
    else
      tap_fail "$name, $level: it falls to what lives" \
        "$empty_kib empty, $full_kib full, $live_kib live, $(usage_kib) left, $(huge_kib) huge"
    fi
    tap_diag "$name: $(do_it stats; echo "$answer")"
    # khugepaged comes by; what it fills is given back again.
    tap_diag "$name: within 10 s at most $(most_kib_in 10) KiB"
    tap_ok "$name, $level: and stays so" wait_until 20 fell_to $((empty_kib + live_kib + REST_KIB))
    tap_ok "$name, $level: for good" [ "$(most_kib_in 10)" -le $((empty_kib + live_kib + REST_KIB)) ]
    tap_diag "$name: $(do_it stats; echo "$answer"), $(huge_kib) KiB huge"
    do_it empty
    tap_is "$name, $level: what lived is as it was" "$answer" empty
    do_it full
    tap_ok "$name, $level: then all is given back" wait_until 20 fell_to $((empty_kib + REST_KIB))
  done
  exec {service[1]}>&-
  wait "$pid"
  tap_is "$name: it ends" $? 0
  tap_is "$name: the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
  cgroup_destroy "$CGROUP_MEMORY"
}

for enabled in ${SPILLWAY_TEST_THP:-always madvise never}; do
  echo "$enabled" >$thp/enabled
  for on in ${SPILLWAY_TEST_HUGE:-off}; do
    run_one "$on" "enabled=$enabled, SPILLWAY_HUGE_PAGES=$on"
  done
done
tap_done
