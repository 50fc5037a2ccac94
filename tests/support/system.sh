# shellcheck shell=bash
# What every script of tests/system starts with, sourced from anywhere:
#
#   . "$(dirname "$0")/../support/system.sh"
#
# Goes to the repository's root, brings in tap.sh, and sets
#   BUILD      the variant's folder, absolute; build/release unless given
#   spillway   the supervisor
#   memory     tests/system/memory.c's program
#   sanitizer  asan or tsan, where that is in the supervisor; empty where there is none
# A program that is not there fails the script: what was not built was not tested.
#
#   supervisor_looks PID   waits until the supervisor has looked at its services once more, from the
#                          beginning to the end, and has done what it found to do
#   unless_sanitized TEST NAME ARGS...
#                          the test; skipped with a sanitizer, which has threads and memory of its own
#   unless_tsan TEST NAME ARGS...
#                          the test; skipped with TSan, which makes a vfork() a fork(): then the child
#                          cannot say through shared memory why it could not run a program
#   said TEXT FILE         whether a file has it
#   pid_said SERVICE       prints the process that $log says it was started as last, and waits until it
#                          says one: it does so after the program has begun to run
#   ctl ARGS...            spillctl asks the supervisor at $socket; its answer is in $TAP_DIR/said, and what
#                          it complains of in $TAP_DIR/complained
#   state_is SERVICE STATE
#                          whether spillctl shows the service in that state
#   grows_until_said PID MIB MOST TEXT
#                          has a `memory grow` grow to MIB as fast as it can, then by one step for each
#                          look of the supervisor, which is $pid, until $log says TEXT; 1 when it would
#                          be more than MOST MIB
#   grow PID MIB           has a `memory grow` grow by one step of $STEP_MIB, or by ten where that is not
#                          beyond MIB, and waits until it has; counts in $grown_mib; it writes to $out
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
. tests/support/tap.sh
BUILD=$(realpath "${BUILD:-build/release}")
spillway=$BUILD/bin/spillway
memory=$BUILD/tests/system/memory
sanitizer=
[[ $BUILD != */?san/system ]] || sanitizer=$(basename "${BUILD%/system}")
for program in "$spillway" "$memory"; do
  [ -x "$program" ] || {
    echo "Bail out! $program is not built"
    exit 1
  }
done

unless_sanitized() {
  [ -z "$sanitizer" ] || set -- tap_skip "$2" "$sanitizer has threads and memory of its own"
  "$@"
}

unless_tsan() {
  [ "$sanitizer" != tsan ] || set -- tap_skip "$2" "TSan makes a vfork a fork"
  "$@"
}

# Sets SLEEPS: how often the main thread of process $1 has gone to sleep; 0 once it is gone.
read_sleeps() {
  local key value
  SLEEPS=0
  while read -r key value _; do
    [ "$key" != voluntary_ctxt_switches: ] || SLEEPS=$value
  done 2>/dev/null <"/proc/$1/status"
}

# No thread of process $1 runs or wants to.
all_sleep() {
  local task stat
  for task in "/proc/$1/task/"*; do
    read -r stat <"$task/stat" || continue
    case ${stat##*) } in
    [SD]\ *) ;;
    *) return 1 ;;
    esac
  done 2>/dev/null
}

has_slept() {
  read_sleeps "$1"
  [ "$SLEEPS" -ge "$2" ] && all_sleep "$1"
}

# It sleeps between two looks.  The first sleep may end one that began before we came.
supervisor_looks() {
  read_sleeps "$1"
  wait_until 60 has_slept "$1" $((SLEEPS + 2))
}

# run_file NAME: a supervisor of $TAP_DIR/NAME.ini, in the cgroup of the test; sets pid, log and out
run_file() {
  log=$TAP_DIR/$1.log
  out=$TAP_DIR/$1.out
  (cgroup_exec "$spillway" run "$TAP_DIR/$1.ini") >"$out" 2>"$log" &
  pid=$!
  at_exit_kill "$pid"
}

ctl() {
  timeout 60 "$BUILD/bin/spillctl" --socket="$socket" "$@" >"$TAP_DIR/said" 2>"$TAP_DIR/complained"
}

state_is() {
  ctl status
  [ "$(awk -v service="$1" '$1 == service { print $2 }' "$TAP_DIR/said")" = "$2" ]
}

times_said() {
  [ "$(grep -c "$1" "$2")" -ge "$3" ]
}

has_grown() {
  times_said grown "$out" "$2" || ! kill -0 "$1" 2>/dev/null
}

grown_mib=0
grow() {
  local before signal=USR1 steps=1
  [ $((grown_mib + 10 * STEP_MIB)) -gt "$2" ] || signal=USR2 steps=10
  grown_mib=$((grown_mib + steps * STEP_MIB))
  before=$(grep -c grown "$out")
  kill -$signal "$1" 2>/dev/null && wait_until 60 has_grown "$1" $((before + 1))
}

said() {
  grep -q "$1" "$2"
}

pid_said() {
  wait_until 60 said " $1: started, pid " "$log"
  sed -n "s/.* $1: started, pid \([0-9]*\).*/\1/p" "$log" | tail -n 1
}

grows_until_said() {
  until said "$4" "$log"; do
    [ $grown_mib -lt "$3" ] || return 1
    grow "$1" "$2"
    [ $grown_mib -lt "$2" ] || supervisor_looks "$pid" || return 1
  done
}
