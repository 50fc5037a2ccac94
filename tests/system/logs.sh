#!/bin/bash
# spillctl logs: the last lines of what services write, what comes then, over rotations, and a reader
# that stops reading; and the words for several services: all, GROUP:*, GROUP:NAME.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
socket=$TAP_DIR/app.sock
conf=$TAP_DIR/app.conf
log=$TAP_DIR/log
ctl="$BUILD/bin/spillctl --socket=$socket"

# Writes the lines that are put into a FIFO, so that the test says when there are more.
mkfifo "$TAP_DIR/both.in" "$TAP_DIR/w_0.in" "$TAP_DIR/w_1.in"
cat >"$conf" <<END
[supervisord]
[supervisor]
control = $socket
[program:both]
command = sh -c 'exec 3<>$TAP_DIR/both.in; echo error >&2; while read -r line <&3; do echo "\$line"; done'
stdout_logfile = $TAP_DIR/both.log
stdout_logfile_maxbytes = 1000
stdout_logfile_backups = 20
stderr_logfile = $TAP_DIR/both.err
startsecs = 0
[program:w]
command = sleep 1000
process_name = %(program_name)s_%(process_num)d
numprocs = 2
stdout_logfile = NONE
stderr_logfile = NONE
startsecs = 0
[program:late]
command = sleep 1000
autostart = false
stdout_logfile = NONE
stderr_logfile = NONE
startsecs = 0
[group:pool]
programs = w
[service:plain]
command = sleep 1000
END
"$spillway" run "$conf" >"$TAP_DIR/out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
wait_until 60 test -s "$TAP_DIR/both.err"
exec 4>"$TAP_DIR/both.in"

# The lines FROM to TO, of 20 bytes each.
put() {
  local i
  for ((i = $1; i <= $2; i++)); do
    printf 'this is line %06d\n' "$i" >&4
  done
}
lines() { # FROM TO
  seq -f 'this is line %06.0f' "$1" "$2"
}
has_line() { # NUMBER FILE
  grep -qx "$(lines "$1" "$1")" "$2"
}

put 1 30
wait_until 60 has_line 30 "$TAP_DIR/both.log"
tap_is "the last ten lines of both files" "$($ctl logs both 2>&1)" "$(lines 21 30; echo error)"
tap_is "stderr comes as such" "$($ctl logs both 2>&1 >/dev/null)" error
tap_is "one stream alone" "$($ctl logs both stderr 2>&1 >/dev/null)" error
tap_is "so many lines" "$($ctl logs -n 2 both stdout)" "$(lines 29 30)"
tap_is "none" "$($ctl logs -n 0 both stdout)" ""
tap_is "more than there are" "$($ctl logs -n 99 both stdout)" "$(lines 1 30)"
tap_is "a number that is none is refused" "$($ctl logs -n much both 2>&1; echo $?)" \
  "spillctl: much: expected a number of lines, or all
2"

$ctl logs -f -n 1 both stdout >"$TAP_DIR/followed" &
reader=$!
at_exit_kill "$reader"
wait_until 60 has_line 30 "$TAP_DIR/followed"
put 31 32
tap_ok "what is written is followed" wait_until 60 has_line 32 "$TAP_DIR/followed"
kill -STOP "$reader"
put 33 230
wait_until 60 has_line 230 "$TAP_DIR/both.log"
tap_ok "it was rotated several times" test -s "$TAP_DIR/both.log.4"
kill -CONT "$reader"
tap_ok "a reader that slept meanwhile goes on" wait_until 60 has_line 230 "$TAP_DIR/followed"
tap_is "and has missed nothing" "$(cmp <(lines 30 230) "$TAP_DIR/followed" 2>&1)" ""
tap_is "lines are taken from older files" "$($ctl logs -n 150 both stdout | cmp - <(lines 81 230) 2>&1)" ""
tap_is "from all of them" "$($ctl logs -n all both stdout | cmp - <(lines 1 230) 2>&1)" ""
: >"$TAP_DIR/both.log"
put 231 231
tap_ok "a file that was made empty is read from its beginning" wait_until 60 has_line 231 "$TAP_DIR/followed"
kill "$reader"

# Nobody reads the pipe: the service writes on, and its supervisor answers.
mkfifo "$TAP_DIR/stuck"
exec 5<>"$TAP_DIR/stuck"
$ctl logs -f -n all both stdout >"$TAP_DIR/stuck" &
at_exit_kill $!
put 232 5000
tap_ok "a reader that stops reading costs nobody anything" wait_until 60 has_line 5000 "$TAP_DIR/both.log"
tap_is "the supervisor answers" "$($ctl status both | awk 'NR == 3 { print $2 }')" RUNNING

tap_is "what has no file is said" "$($ctl logs plain 2>&1; echo $?)" \
  "spillctl: logs: plain writes its stdout to the supervisor's own: expected stdout_logfile = FILE in its section (or AUTO)
1"
tap_is "what goes nowhere, too" "$($ctl logs pool:w_1 stderr 2>&1; echo $?)" \
  "spillctl: logs: w_1 writes its stderr to nowhere: expected stderr_logfile = FILE in its section (or AUTO)
1"
tap_is "one service at a time" "$($ctl logs all 2>&1; echo $?)" "spillctl: all: expected one service
2"

states() {
  $ctl status "$@" | awk 'NR > 2 { printf "%s %s ", $1, $2 }'
}
tap_is "a group is all of its programs" "$(states 'pool:*')" "w_0 RUNNING w_1 RUNNING "
$ctl stop 'pool:*'
tap_is "it can be stopped" "$(states 'pool:*')" "w_0 STOPPED w_1 STOPPED "
tap_is "the last one first" "$(grep -oE 'w_[01]: stopping, asked' "$log" | tr '\n' ' ')" "w_1: stopping, asked w_0: stopping, asked "
$ctl start pool:w_1
tap_is "and one of it started" "$(states 'pool:*')" "w_0 STOPPED w_1 RUNNING "
$ctl start all
tap_is "all are started" "$(states all)" "plain RUNNING both RUNNING w_0 RUNNING w_1 RUNNING late RUNNING "
tap_ok "a signal to a group" $ctl signal 'pool:*' CONT
tap_is "a group that is not there" "$($ctl stop 'none:*' 2>&1; echo $?)" "spillctl: none:*: no such service
5"
tap_is "a release of a group" "$($ctl release 'pool:*' | wc -l)" 2
$ctl stop all
tap_is "all are stopped" "$(states all)" "plain STOPPED both STOPPED w_0 STOPPED w_1 STOPPED late STOPPED "
tap_is "those behind one that is refused are done" "$($ctl start nobody late 2>/dev/null; echo $?; states late)" "5
late RUNNING "
kill "$pid"
wait "$pid"
tap_done
