# shellcheck shell=sh
# Says on stderr how far a long command is and about how long it still takes.  Sourced, by sh or bash:
#
#   progress_run WHAT SECONDS LATER COMMAND...   runs COMMAND, which takes about SECONDS; what follows it takes
#                                                about LATER seconds; returns COMMAND's status
#   progress_start WHAT SECONDS LATER            the same for what runs until
#   progress_stop
#
# On a terminal one line is written over every second.  Elsewhere there is a line at the start, then
# one every 10 s, or every 30 s of what takes longer than 5 minutes.

PROGRESS_PID=

# Prints a duration in the unit that fits.
progress_time() {
  if [ "$1" -lt 120 ]; then
    echo "$1 s"
  else
    echo "$((($1 + 30) / 60)) min"
  fi
}

# progress_line WHAT SECONDS_LEFT SECONDS_PASSED
progress_line() {
  if [ "$2" -gt 0 ]; then
    echo "$1, about $(progress_time "$2") left"
  else
    echo "$1, longer than expected: $(progress_time "$3") so far"
  fi
}

progress_show() {
  if [ -t 2 ]; then
    printf '\r\033[K%s' "$1" >&2
  else
    echo "$1" >&2
  fi
}

progress_tick() {
  progress_passed=0
  progress_every=1
  [ -t 2 ] || progress_every=10
  [ -t 2 ] || [ "$2" -le 300 ] || progress_every=30
  while kill -0 $$ 2>/dev/null; do
    [ $((progress_passed % progress_every)) -ne 0 ] ||
      progress_show "$(progress_line "$1" $(($2 + $3 - progress_passed)) $progress_passed)"
    sleep 1
    progress_passed=$((progress_passed + 1))
  done
}

progress_start() {
  progress_stop
  progress_tick "$@" >/dev/null </dev/null &
  PROGRESS_PID=$!
}

progress_stop() {
  [ -n "$PROGRESS_PID" ] || return 0
  kill "$PROGRESS_PID" 2>/dev/null || :
  wait "$PROGRESS_PID" 2>/dev/null || :
  PROGRESS_PID=
  [ ! -t 2 ] || printf '\r\033[K' >&2
}

progress_run() {
  progress_start "$1" "$2" "$3"
  shift 3
  progress_status=0
  "$@" || progress_status=$?
  progress_stop
  return "$progress_status"
}
