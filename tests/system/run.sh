#!/bin/bash
# What spillway run does with several services: order, restarts, stopping, reloading.
# kernels: 6.1
# What it asks of cgroups the other scripts ask of every kernel.
. "$(dirname "$0")/../support/system.sh"
ini=$TAP_DIR/services.ini
log=$TAP_DIR/log
notes=$TAP_DIR/notes
mark=$((200000 + $$))

# Notes its name when it starts and when it is told to stop.
cat >"$TAP_DIR/noter" <<'SHELL'
#!/bin/sh
# noter NOTES NAME [SECONDS]: the time it takes to stop
trap 'sleep ${3:-0}; echo "$2 stops" >>$1; kill $!; exit 0' TERM
echo "$2 starts $$" >>$1
while :; do sleep 1000 & wait $!; done
SHELL
chmod +x "$TAP_DIR/noter"

begin() {
	: >"$notes"
	"$spillway" "$@" run "$ini" >"$TAP_DIR/out" 2>"$log" </dev/null &
	PID=$!
	at_exit_kill "$PID"
}

end() {
	kill -TERM "$PID"
	wait "$PID"
}

noted() {
	grep -q -- "$1" "$notes"
}

logged() {
	grep -q -- "$1" "$log"
}

times() {
	grep -c -- "$1" "$2"
}

at_least() {
	[ "$(times "$1" "$notes")" -ge "$2" ]
}

gone() {
	! kill -0 "$1" 2>/dev/null
}

pid_of() {
	awk -v name="$1" '$1 == name && $2 == "starts" { pid = $3 } END { print pid }' "$notes"
}

# --- start and stop -------------------------------------------------------------------------

cat >"$ini" <<INI
[service:one]
command = $TAP_DIR/noter $notes one
stopwaitsecs = 2m
[service:two]
after = one
command = $TAP_DIR/noter $notes two 0.3
stopwaitsecs = 2m
[service:three]
after = two
command = $TAP_DIR/noter $notes three 0.1
stopwaitsecs = 2m
INI
tap_is "check says what is in the file" "$("$spillway" check "$ini")" "$ini: ok, 3 services, 1 policy"
begin
tap_ok "all services start" wait_until 60 at_least starts 3
first=$(pid_of one)
second=$(pid_of two)
end
tap_is "told to stop it exits with 0" $? 0
tap_is "those that need each other stop one after another, the last first" \
	"$(grep stops "$notes" | tr '\n' ' ')" "three stops two stops one stops "
tap_ok "and are gone" eval "gone $first && gone $second"

# --- restarts -------------------------------------------------------------------------------

cat >"$ini" <<INI
[service:crash]
command = sh -c 'echo crash starts >>$notes; exit 3'
[service:once]
command = sh -c 'echo once starts >>$notes; exit 3'
autorestart = false
[service:fine]
command = sh -c 'echo fine starts >>$notes'
[service:always]
command = sh -c 'echo always starts >>$notes; sleep 0.05'
autorestart = true
INI
begin
tap_ok "a service that crashes is started again" wait_until 60 at_least 'crash starts' 4
tap_ok "one with autorestart = true always is" wait_until 60 at_least 'always starts' 2
wait_until 60 logged 'fine: exited' && wait_until 60 logged 'once: exited'
# A fifth less or more of 100, 200 and 400 ms.
later() {
	sed -n 's/.*crash: starts again in \([0-9]*\) ms.*/\1/p' "$log" | awk -v base=100 '
		NR <= 3 { if ($1 < base * 0.8 || $1 > base * 1.2) exit 1; base *= 2; seen++ } END { if (seen < 3) exit 1 }'
}
tap_ok "each time later: about 100, 200, 400 ms" later
tap_is "one that ends well is not" "$(times 'fine starts' "$notes")" 1
tap_is "nor is one with autorestart = false" "$(times 'once starts' "$notes")" 1
end
tap_is "in between two starts it stops as well" $? 0

printf '[service:a]\ncommand = true\n[service:b]\ncommand = true\n' >"$ini"
tap_is "when all have ended well it exits with 0" "$("$spillway" -q run "$ini"; echo $?)" 0
printf '[service:a]\ncommand = true\n[service:b]\ncommand = false\nautorestart = false\n' >"$ini"
tap_is "when one has not, with 1" "$("$spillway" -q run "$ini"; echo $?)" 1
printf '[service:a]\ncommand = /no/such/program\nautorestart = false\n' >"$ini"
tap_is "a program that is not there is such a one" "$("$spillway" run "$ini" 2>"$log"; echo $?)" 1
tap_ok "and named with its service" logged 'a: /no/such/program: No such file or directory'
tap_is "in the only line about it" "$(times ' a: ' "$log")" 1

printf '[service:a]\ncommand = sleep %d\n[service:b]\ncommand = sh -c "exit 7"\nautorestart = false\non_exit = shutdown\n' "$mark" >"$ini"
tap_is "one that all others depend on ends them, with its status" "$("$spillway" -q run "$ini"; echo $?)" 7
tap_ok "and none runs on" eval '! pgrep -f "^sleep $mark"'

# --- many services, few descriptors -----------------------------------------------------------

for i in $(seq 100); do
	printf '[service:s%d]\ncommand = sh -c "echo starts $(ulimit -Sn) >>%s; exec sleep %d"\n' "$i" "$notes" "$mark"
done >"$ini"
: >"$notes"
(ulimit -Sn 256 && exec "$spillway" run "$ini") >"$TAP_DIR/out" 2>"$log" </dev/null &
PID=$!
at_exit_kill "$PID"
tap_ok "a hundred services start where 256 descriptors are usual" wait_until 60 at_least starts 100
tap_is "and each has the limit that we were given" "$(grep -c '^starts 256$' "$notes")" 100
tap_is "nothing went without descriptors" "$(times 'Too many open files' "$log")" 0
tasks() {
	cat "/proc/$PID/task"/*/comm | wc -l
}
# Its own, the log's, and one that hears of the growth of all heaps.
unless_sanitized tap_ok "no service has a thread" [ "$(tasks)" -le 3 ]
one_process() {
	[ "$(cat /proc/[0-9]*/stat 2>/dev/null | awk -v ours="$PID" '/\(spillway/ && $4 == ours' | wc -l)" -eq 0 ]
}
tap_ok "one process does it all" wait_until 60 one_process
dirty=$(awk '$1 == "Anonymous:" { print $2 }' "/proc/$PID/smaps_rollup")
unless_sanitized tap_ok "$dirty kB are its own, less than 1500" [ "$dirty" -lt 1500 ]
end
printf '[service:a]\ncommand = true\n' >"$ini"
(ulimit -n 100 && exec "$spillway" run "$ini") 2>"$log"
tap_ok "a limit that may be too low is said" logged '1 service may need [0-9]* descriptors, and 100 are allowed'

# --- a child that has left the group --------------------------------------------------------------

# The lock stands for a port: as long as the last start's child has it, the next one has to do without.
cat >"$ini" <<INI
[service:port]
command = sh -c 'echo starts >>$notes; setsid flock -n $TAP_DIR/port sh -c "echo has the port >>$notes; exec sleep $mark" & sleep 0.3; exit 1'
stopwaitsecs = 2m
INI
begin
had_the_port() {
	[ "$(times 'has the port' "$notes")" -ge 3 ]
}
tap_ok "a child that called setsid is ended before the next start" wait_until 60 had_the_port
end
tap_ok "and none outlives us" eval '! pgrep -f "^sleep $mark"'

# --- a file that would be waited for --------------------------------------------------------------

printf '[service:calm]\ncommand = %s/noter %s calm\n' "$TAP_DIR" "$notes" >"$ini"
begin
wait_until 60 noted 'calm starts'
rm "$ini"
mkfifo "$ini"
kill -HUP "$PID"
tap_ok "a FIFO in the place of the file is refused" wait_until 60 logged 'cannot read it: Not a regular file'
kill -TERM "$PID"
tap_ok "and nobody waits for it" wait_until 60 noted 'calm stops'
wait "$PID"
tap_is "and we stop" $? 0
rm -f "$ini"

# --- stubborn services ----------------------------------------------------------------------

cat >"$ini" <<INI
[service:deaf]
command = sh -c 'trap "" TERM; echo deaf starts $$ >>$notes; while :; do sleep $mark; done'
stopwaitsecs = 400ms
[service:other]
command = sh -c 'trap "echo other hears >>$notes; exit 0" HUP; echo other starts \$\$ >>$notes; while :; do sleep 0.05; done'
stopsignal = HUP
stopwaitsecs = 2m
[service:parent]
command = sh -c 'setsid sh -c "trap : TERM; sleep $mark; sleep $mark" & sleep $mark & echo parent starts >>$notes; wait'
stopwaitsecs = 300ms
INI
begin
wait_until 60 at_least starts 3
began=$(now_ms)
end
tap_is "a service that ignores TERM is no reason to stay" $? 0
took=$(($(now_ms) - began))
tap_ok "it is killed after stopwaitsecs, no sooner ($took ms)" test "$took" -ge 400
tap_ok "the log says so" logged 'deaf: still there after 400 ms, killed'
tap_ok "stopsignal is what a service gets" noted 'other hears'
tap_ok "no process is left, sessions of their own included" eval '! pgrep -f "sleep $mark" >/dev/null'

# For longer than anybody waits here.
sed -i 's/^stopwaitsecs = .*/stopwaitsecs = 1h/' "$ini"
begin
wait_until 60 at_least starts 3
kill -TERM "$PID"
wait_until 60 logged 'stopping'
end
tap_is "told twice it exits with 0 too" $? 0
tap_ok "at once: it has killed whoever was left" logged 'told to stop again: killing what is left'
tap_ok "and nobody is left" eval '! pgrep -f "sleep $mark" >/dev/null'

cat >"$ini" <<INI
[service:leader]
command = sh -c 'sleep $mark & echo leader starts >>$notes; sleep 0.2; exit 1'
INI
begin
wait_until 60 at_least 'leader starts' 3
tap_ok "what a crashed service leaves in its group ends before it starts again" \
	test "$(pgrep -fc "^sleep $mark")" -le 1
end

cat >"$TAP_DIR/counts" <<'SHELL'
#!/bin/sh
# counts NOTES: notes each TERM; ends a while after the first
trap 'echo term >>$1; told=$((told + 1))' TERM
echo up >>$1
told=0 after=0
while [ $after -lt 8 ]; do sleep 0.05; [ $told -eq 0 ] || after=$((after + 1)); done
SHELL
chmod +x "$TAP_DIR/counts"
cat >"$ini" <<INI
[service:leaves]
command = sh -c '$TAP_DIR/counts $notes & until grep -q up $notes; do sleep 0.02; done; exit 1'
autorestart = false
stopwaitsecs = 2m
INI
begin
wait "$PID"
tap_is "what is left is told to end once" "$(times term "$notes")" 1

# --- settings of the process ----------------------------------------------------------------

if [ "$(id -u)" -eq 0 ]; then
	chmod 711 "$TAP_DIR"
	touch "$notes"
	cat >"$ini" <<INI
[service:as]
command = sh -c 'echo \$(id -u) \$(id -g) \$(id -G) \$HOME \$USER \$LOGNAME \$SHELL'
user = nobody
directory = /usr
[service:number]
command = sh -c 'echo \$(id -u) \$(id -g) \$(id -G) \$(pwd) \$HOME-\$USER-\$LOGNAME-\$SHELL'
user = 54321:54322
directory = /usr
[service:environment]
command = sh -c 'echo \$ONE-\$TWO-\$HOME'
environment = ONE="a b",TWO=c,HOME=/nowhere
INI
	HOME=/before USER=before LOGNAME=before SHELL=/before "$spillway" -q run "$ini" >"$TAP_DIR/out" 2>"$log"
	nobody=$(getent passwd nobody)
	home=$(echo "$nobody" | cut -d: -f6)
	shell=$(echo "$nobody" | cut -d: -f7)
	tap_ok "user = NAME sets user, groups and what a login would" \
		grep -qx "$(id -u nobody) $(id -g nobody) $(id -G nobody) $home nobody nobody $shell" "$TAP_DIR/out"
	tap_ok "user = UID:GID needs no entry; directory is where it starts" \
		grep -qx '54321 54322 54322 /usr /---' "$TAP_DIR/out"
	tap_ok "environment is added" grep -qx 'a b-c-/nowhere' "$TAP_DIR/out"
	printf '[service:a]\ncommand = true\nuser = no-such-user\nautorestart = false\n' >"$ini"
	tap_is "an unknown user is an error" "$("$spillway" run "$ini" 2>"$log"; echo $?)" 1
	tap_ok "that is named" logged 'no-such-user'

	# CHOWN is 0, KILL is 5.
	sets="sh -c 'echo \"\$SPILLWAY_TEST\" \$(sed -n \"s/^\\(Cap\\(Eff\\|Bnd\\|Amb\\)\\|NoNewPrivs\\):.//p\" /proc/self/status)'"
	cat >"$ini" <<INI
[service:root]
command = $sets
environment = SPILLWAY_TEST=root
capabilities = CHOWN,KILL
[service:other]
command = $sets
environment = SPILLWAY_TEST=other
user = nobody
capabilities = CAP_CHOWN KILL
no_new_privs = yes
[service:none]
command = $sets
environment = SPILLWAY_TEST=none
capabilities = none
INI
	"$spillway" -q run "$ini" >"$TAP_DIR/out" 2>"$log"
	two=0000000000000021 zero=0000000000000000
	tap_ok "root has the capabilities that its service is to have" \
		grep -qx "root $two $two $zero 0" "$TAP_DIR/out"
	tap_ok "another user is given them, and no new privileges" \
		grep -qx "other $two $two $two 1" "$TAP_DIR/out"
	tap_ok "it may have none" grep -qx "none $zero $zero $zero 0" "$TAP_DIR/out"
	tap_diag "$(cat "$TAP_DIR/out" "$log")"
	printf '[service:a]\ncommand = true\ncapabilities = CHOWN\nautorestart = false\n' >"$ini"
	tap_is "what is not ours to give is an error" \
		"$(setpriv --bounding-set -chown "$spillway" run "$ini" 2>"$log"; echo $?)" 1
	unless_tsan tap_ok "that is named, too" logged 'a: capabilities: Operation not permitted'
else
	tap_skip "user and directory" "needs root"
fi
cat >"$ini" <<INI
[service:reads]
command = sh -c 'cat; echo read-\$?'
autorestart = false
shim = off
[service:lists]
command = sh -c 'echo \$(ls /proc/self/fd)'
autorestart = false
shim = off
[service:watched]
command = sh -c '[ \$WATCHDOG_PID = \$\$ ] && echo own-watchdog'
autorestart = false
shim = off
INI
echo secret | sh -c 'WATCHDOG_PID=$$ exec "$0" -q run "$1"' "$spillway" "$ini" >"$TAP_DIR/out" 2>"$log" 8</dev/null
tap_is "services read /dev/null, and not what is meant for us" \
	"$(grep -e read -e secret "$TAP_DIR/out")" read-0
tap_ok "a descriptor of ours that nobody asked for is not theirs" grep -qx '0 1 2 3' "$TAP_DIR/out"
tap_ok "WATCHDOG_PID is made the service's" grep -qx own-watchdog "$TAP_DIR/out"

mkdir "$TAP_DIR/goes"
cat >"$ini" <<INI
[service:again]
command = sh -c 'echo up-in-\$(pwd); rmdir $TAP_DIR/goes 2>/dev/null; exit 1'
INI
(cd "$TAP_DIR/goes" && exec "$spillway" run "$ini") >"$TAP_DIR/out" 2>"$log" &
PID=$!
at_exit_kill "$PID"
tap_ok "a start directory that was removed is no reason to stay down" wait_until 60 grep -qx 'up-in-/' "$TAP_DIR/out"
tap_ok "which is said" wait_until 60 logged 'goes, where we were started: No such file or directory; it starts in /'
end
printf '[service:a]\ncommand = pwd\n' >"$ini"
tap_is "without directory a service starts where spillway did" \
	"$(cd "$TAP_DIR" && "$spillway" -q run services.ini)" "$TAP_DIR"

echo '[policy:alone]' >"$ini"
tap_is "a file without services is nothing to run" "$("$spillway" run "$ini" 2>&1; echo $?)" \
	"$ini: nothing to run: expected at least one [service:NAME] or [program:NAME]
1"

# --- check ----------------------------------------------------------------------------------

cat >"$ini" <<INI
[service:who]
command = true
user = no-such-user
[service:where]
command = true
directory = /no/such/folder
[service:what]
command = no-such-program
[service:plain]
command = $notes
[service:path]
command = only-here
environment = PATH=$TAP_DIR
INI
printf '#!/bin/sh\n' >"$TAP_DIR/only-here"
chmod 755 "$TAP_DIR/only-here"
: >"$notes"
tap_is "check names users, folders and programs that are not there" "$("$spillway" check "$ini" 2>&1; echo $?)" \
	"$ini: [service:who] user no-such-user: no such user
$ini: [service:where] directory /no/such/folder: No such file or directory
$ini: [service:what] command no-such-program: No such file or directory
$ini: [service:plain] command $notes: Permission denied
1"

# A program without its library beside it.
mkdir -p "$TAP_DIR/alone/bin"
cp "$spillway" "$TAP_DIR/alone/bin"
"$TAP_DIR/alone/bin/spillway" -- true 2>"$log"
tap_ok "a library that is missing is said, with the place" logged "no libspillway.so in ../lib of $TAP_DIR/alone/bin/spillway"
"$TAP_DIR/alone/bin/spillway" --shim=off -- true 2>"$log"
tap_is "but not to who does not want it" "$(cat "$log")" ""

# --- reload ---------------------------------------------------------------------------------

cat >"$ini" <<INI
[service:keep]
command = $TAP_DIR/noter $notes keep
[service:change]
command = $TAP_DIR/noter $notes change 0.2
stopwaitsecs = 2m
[service:remove]
command = $TAP_DIR/noter $notes remove 0.2
stopwaitsecs = 2m
INI
begin
wait_until 60 at_least starts 3
kept=$(pid_of keep)
changed=$(pid_of change)
removed=$(pid_of remove)
echo 'comand = x' >>"$ini"
echo 'stopwaitsecs = never' >>"$ini"
kill -HUP "$PID"
tap_ok "a file with errors is refused at reload" wait_until 60 logged 'not reloaded'
tap_ok "each of them is told with its line" eval 'logged "services.ini:9: " && logged "services.ini:10: "'
tap_ok "and everything goes on" eval 'kill -0 $kept && kill -0 $changed && kill -0 $removed'
: >"$ini"
kill -HUP "$PID"
tap_ok "so is a file that was emptied" wait_until 60 logged 'it has no service any more'
tap_ok "and everything still goes on" eval 'kill -0 $kept && kill -0 $changed && kill -0 $removed'
rm "$ini"
kill -HUP "$PID"
tap_ok "and one that is gone, without a line" wait_until 60 logged "error spillway: $ini: cannot read it: No such file"
cat >"$ini" <<INI
[service:new]
command = $TAP_DIR/noter $notes new
[service:keep]
command = $TAP_DIR/noter $notes keep
stopwaitsecs = 3m
[service:change]
command = $TAP_DIR/noter $notes change 0
stopwaitsecs = 2m
INI
kill -HUP "$PID"
tap_ok "reload starts what is new" wait_until 60 noted 'new starts'
tap_ok "stops what was removed" eval 'noted "remove stops" && gone $removed'
tap_ok "starts what was changed again" wait_until 60 at_least 'change starts' 2
tap_ok "after the old one has stopped" eval 'noted "change stops" && gone $changed'
tap_is "and leaves alone what was not" "$(times 'keep starts' "$notes") $(pid_of keep)" "1 $kept"
kill -KILL "$(pid_of change)"
tap_ok "a service that was moved by it is still looked after" wait_until 60 at_least 'change starts' 3
end
tap_is "then it stops as ever" $? 0
tap_is "with all of the new file" "$(grep stops "$notes" | tail -n 3 | LC_ALL=C sort | tr '\n' ' ')" \
	"change stops keep stops new stops "

# A link that is moved to another file, as with a mounted ConfigMap, and a relative path.
mkdir "$TAP_DIR/v1" "$TAP_DIR/v2"
printf '[service:old]\ncommand = %s %s old\n' "$TAP_DIR/noter" "$notes" >"$TAP_DIR/v1/services.ini"
printf '[service:moved]\ncommand = %s %s moved\n' "$TAP_DIR/noter" "$notes" >"$TAP_DIR/v2/services.ini"
ln -s v1 "$TAP_DIR/current"
: >"$notes"
(cd "$TAP_DIR" && exec "$spillway" run current/services.ini) >"$TAP_DIR/out" 2>"$log" &
PID=$!
at_exit_kill "$PID"
wait_until 60 noted 'old starts'
ln -sfn v2 "$TAP_DIR/current"
rm -r "$TAP_DIR/v1"
kill -HUP "$PID"
tap_ok "reload follows a link to where it leads now" wait_until 60 noted 'moved starts'
end

# Limits are not the process's: they change under it.
limit_ini() {
	printf '[service:lim]\ncommand = %s %s lim\nmemory_max = %s\n' "$TAP_DIR/noter" "$notes" "$1" >"$ini"
}
limit_is() {
	[ "$(cat "$leaf/memory.max")" = "$1" ]
}
limit_ini 64M
begin -vv
wait_until 60 noted 'lim starts'
if logged 'mode [AB]'; then
	leaf=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(pid_of lim)/cgroup")
	tap_ok "a service has its limit" limit_is $((64 << 20))
	limit_ini 96M
	kill -HUP "$PID"
	tap_ok "reload changes it" wait_until 60 limit_is $((96 << 20))
	tap_is "under the same process" "$(times 'lim starts' "$notes")" 1
	tap_is "libcgroup has made its cgroup" "$(times 'made by hand' "$log")" 0
	end
	tap_ok "no cgroup is left" test ! -e "$leaf" -a ! -e "$(dirname "$leaf")"
else
	tap_ok "a limit that nobody can hold is said" logged 'lim: memory_max 64M is soft here'
	tap_skip "a limit changes with a reload" "no cgroups of our own here"
	end
fi

# --- signals --------------------------------------------------------------------------------

printf '[service:a]\ncommand = %s %s a\n' "$TAP_DIR/noter" "$notes" >"$ini"
begin
wait_until 60 noted 'a starts'
for signal in USR1 USR2 WINCH ALRM PIPE TSTP TTIN TTOU 40; do
	kill -"$signal" "$PID"
done
kill -INT "$PID"
wait "$PID"
tap_is "signals that mean nothing to it do nothing, INT stops" $? 0
tap_ok "the service stopped by itself" noted 'a stops'

tap_done
