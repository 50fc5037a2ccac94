#!/bin/bash
# spillctl top in a terminal of its own: what it shows, its keys, other sizes, and a supervisor that
# is stopped or gone.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
cgroup_new top || tap_skip_all "$CGROUP_WHY"
/usr/bin/python3 -c 'import pyte' 2>/dev/null || tap_skip_all "python3-pyte is not installed"
socket=$TAP_DIR/app.sock
ini=$TAP_DIR/app.ini
log=$TAP_DIR/log
out=$TAP_DIR/out
export LC_ALL=C.UTF-8

cat >"$ini" <<END
[supervisor]
control = $socket
[policy:default]
scavenge = off
lazy_time_to_wall = off
eager_time_to_wall = off
full_time_to_wall = off
[service:web]
command = $memory idle 64 1 1000
memory_max = 512M
[service:asleep]
command = sleep 1000
[service:short]
command = sh -c 'exit 3'
autorestart = false
END

# in_terminal NAME ROWS COLUMNS: plays the script of standard input against it.
in_terminal() {
  local name=$1
  shift
  tap_ok "$name" /usr/bin/python3 tests/system/terminal.py "$@" "$BUILD/bin/spillctl" --socket="$socket" top
}

tap_is "without a terminal it says so" "$("$BUILD/bin/spillctl" --socket="$socket" top 2>&1 </dev/null)" \
  "spillctl: top: standard input and output must be a terminal"
(cgroup_exec "$spillway" run "$ini") >"$out" 2>"$log" &
supervisor=$!
at_exit_kill "$supervisor"
wait_until 60 said empty "$out"
kill -USR1 "$(pgrep -P "$supervisor" -f "^$memory idle")"
wait_until 60 said idle "$out"

in_terminal "80 columns have all of it" 24 80 <<END
see ^spillway .* pid $supervisor
see ^all +\[.*\] +[0-9.]+[MG](/[0-9.]+[MGT])?$
see ^SERVICE +STATE +LEVEL .* USED +TREND +BACK +RST$
see ^web +RUNNING +calm +\[[#=]{3,}:* +\] +[0-9.]+M/512M +[▁▂▃▄▅▆▇█]+ +0 +0$
see ^asleep +RUNNING
see ^short +EXITED
see ^-- log -+$
see ^up/down choose .* q quit *$
keys q
end 0
END
in_terminal "what is chosen can be looked at, released and started anew" 24 80 <<'END'
see ^web
keys i
see ^-- web -+$
see ^state +"RUNNING"
keys {DOWN}
see ^-- asleep -+$
keys {DOWN}{DOWN}{DOWN}
see ^-- short -+$
keys {UP}{UP}{UP}
see ^-- web -+$
keys r
see ^release web: returned [0-9.]+M *$
see ^web +RUNNING .* [0-9.]+M +0$
keys R
see ^restart web: done *$
see ^web +RUNNING .* 1$
keys l
see ^-- log -+$
see web: restarting, asked by hand
keys l
gone ^-- log
keys q
end 0
END
in_terminal "it follows the size of the terminal" 24 80 <<'END'
see ^web
size 50 160
see ^SERVICE .* # live = idle - lazy : other .* RST$
see ^web .{140,} 1$
size 12 60
see ^web
see ^up/down
size 3 20
size 1 1
size 24 80
see ^SERVICE .* RST$
see ^asleep +RUNNING
keys q
end 0
END
kill -STOP "$supervisor"
in_terminal "a supervisor that is stopped is said, and the keys work" 24 80 <<END
see ^$socket: no answer yet *$
keys q
end 0
END
# More ask than it takes, as long as it is stopped.
python3 -c '
import socket, sys, time
waiting = []
try:
    while True:
        s = socket.socket(socket.AF_UNIX)
        s.setblocking(False)
        waiting.append(s)
        s.connect(sys.argv[1])
except BlockingIOError:
    print("full", flush=True)
time.sleep(1000)
' "$socket" >"$TAP_DIR/crowd" &
crowd=$!
at_exit_kill "$crowd"
wait_until 60 said full "$TAP_DIR/crowd"
in_terminal "so is one to which nobody can connect" 24 80 <<END
see ^$socket: Resource temporarily unavailable *$
keys q
end 0
END
kill "$crowd"
kill -CONT "$supervisor"
kill "$supervisor"
wait "$supervisor"
in_terminal "one that is gone, too" 24 80 <<END
see ^$socket: No such file or directory *$
keys q
end 0
END
tap_done
