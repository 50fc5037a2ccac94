#!/bin/bash
# Transparent huge pages: what a release gives back has left the cgroup, whether the kernel gives huge
# pages to everybody, to who asks, or to nobody, and whether the heap asks.  It is judged by
# memory.current: where a part of a huge page was given back the wrong way, RSS falls and nothing is
# free.  khugepaged, which fills the gaps of a huge page again that was given back in part, is made
# quick.
# The settings are the whole machine's, so only the virtual one is made so.
# kernels: 6.12
. "$(dirname "$0")/../support/system.sh"
[ -n "${SPILLWAY_VM:-}" ] || tap_skip_all "transparent huge pages are the whole machine's"
thp=/sys/kernel/mm/transparent_hugepage
[ -w $thp/enabled ] || tap_skip_all "$thp/enabled cannot be written"
sparse=$BUILD/tests/system/sparse
[ -x "$sparse" ] || { echo "Bail out! $sparse is not built"; exit 1; }
unset SPILLWAY_LINK MEMORY_PRESSURE_WATCH MEMORY_PRESSURE_WRITE
FILL_MIB=64
# What a heap may keep beside what lives: metadata, and what the rest of the process touches; less than
# two huge pages.  An eager release leaves in addition the slabs that were used last.
REST_KIB=3072
SLABS_KIB=4096

at_exit sh -c "echo $(sed 's/.*\[\(.*\)\].*/\1/' $thp/enabled) >$thp/enabled"
for setting in scan_sleep_millisecs alloc_sleep_millisecs; do
  at_exit sh -c "echo $(cat $thp/khugepaged/$setting) >$thp/khugepaged/$setting"
done

# Of the lowest priority, as it is, it waits until nobody else has work.
for pid in $(pgrep -x khugepaged); do
  at_exit renice -n "$(ps -o ni= -p "$pid")" -p "$pid"
  renice -n -5 -p "$pid" >/dev/null
done

# khugepaged MS: how long it sleeps
khugepaged() {
  echo "$1" >$thp/khugepaged/alloc_sleep_millisecs
  echo "$1" >$thp/khugepaged/scan_sleep_millisecs
}

usage_kib() {
  echo $(($(cgroup_usage_bytes "$CGROUP_MEMORY") >> 10))
}

fell_to() {
  cgroup_read_usage "$CGROUP_MEMORY" && [ $((TAP_USAGE_BYTES >> 10)) -le "$1" ]
}

# Waits until khugepaged has been through all memory once more, from the beginning to the end; the most
# that was in use meanwhile is in $most_seen_kib.  Where no process has a region for it, it sleeps.
khugepaged_passes() {
  local scans
  read -r scans <$thp/khugepaged/full_scans
  most_seen_kib=$(usage_kib)
  [ "$huge" = yes ] || { sleep 0.5; return; }
  wait_until 120 scans_once $((scans + 2)) || tap_diag "khugepaged does not come"
}

scans_once() {
  local scans
  fell_to "$most_seen_kib" || most_seen_kib=$((TAP_USAGE_BYTES >> 10))
  read -r scans <$thp/khugepaged/full_scans
  [ "$scans" -ge "$1" ]
}

# do_it WORD: has the program do it; its answer is in $answer
do_it() {
  echo "$1" >&"${service[1]}" || return 1
  read -r -u "${service[0]}" answer
}

huge_kib() {
  echo $(($(cgroup_stat "$CGROUP_MEMORY" anon_thp) >> 10))
}

# One process under the library: $1 of SPILLWAY_HUGE_PAGES, released at level $2.
run_one() {
  local on=$1 level=$2 name="$enabled, huge pages $1, $2" huge=no
  local empty_kib full_kib most_kib rest_kib=$REST_KIB collapsed
  [ "$level" != eager ] || rest_kib=$((REST_KIB + SLABS_KIB))
  [ "$on" = off ] || [ "$enabled" = never ] || huge=yes
  khugepaged 600000
  cgroup_new huge || tap_skip_all "$CGROUP_WHY"
  # A tenth of a CPU to give back what khugepaged filled, since this machine is emulated; and so that
  # it is given back for good: memory.current counts what is lazy.
  coproc service { SPILLWAY_SCAVENGE_CPU=10% SPILLWAY_MADVISE=dontneed SPILLWAY_HUGE_PAGES=$on LD_PRELOAD=$BUILD/lib/libspillway.so cgroup_exec "$sparse" $FILL_MIB 2>"$TAP_DIR/said"; }
  local pid=$service_PID
  do_it stats
  empty_kib=$(usage_kib)
  do_it fill
  full_kib=$(usage_kib)
  tap_ok "$name: ${answer#filled } MiB are there ($empty_kib -> $full_kib KiB, $(huge_kib) of them huge)" \
    [ $((full_kib - empty_kib)) -ge $((${answer#filled } << 10)) ]
  if [ $huge = yes ]; then
    tap_ok "$name: in huge pages" [ "$(huge_kib)" -gt $((FILL_MIB << 9)) ]
  else
    # One was seen that is not the heap's.
    tap_ok "$name: not in huge pages" [ "$(huge_kib)" -le 2048 ]
  fi
  do_it thin
  most_kib=$((empty_kib + ${answer#left } * 4 + rest_kib))
  do_it "$level"
  if wait_until 60 fell_to $most_kib; then
    tap_pass "$name: it falls to what lives ($full_kib -> $(usage_kib) KiB)"
  else
    tap_fail "$name: it falls to what lives" \
      "$empty_kib empty, $full_kib full, $(usage_kib) left for $most_kib, $(huge_kib) huge"
  fi
  do_it stats
  tap_diag "$answer"
  # khugepaged comes by; what it fills is given back again, and what was in slabs along with it.
  [ $huge = no ] || most_kib=$((most_kib - rest_kib + REST_KIB))
  collapsed=$(cat $thp/khugepaged/pages_collapsed)
  khugepaged 10
  khugepaged_passes
  tap_diag "while khugepaged came by at most $most_seen_kib KiB"
  collapsed=$(($(cat $thp/khugepaged/pages_collapsed) - collapsed))
  if [ $huge = yes ]; then
    tap_ok "$name: khugepaged was there ($collapsed huge pages)" [ $collapsed -gt 0 ]
  fi
  tap_ok "$name: and stays so" wait_until 60 fell_to $most_kib
  khugepaged_passes
  tap_ok "$name: for good" [ "$most_seen_kib" -le $most_kib ]
  do_it stats
  tap_diag "$answer, $(usage_kib) KiB, $(huge_kib) KiB huge"
  tap_diag "$(grep '^huge pages\|^background' "$TAP_DIR/said" | tail -n 2)"
  do_it empty
  tap_is "$name: what lived is as it was" "$answer" empty
  do_it "$level"
  tap_ok "$name: then all is given back" wait_until 60 fell_to $((empty_kib + REST_KIB))
  exec {service[1]}>&-
  wait "$pid"
  tap_is "$name: it ends" $? 0
  tap_is "$name: the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
  cgroup_destroy "$CGROUP_MEMORY"
}

for enabled in ${SPILLWAY_TEST_THP:-always madvise never}; do
  echo "$enabled" >$thp/enabled
  for on in ${SPILLWAY_TEST_HUGE:-off on}; do
    # Where nobody asks, never is what madvise is.
    [ "$on$enabled" != offnever ] || continue
    # Elsewhere it differs in nothing from full.
    [ "$on$enabled" != onalways ] || run_one "$on" eager
    run_one "$on" full
  done
done
tap_done
