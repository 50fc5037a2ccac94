#!/bin/bash
# What spillway is as an init around one command: statuses, signals, descriptors, terminal, orphans.
# What it asks has nothing to do with the kernel's version.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
err=$TAP_DIR/err
out=$TAP_DIR/out

# The status of a command, its words kept in $out and $err.
status_of() {
	"$@" >"$out" 2>"$err"
	echo $?
}

# start COMMAND...: under spillway in the background; PID is spillway's.
start() {
	"$spillway" "$@" >"$out" 2>"$err" &
	PID=$!
	at_exit_kill "$PID"
}

child_of() {
	ps -o pid= --ppid "$1" | head -n 1 | tr -d ' '
}

has_child() {
	[ -n "$(child_of "$1")" ]
}

# The status bits of a process as hexadecimal words, such as SigIgn.
status_field() {
	awk -v key="$2:" '$1 == key { print $2 }' "/proc/$1/status"
}

# True when process $1 has one child.
has_one_child() {
	[ "$(ps -o pid= --ppid "$1" | wc -l)" -eq 1 ]
}

# True when no process with that text in its command line is left, but for us who ask.
none_runs() {
	! pgrep -f -- "$1" >/dev/null
}

# --- statuses -------------------------------------------------------------------------------

bad=
for code in 0 1 2 32 64 126 127 128 254 255; do
	got=$(status_of "$spillway" -- sh -c "exit $code")
	[ "$got" = "$code" ] || bad="$bad $code:$got"
done
tap_is "every exit status is passed on" "$bad" ""

bad=
for signal in 1 2 3 6 9 11 13 14 15; do
	got=$(status_of "$spillway" -- sh -c "ulimit -c 0; kill -$signal \$\$")
	[ "$got" = $((128 + signal)) ] || bad="$bad $signal:$got"
done
tap_is "a command that a signal ended gives 128+n" "$bad" ""

tap_is "a command that is not there gives 127" "$(status_of "$spillway" no-such-command-here)" 127
unless_tsan tap_ok "and says so" grep -q 'spillway: no-such-command-here: No such file or directory$' "$err"
tap_is "a folder gives 126" "$(status_of "$spillway" /etc)" 126
echo x >"$TAP_DIR/plain"
tap_is "a file without execute permission gives 126" "$(status_of "$spillway" -- "$TAP_DIR/plain")" 126
printf 'exit 9\n' >"$TAP_DIR/bare"
chmod 755 "$TAP_DIR/bare"
tap_is "a script that names no interpreter is run by the shell" "$(status_of "$spillway" "$TAP_DIR/bare")" 9
tap_is "no command is a usage error" "$(status_of "$spillway")" 2
tap_is "so is an unknown option" "$(status_of "$spillway" --no-such-option true)" 2
tap_is "in one line" "$(wc -l <"$err")" 1
tap_is "--help is no error" "$(status_of "$spillway" --help)" 0
tap_ok "--version says the name" sh -c "'$spillway' --version | grep -q '^spillway '"
tap_is "options end at the first word" "$(status_of "$spillway" -q sh -c 'exit 5' -v)" 5
tap_is "-- -- looks for a program of that name" "$(status_of "$spillway" -- -- true)" 127
tap_is "stdin goes through" "$(echo 'exit 21' | status_of "$spillway" sh)" 21
tap_is "nested in itself it still passes the status on" "$(status_of "$spillway" -q "$spillway" -q -- sh -c 'exit 8')" 8

# --- signals --------------------------------------------------------------------------------

# Prints the name of every signal it gets, one a line; ends at RTMAX.
cat >"$TAP_DIR/catch.py" <<'PYTHON'
import os, signal, sys
got = []
leave = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
def note(number, frame):
    os.write(1, b"%d\n" % number)
    if number == signal.SIGRTMAX:
        os._exit(0)
for number in range(1, 65):
    if number in leave or number in (32, 33):
        continue
    signal.signal(number, note)
os.write(1, b"ready\n")
while True:
    signal.pause()
PYTHON
start -q -- python3 "$TAP_DIR/catch.py"
wait_until 60 grep -q ready "$out"
sent=
# Not: KILL STOP, CHLD, TTIN TTOU, glibc's own two, and the three that ask for memory.
for number in 1 2 3 4 5 6 7 8 10 11 12 13 14 15 16 18 20 23 24 25 26 27 28 29 30 31 34 38 50 63; do
	kill -"$number" "$PID"
	wait_until 60 grep -qx "$number" "$out" || break
	sent="$sent $number"
done
for number in 21 22 35 36 37; do
	kill -"$number" "$PID"
done
kill -64 "$PID"
wait "$PID"
tap_is "every signal reaches the command, in order, faults sent by others included" \
	"$(grep -v ready "$out" | tr '\n' ' ')" "$(echo "$sent" | sed 's/^ //') 64 "

for name in TERM USR1 USR2 HUP ALRM ABRT; do
	start -q -- sleep 1000
	wait_until 60 has_child "$PID"
	child=$(child_of "$PID")
	wait_until 60 grep -q sleep "/proc/$child/comm"
	ulimit -c 0
	kill -"$name" "$PID"
	wait "$PID"
	tap_is "SIG$name to it ends a command that does not handle it" $? $((128 + $(kill -l "$name")))
done

# What is sent later and has a higher number comes later.
start -q -- perl -e '$| = 1; $SIG{TERM} = "IGNORE"; $SIG{WINCH} = sub { exit 4 }; print "set\n"; sleep 1 while 1'
wait_until 60 grep -q set "$out"
kill -TERM "$PID"
kill -WINCH "$PID"
wait "$PID"
tap_is "a command that ignores TERM is left to it" $? 4

# --- what the command inherits --------------------------------------------------------------

python3 - "$spillway" "$TAP_DIR/mask" >"$out" 2>"$err" <<'PYTHON'
import ctypes, os, signal, sys
for name in ("SIGTTOU", "SIGSEGV", "SIGINT", "SIGCHLD", "SIGPIPE", "SIGRTMAX"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
# The two that glibc keeps for itself can be ignored behind its back only.
ignore = (ctypes.c_ulong * 4)(1, 0, 0, 0)
rt_sigaction = {"x86_64": 13, "aarch64": 134}[os.uname().machine]
for number in (32, 33):
    ctypes.CDLL(None).syscall(rt_sigaction, number, ignore, None, 8)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN, signal.SIGILL, signal.SIGTERM, 40})
def fields():
    keep = ("SigBlk", "SigIgn", "SigCgt", "SigPnd")
    return "".join(l for l in open("/proc/self/status") if l.startswith(keep))
def run(arguments):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(w, 1)
        os.execvp(arguments[0], arguments)
    os.close(w)
    text = b""
    while chunk := os.read(r, 4096):
        text += chunk
    return text
show = ["grep", "^Sig[BICP]", "/proc/self/status"]
direct, wrapped = run(show), run([sys.argv[1], "-q", "--shim=off", "--"] + show)
print("same" if direct == wrapped and b"SigIgn" in direct else f"{direct} {wrapped}")
PYTHON
tap_is "mask and dispositions are those of a direct run, SIGCHLD ignored" "$(cat "$out")" same

tap_is "SIGCHLD ignored by whoever started us is no reason to hang" \
	"$(status_of bounded 10 python3 -c "
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.argv[1], [sys.argv[1], '-q', '--', 'sh', '-c', 'exit 6'])" "$spillway")" 6

tap_is "0, 1 and 2 may be closed" "$("$spillway" -q -- sh -c 'exit 3' <&- >&- 2>&-; echo $?)" 3
tap_is "and are closed in the command then" \
	"$("$spillway" -q -- sh -c '[ -e /proc/self/fd/0 ] && echo open || echo closed' <&-)" closed

mkfifo "$TAP_DIR/fifo"
"$spillway" -q -- sh -c 'exec 8>&-; echo closed >&2; exec sleep 1000' 8>"$TAP_DIR/fifo" 2>"$err" &
PID=$!
at_exit_kill "$PID"
tap_is "descriptor 8 is not kept open by it" "$(bounded 10 cat "$TAP_DIR/fifo"; echo $?)" 0
tap_ok "while it runs" kill -0 "$PID"
kill "$PID" 2>/dev/null
wait "$PID" 2>/dev/null
tap_is "but the command has it" "$("$spillway" -q -- sh -c 'echo there >&8' 8>"$out"; cat "$out")" there

tap_is "the command starts in our folder" "$(cd "$TAP_DIR" && "$spillway" -q pwd)" "$TAP_DIR"
start -q -- sleep 1000
wait_until 60 test "/proc/$PID/cwd" -ef /
tap_is "and spillway goes to /" "$(readlink "/proc/$PID/cwd")" /
child=$(child_of "$PID")
tap_is "the command leads a process group of its own" "$(ps -o pgid= -p "$child" | tr -d ' ')" "$child"
score=$(cat "/proc/$PID/oom_score_adj")
wait_until 60 grep -q sleep "/proc/$child/comm"
tap_ok "the kernel would rather kill the command than spillway" \
	test "$(cat "/proc/$child/oom_score_adj")" -gt "$score"
kill "$PID" 2>/dev/null
wait "$PID"

tap_is "LISTEN_PID is made the command's" "$(sh -c "LISTEN_FDS=1 LISTEN_PID=\$\$ exec '$spillway' -q -- \
	sh -c '[ \$LISTEN_PID = \$\$ ] && echo own || echo \$LISTEN_PID'")" own
tap_is "another LISTEN_PID is left alone" "$(LISTEN_PID=1 "$spillway" -q -- sh -c 'echo $LISTEN_PID')" 1
tap_is "odd entries of the environment go through" \
	"$(env -i 'A=%b' 'E=' "P=x=y" "$spillway" -q -- /usr/bin/env | grep -c -e '^A=%b$' -e '^E=$' -e '^P=x=y$')" 3
tap_is "an empty environment finds the command too" "$(env -i "$spillway" -q -- true; echo $?)" 0

# --- orphans --------------------------------------------------------------------------------

# Twenty of a vanished parent end while the command lives; it is spillway that they are left to.
start -q -- sh -c 'sh -c "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 0.1 & done"
	echo parted; exec sleep 1000'
wait_until 60 grep -q parted "$out"
tap_ok "orphans are reaped while the command runs" wait_until 60 has_one_child "$PID"
kill "$PID"
wait "$PID"
tap_is "until the command is told to end" $? 143
tap_is "nothing was said about it" "$(cat "$err")" ""

# Perl, since a shell answers a signal with new processes, which take a busy machine their time.
# heeds NOTE SECONDS COUNT: notes "up", and "term" for each TERM; ends COUNT naps of SECONDS after the first.
cat >"$TAP_DIR/heeds" <<'PERL'
#!/usr/bin/perl
my ($note, $nap, $naps) = @ARGV;
open(my $out, ">>", $note) or die;
my $told = 0;
$SIG{TERM} = sub { $told = 1; syswrite($out, "term\n"); };
syswrite($out, "up\n");
select(undef, undef, undef, 0.05) until $told;
select(undef, undef, undef, $nap) for 1 .. $naps;
syswrite($out, "swept\n");
PERL
chmod +x "$TAP_DIR/heeds"
mark=$((100000 + $$))

start -q -- sh -c "setsid $TAP_DIR/heeds $TAP_DIR/daemon 0 0 $mark &
	until grep -q up $TAP_DIR/daemon; do sleep 0.02; done; exit 7"
wait "$PID"
tap_is "the command's status is kept while orphans are ended" $? 7
tap_ok "a daemon that it left behind has ended" none_runs "heeds .* $mark"
tap_is "by itself, since it heeds TERM" "$(tr '\n' ' ' <"$TAP_DIR/daemon")" "up term swept "

begin=$(now_ms)
start -q --stop-wait=2s -- sh -c "(trap '' TERM; echo set; setsid sleep $mark & sleep $mark) &
	until grep -q set $out; do sleep 0.02; done; exit 7"
wait "$PID"
tap_is "the status is kept while stubborn ones are killed" $? 7
tap_ok "those have ended too" none_runs "sleep $mark"
took=$(($(now_ms) - begin))
tap_ok "after the stop budget of two seconds ($took ms)" test "$took" -ge 1990

start -q -- sh -c "$TAP_DIR/heeds $TAP_DIR/moment 0.2 1 &
	until grep -q up $TAP_DIR/moment; do sleep 0.02; done; exit 0"
wait "$PID"
tap_is "who needs a moment to end gets it" "$(tail -n 1 "$TAP_DIR/moment")" swept

counted=$TAP_DIR/counted
: >"$counted"
start -q -- sh -c "$TAP_DIR/heeds $counted 0.05 8 & setsid $TAP_DIR/heeds $counted 0.05 8 &
	until [ \$(grep -c up $counted) = 2 ]; do sleep 0.02; done; exit 0"
wait "$PID"
tap_is "each of those left is told to end once" "$(grep -c term "$counted")" 2

# --- PID 1 ----------------------------------------------------------------------------------

if unshare --fork --pid --mount-proc true 2>/dev/null; then
	tap_is "as PID 1 it passes the status on" \
		"$(status_of unshare --fork --pid --mount-proc "$spillway" -q -- sh -c 'exit 12')" 12
	unshare --fork --pid --mount-proc --kill-child "$spillway" -q -- sh -c 'echo up; sleep 1000' >"$out" 2>"$err" &
	PID=$!
	at_exit_kill "$PID"
	wait_until 60 grep -q up "$out"
	init=$(child_of "$PID")
	kill -TERM "$init"
	wait "$PID"
	tap_is "as PID 1 it passes TERM on" $? 143
	# Those that are not reaped stay on the list as zombies.
	tap_is "as PID 1 it reaps orphans of orphans" "$(unshare --fork --pid --mount-proc "$spillway" -q -- \
		sh -c 'for i in 1 2 3 4 5; do (sh -c "sleep 0.1 & sleep 0.05 &" &); done; ps -eo comm= | grep -c sleep >&2
			looks=0
			while ps -eo comm= | grep -q sleep && [ $looks -lt 600 ]; do looks=$((looks + 1)); sleep 0.05; done
			ps -eo comm= | grep -c sleep' 2>"$err")" 0
	status_of unshare --fork --pid --mount-proc "$spillway" -q -- sh -c "setsid sleep $mark & exit 2" >/dev/null
	tap_ok "as PID 1 it leaves nobody" none_runs "sleep $mark"
else
	tap_skip "as PID 1" "${TAP_ROOT}a PID namespace cannot be made here"
fi

# --- terminal -------------------------------------------------------------------------------

# type.py [WAIT|KEYS]... -- COMMAND: in a new terminal, types each KEYS when WAIT has been shown;
# prints what was shown and the status.  What hangs is ended after five minutes, and "timed out" is shown.
cat >"$TAP_DIR/type.py" <<'PYTHON'
import os, pty, select, signal, sys, time
cut = sys.argv.index("--")
steps = [s.encode().decode("unicode_escape").encode().split(b"|") for s in sys.argv[1:cut]]
arguments = sys.argv[cut + 1:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(arguments[0], arguments)
shown, seen, end = b"", 0, time.monotonic() + 300
while time.monotonic() < end:
    if select.select([fd], [], [], 0.1)[0]:
        try:
            chunk = os.read(fd, 4096)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk.replace(b"\r", b"")
    if steps and steps[0][0] in shown[seen:]:
        seen = len(shown)
        os.write(fd, steps.pop(0)[1])
else:
    os.kill(pid, signal.SIGKILL)
    shown += b"timed out\n"
os.write(1, shown)
status = os.waitpid(pid, 0)[1]
print("status", os.waitstatus_to_exitcode(status))
PYTHON
python3 "$TAP_DIR/type.py" 'ready|a\nb\n\x04' -- "$spillway" -q -- sh -c 'stty -echo; echo ready; tac' >"$out" 2>&1
tap_ok "the command reads and writes the terminal" sh -c "tr '\n' ' ' <'$out' | grep -q 'ready b a status 0'"
python3 "$TAP_DIR/type.py" 'ready|echo flags-$-\nexit 42\n' -- "$spillway" -q -- \
	bash --norc -ic 'echo ready; exec bash --norc -i' >"$out" 2>&1
tap_ok "an interactive shell has job control" grep -q 'flags-.*m' "$out"
tap_ok "and its status comes out" grep -q 'status 42' "$out"
python3 "$TAP_DIR/type.py" 'ready|\x03' -- "$spillway" -q -- perl -e '$| = 1; print "ready\n"; sleep 1000' >"$out" 2>&1
tap_ok "^C ends the command" grep -q 'status 130' "$out"
python3 "$TAP_DIR/type.py" 'ready|x\n' -- \
	sh -mc "'$spillway' -q -- sh -c 'echo ready; exec sleep 1000' & read word; echo read-\$word; kill \$!; wait" >"$out" 2>&1
tap_ok "started in the background it leaves the terminal alone" grep -q 'read-x' "$out"

cat >"$TAP_DIR/stop.pl" <<'PERL'
$| = 1;
$SIG{CONT} = sub { print "goes-on\n" };
print "runs\n";
# perl runs a handler between two operations only, so none of them may last.
my $wanted = "";
vec($wanted, 0, 1) = 1;
while (1) { my $ready = $wanted; last if select($ready, undef, undef, 0.05) > 0 && defined <STDIN>; }
exit 3;
PERL
python3 "$TAP_DIR/type.py" "ready|$spillway -q perl $TAP_DIR/stop.pl\n" 'runs\n|\x1a' 'Stopped|fg\n' 'goes-on|x\n' '$|echo st-$?\n' \
	'st-3|exit 4\n' -- env 'PS1=ready$ ' bash --norc -i >"$out" 2>&1
tap_ok "^Z stops it for the shell too" grep -q 'Stopped' "$out"
tap_ok "and fg has it go on, with the terminal" eval 'grep -q st-3 "$out" && grep -q "status 4" "$out" || ! cat "$out"'
python3 "$TAP_DIR/type.py" 'runs|\x1a' 'goes-on|x\n' -- "$spillway" -q perl "$TAP_DIR/stop.pl" >"$out" 2>&1
tap_ok "with no shell above it ^Z does not hang it" grep -q 'status 3' "$out"

# For an init container that fills a volume; a second one finds the files of the first.
mkdir "$TAP_DIR/volume"
umask_before=$(umask)
umask 077
for time in once again; do
	tap_ok "copy-to leaves both files in a folder, $time" "$spillway" copy-to "$TAP_DIR/volume"
done
umask "$umask_before"
tap_is "as they are, for everybody, and nothing else" "$(cd "$TAP_DIR/volume" && find . -type f -printf '%P %m\n' | sort | paste -sd ' ')" \
	"bin/spillway 755 lib/libspillway-agent.so 755 lib/libspillway.so 755"
tap_ok "the program is the same" cmp "$spillway" "$TAP_DIR/volume/bin/spillway"
tap_is "and finds its library there" "$("$TAP_DIR/volume/bin/spillway" -- grep -o -m 1 '/volume/lib/libspillway.so' /proc/self/maps)" \
	/volume/lib/libspillway.so
tap_is "a folder that is not there is refused" "$("$spillway" copy-to "$TAP_DIR/none" 2>&1) $?" \
	"spillway: copy-to $TAP_DIR/none: No such file or directory 1"
tap_done
