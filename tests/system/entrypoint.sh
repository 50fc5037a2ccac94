#!/bin/bash
# Called tini, dumb-init or catatonit, spillway does what these do: the same cases under each and under us.
# Where a peer is not installed its cases are skipped.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
mkdir "$TAP_DIR/bin"
for name in tini dumb-init catatonit docker-init; do
	ln -s "$spillway" "$TAP_DIR/bin/$name"
done
notes=$TAP_DIR/notes
err=$TAP_DIR/err
export NOTES=$notes

# both NAME CASE PEER [OPTION...]: what the function CASE prints, given a command line that ends in
# "--", is the same for the peer and for the link of its name.
both() {
	local name=$1 case=$2 peer=$3 path theirs ours
	shift 3
	path=$(PATH=/usr/bin:/usr/sbin:/bin:/sbin command -v "$peer") || {
		tap_skip "$peer $*: $name" "$peer is not installed"
		return
	}
	theirs=$("$case" "$path" "$@" --)
	ours=$("$case" "$TAP_DIR/bin/$peer" "$@" --)
	if [ -z "$theirs" ]; then
		tap_fail "$peer $*: $name" "the case printed nothing"
	else
		tap_is "$peer $*: $name" "$ours" "$theirs"
	fi
}

# differs NAME CASE WANTED PEER [OPTION...]: where we differ on purpose.
differs() {
	local name=$1 case=$2 wanted=$3 peer=$4
	shift 4
	tap_is "$peer $*: $name" "$("$case" "$TAP_DIR/bin/$peer" "$@" --)" "$wanted"
}

# start COMMAND...: in the background, its output in $notes; PID.
start() {
	: >"$notes"
	"$@" >"$notes" 2>"$err" </dev/null &
	PID=$!
}

noted() {
	grep -q "$1" "$notes"
}

state_of() {
	ps -o stat= -p "$1" | cut -c 1
}

is_in_state() {
	[ "$(state_of "$1")" = "$2" ]
}

ended() {
	local state
	state=$(state_of "$1")
	[ -z "$state" ] || [ "$state" = Z ]
}

child_of() {
	pgrep -P "$1" | head -n 1
}

# Prints the status of $PID.
finish() {
	wait "$PID" 2>/dev/null
	echo "status $?"
}

# The numbers that catch.py noted, on a line.
caught() {
	grep -v ready "$notes" | tr '\n' ' '
}

# Notes the number of each signal that it gets, and ends at the one that is given.
cat >"$TAP_DIR/catch.py" <<'PYTHON'
import os, signal, sys
last = int(sys.argv[1])
def note(number, frame):
    os.write(1, b"%d\n" % number)
    if number == last:
        os._exit(0)
for number in range(1, 65):
    if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, 32, 33):
        signal.signal(number, note)
os.write(1, b"ready\n")
while True:
    signal.pause()
PYTHON
catch=$TAP_DIR/catch.py

# --- statuses -------------------------------------------------------------------------------

statuses() {
	local code
	for code in 0 1 2 32 64 126 127 128 254 255; do
		"$@" sh -c "exit $code" 2>"$err"
		echo "$?"
	done
	for code in TERM HUP QUIT KILL USR1 INT; do
		"$@" sh -c "ulimit -c 0; kill -$code \$\$" 2>"$err"
		echo "$code $?"
	done
	echo 'exit 21' | "$@" sh
	echo "stdin $?"
}
both "statuses pass through" statuses tini -s
both "statuses pass through" statuses dumb-init
both "statuses pass through" statuses dumb-init -c
both "statuses pass through" statuses catatonit

remaps() {
	local code
	for code in 0 1 143 255; do
		"$@" sh -c "exit $code" 2>"$err"
		echo "$?"
	done
	"$@" sh -c 'kill $$' 2>"$err"
	echo "$?"
}
both "-e makes a status 0, one of a signal too" remaps tini -s -e 1 -e 143
both "and leaves all others" remaps tini -s -e 7

not_run() {
	"$@" no-such-command-here >/dev/null 2>"$err"
	echo "$? $(grep -c 'o such file or directory' "$err")"
	"$@" /etc >/dev/null 2>"$err"
	echo "$?"
}
unless_tsan both "what cannot be run" not_run tini -s
unless_tsan differs "what cannot be run has the shell's statuses" not_run $'127 1\n126' dumb-init
unless_tsan differs "what cannot be run has the shell's statuses" not_run $'127 1\n126' catatonit

# usage INIT OPTION --: the status of wrong uses, of -h, and of OPTION
usage() {
	local init=$1
	"$init" >/dev/null 2>&1
	echo "nothing $?"
	"$init" --no-such-option true >/dev/null 2>&1
	echo "unknown $?"
	"$init" -h >/dev/null 2>&1
	echo "-h $?"
	"$init" "$2" >/dev/null 2>&1
	echo "$2 $?"
}
both "usage" usage tini --version
both "usage" usage dumb-init -V
both "usage" usage catatonit -V
rewrites_badly() {
	local text
	for text in '' herp 15 15::12 1:32; do
		"$1" -r "$text" true >/dev/null 2>&1
		echo "'$text' $?"
	done
}
both "a rewrite that is none" rewrites_badly dumb-init
tap_ok "docker-init says what docker info reads" \
	sh -c "'$TAP_DIR/bin/docker-init' --version | grep -q '^tini version '"

# --- signals --------------------------------------------------------------------------------

# forwards LAST SIGNALS INIT...: each of them, one after another, and LAST, at which the command ends
forwards() {
	local last=$1 signals=$2 number
	shift 2
	start "$@" python3 "$catch" "$last"
	wait_until 60 noted ready
	for number in $signals $last; do
		kill -"$number" "$PID"
		wait_until 60 grep -qx "$number" "$notes" || break
	done
	finish
	caught
}
forwards_most() {
	forwards 64 "1 2 3 10 12 13 14 15 16 18 23 24 25 26 27 28 29 30 34 35 36 37 50" "$@"
}
# dumb-init knows none above 31.
forwards_named() {
	forwards 12 "1 2 3 4 5 6 7 8 10 11 13 14 15 16 18 23 24 25 26 27 28 29 30 31" "$@"
}
both "signals are passed on, real-time ones too" forwards_most tini -s
both "signals are passed on, real-time ones too" forwards_most catatonit
both "signals are passed on, those of faults too" forwards_named dumb-init
both "signals are passed on, those of faults too" forwards_named dumb-init -c

# Each is passed on before the next comes.  28 is dropped, and cannot be waited for.
rewritten() {
	local number count=0
	start "$@" python3 "$catch" 12
	wait_until 60 noted ready
	for number in 15 2 3 1; do
		kill -"$number" "$PID"
		count=$((count + 1))
		wait_until 60 times_said '[0-9]' "$notes" $count
	done
	kill -28 "$PID"
	kill -12 "$PID"
	finish
	caught
}
both "15:2" rewritten dumb-init -r 15:2 -r 28:0
both "two changed about, one as it is" rewritten dumb-init -r 15:2 -r 2:15 -r 3:3 -r 28:0
both "1:31" rewritten dumb-init --rewrite 1:31 --rewrite 28:0
both "with a single child" rewritten dumb-init -c -r 15:2 -r 28:0

# A child that ignores USR1, and one of its own that does not.
group() {
	start "$@" sh -c 'trap "" USR1
		perl -e "\$SIG{USR1} = q(DEFAULT); \$| = 1; print qq(up\n); sleep 1000" & wait; exit 4'
	wait_until 60 noted up
	kill -USR1 "$PID"
	if wait_until 2 ended "$PID"; then
		echo "reaches the group"
	else
		echo "reaches the command alone"
		pkill -KILL -P "$(child_of "$PID")"
	fi
	finish
}
both "USR1" group tini -s
both "USR1" group tini -s -g
both "USR1" group catatonit
both "USR1" group catatonit -g
both "USR1" group dumb-init
both "USR1" group dumb-init -c
group_by_variable() {
	TINI_KILL_PROCESS_GROUP='' group "$@"
}
both "USR1 with TINI_KILL_PROCESS_GROUP" group_by_variable tini -s

# Bash looks at its traps when its child has ended.
bash_waits() {
	start "$@" bash -c 'trap "exit 3" TERM; perl -e "\$| = 1; print qq(up\n); sleep 1000"'
	wait_until 60 noted up
	kill -TERM "$PID"
	wait_until 60 ended "$PID" && echo ended
	finish
}
both "a shell that waits for a child hears TERM with it" bash_waits tini -s -g
both "a shell that waits for a child hears TERM with it" bash_waits dumb-init

stops() {
	local signal
	for signal in TSTP TTIN TTOU; do
		start "$@" python3 "$catch" 12
		wait_until 60 noted ready
		kill -$signal "$PID"
		wait_until 10 is_in_state "$PID" T && echo "$signal: init stopped"
		case " $* " in
		*" -c "*) ;;
		*) wait_until 10 is_in_state "$(child_of "$PID")" T && echo "$signal: command stopped" ;;
		esac
		kill -CONT "$PID"
		wait_until 60 noted '^18$' && echo "$signal: CONT came"
		kill -USR2 "$PID"
		finish
	done
}
both "the terminal's stop signals" stops dumb-init
both "the terminal's stop signals" stops dumb-init -c
ignores_stops() {
	forwards 12 20 "$@"
}
both "TSTP is passed on" ignores_stops tini -s

# --- what the command inherits --------------------------------------------------------------

inherits() {
	python3 - "$@" grep '^Sig[BI]' /proc/self/status 2>"$err" <<'PYTHON'
import os, signal, sys
for name in ("SIGTTOU", "SIGSEGV", "SIGINT"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN, signal.SIGILL, signal.SIGTERM})
os.execv(sys.argv[1], sys.argv[1:])
PYTHON
}
both "ignored and blocked signals stay so" inherits tini -s
places() {
	(cd "$TAP_DIR" && exec "$@" python3 -c 'import os
print("folder", os.getcwd(), "session", os.getsid(0) == os.getpid(), "group", os.getpgrp() == os.getpid())') 2>"$err"
}
both "folder, session and group" places dumb-init
both "folder, session and group" places tini -s
both "folder, session and group" places catatonit

# --- orphans and the end --------------------------------------------------------------------

has_one_child() {
	[ "$(pgrep -c -P "$PID")" -eq 1 ]
}
reaps() {
	start "$@" sh -c 'sh -c "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 0.1 & done"
		echo parted; exec sleep 1000'
	wait_until 60 noted parted
	wait_until 60 has_one_child && echo reaped
	kill "$PID"
	finish
}
both "orphans are reaped" reaps tini -s
both "orphans are reaped" reaps catatonit

# Without a command: what ends it, and what does not.
pauses() {
	local signal
	for signal in INT TERM; do
		start "$@" true
		wait_until 60 is_in_state "$PID" S
		kill -HUP "$PID"
		kill "-$signal" "$PID"
		finish
	done
}
both "nothing is run, and TERM and INT end it" pauses catatonit -P

# What the command leaves behind when it ends.
leaves() {
	local left
	start "$@" sh -c 'perl -e "\$SIG{TERM} = sub { syswrite(STDOUT, qq(term\n)); exit }; syswrite(STDOUT, qq(up \$\$\n)); sleep 1000" &
		until grep -q up "$NOTES"; do sleep 0.02; done; exit 7'
	finish
	if wait_until 1 noted term; then echo "told to end"; else echo "left alone"; fi
	left=$(sed -n 's/^up //p' "$notes")
	grep -q perl "/proc/$left/comm" 2>/dev/null && kill -KILL "$left"
}
both "what is left behind" leaves dumb-init
both "what is left behind" leaves dumb-init -c
differs "what is left behind is told to end" leaves $'status 7\ntold to end' tini -s

# -p: the parent of the init ends.
parent_ends() {
	: >"$notes"
	sh -c '"$@" python3 "$0" 10 >"$NOTES" 2>/dev/null & until grep -q ready "$NOTES"; do sleep 0.02; done' \
		"$catch" "$@"
	wait_until 10 noted '^10$' && echo "the command hears of it"
}
both "-p" parent_ends tini -s -p SIGUSR1

if unshare --fork --pid --mount-proc true 2>/dev/null; then
	first() {
		unshare --fork --pid --mount-proc "$@" sh -c '(sh -c "sleep 0.1 & sleep 0.05 &" &)
			looks=0
			while ps -eo comm=,stat= | grep -q "sleep\| Z" && [ $looks -lt 200 ]; do looks=$((looks + 1)); sleep 0.05; done
			ps -eo stat= | grep -c Z; exit 12' 2>"$err"
		echo "status $?"
	}
	for peer in tini dumb-init catatonit; do
		both "as PID 1" first "$peer"
	done
else
	tap_skip "as PID 1" "${TAP_ROOT}a PID namespace cannot be made here"
fi

# --- terminal -------------------------------------------------------------------------------

# type.py KEYS COMMAND...: in a new terminal, whose session the command leads, types KEYS when "ready"
# has been shown; prints what was shown after that, and the status.
cat >"$TAP_DIR/type.py" <<'PYTHON'
import os, pty, select, signal, sys, time
keys = sys.argv[1].encode().decode("unicode_escape").encode()
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
shown, typed, end = b"", False, time.monotonic() + 120
while time.monotonic() < end:
    if select.select([fd], [], [], 0.1)[0]:
        try:
            chunk = os.read(fd, 4096)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk.replace(b"\r", b"")
    if not typed and b"ready\n" in shown:
        typed = True
        shown = shown.split(b"ready\n", 1)[1]
        os.write(fd, keys)
else:
    os.kill(pid, signal.SIGKILL)
    shown += b"timed out\n"
sys.stdout.write(shown.decode() + "status %d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PYTHON
terminal() {
	python3 "$TAP_DIR/type.py" 'a\nb\n\x04' "$@" sh -c 'stty -echo; echo ready; tac; exit 5' 2>"$err"
	python3 "$TAP_DIR/type.py" '\x03' "$@" perl -e 'system("stty -echo -echoctl"); $| = 1; print "ready\n"; sleep 1000' 2>"$err"
	python3 "$TAP_DIR/type.py" '' "$@" bash -mc 'echo ready; case $- in *m*) echo jobs ;; esac; exit 42' 2>"$err"
}
both "terminal, ^C and job control" terminal tini -s
both "terminal, ^C and job control" terminal dumb-init
both "terminal, ^C and job control" terminal catatonit
# A leader that gives its terminal up is sent HUP and CONT, which are not the command's; later ones are.
gives_up() {
	python3 "$TAP_DIR/type.py" '' "$@" python3 -c 'import os, signal, time
got = []
for number in (signal.SIGHUP, signal.SIGCONT):
    signal.signal(number, lambda number, frame: got.append(int(number)))
print("ready", flush=True)
time.sleep(0.3)
print("first", got)
os.kill(os.getppid(), signal.SIGHUP)
end = time.monotonic() + 60
while not got and time.monotonic() < end:
    time.sleep(0.01)
print("then", got)' 2>"$err"
}
both "HUP and CONT of the terminal" gives_up dumb-init

tap_done
