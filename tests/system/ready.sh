#!/bin/bash
# Services tell when they are up, and are asked whether they are of use.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
socket=$TAP_DIR/app.sock
ini=$TAP_DIR/app.ini
log=$TAP_DIR/log
go=$TAP_DIR/go
well=$TAP_DIR/well
touch "$well"

logged() {
  said "$1" "$log"
}

field() { # SERVICE FIELD
  ctl status --json "$1"
  python3 -c 'import json, sys; s = json.load(sys.stdin); s = s.get("services", [s])
print([x for x in s if x["name"] == sys.argv[1]][0].get(sys.argv[2]))' "$1" "$2" <"$TAP_DIR/said"
}

# Listens at a port that is free once $go is there, tells which, and answers requests: with 200 while
# $well is there.
cat >"$TAP_DIR/server.py" <<'PY'
import http.server, os, sys, time
go, well, port_file, port = sys.argv[1:5]
while not os.path.exists(go):
    time.sleep(0.02)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if os.path.exists(well) else 503)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
PY
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
port=$(free_port)
# Speaks systemd's protocol: argv[1] is what it waits for; tells of the watchdog while $well is there.
cat >"$TAP_DIR/notifier.py" <<'PY'
import os, socket, subprocess, sys, time
go, well = sys.argv[1:3]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
address = os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1)
tell = lambda text: s.sendto(text.encode(), address)
assert os.environ["WATCHDOG_PID"] == str(os.getpid())
period = int(os.environ["WATCHDOG_USEC"]) / 1e6
while not os.path.exists(go):
    time.sleep(0.02)
# From a child, as systemd-notify does it.
subprocess.run([sys.executable, "-c", """
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(b"READY=1\\nSTATUS=serves \\xff 7", sys.argv[1])
import time; time.sleep(0.3)
""".replace("sys.argv[1]", repr(address))])
while True:
    if os.path.exists(well):
        tell("WATCHDOG=1")
    time.sleep(period / 4)
PY

cat >"$TAP_DIR/waiter.py" <<'PY'
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
s.sendto(b"READY=1\nSTATUS=up", os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
time.sleep(1000)
PY

cat >"$ini" <<END
[supervisor]
control = $socket
[service:after-all]
after = http,port,line,told,command
command = sleep 1000
[service:http]
command = python3 $TAP_DIR/server.py $go $well x $port
notify = http://127.0.0.1:$port/
health = http://127.0.0.1:$port/health
health_interval = 200ms
health_retries = 2
[service:port]
command = sleep 1000
notify = port:$port
[service:line]
command = sh -c 'until test -e $go; do sleep 0.02; done; echo up >&7; exec 7>&-; exec sleep 1000'
notify = fd:7
[service:told]
command = python3 $TAP_DIR/notifier.py $go $well
notify = systemd
watchdog = 1s
[service:command]
command = sleep 1000
notify = exec:test -e $go
[service:flooded]
command = python3 $TAP_DIR/waiter.py $TAP_DIR/tell
notify = systemd
[service:late]
command = sleep 1000
notify = fd:3
start_timeout = 300ms
startretries = 1
END
# The service manager that has started the supervisor: notes each message as a line.
told=$TAP_DIR/told
python3 -u -c 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    print(s.recv(4096).decode().replace("\n", " "))' "$TAP_DIR/manager" >"$told" &
at_exit_kill $!
wait_until 60 test -S "$TAP_DIR/manager"
told_times() { # TEXT TIMES
  [ "$(grep -c "^$1" "$told")" -ge "$2" ]
}
NOTIFY_SOCKET=$TAP_DIR/manager WATCHDOG_USEC=400000 "$spillway" run "$ini" >"$TAP_DIR/out" 2>"$log" </dev/null &
pid=$!
at_exit_kill "$pid"
wait_until 60 state_is late FATAL
tap_is "while a service starts the manager is not told that all are ready" "$(grep -c '^READY=1' "$told")" 0
tap_ok "one that is never ready is given up" logged 'late: given up: it was not ready in 2 starts'
tap_ok "after its time" logged 'late: stopped: not ready after 300 ms (notify = fd:3)'
for name in http port line told command; do
  tap_ok "$name is STARTING" state_is "$name" STARTING
done
tap_ok "and what comes after them waits" state_is after-all WAITING
touch "$go"
for name in http port line told command; do
  tap_ok "$name is ready" wait_until 60 logged "$name: ready after"
done
tap_ok "and what comes after them runs" wait_until 60 state_is after-all RUNNING
tap_ok "its watchdog hears of us" wait_until 60 told_times 'WATCHDOG=1$' 2
tap_is "services do not find its address" "$(tr '\0' '\n' <"/proc/$(field line pid)/environ" | grep -c '^NOTIFY_SOCKET=\|^WATCHDOG_')" 0
tap_is "what it says of itself is shown, as far as it can be" "$(field told status_text)" "serves ? 7"
before=$(field http pid)
rm "$well"
tap_ok "a service that is of no use is stopped" wait_until 60 logged 'http: stopped: 2 health checks failed one after another: http://127.0.0.1:[0-9]*/health: status 503'
tap_ok "as is one whose watchdog hears nothing" wait_until 60 logged 'told: stopped: its watchdog has heard nothing for 1000 ms'
touch "$well"
is_another() {
  state_is http RUNNING && [ "$(field http pid)" != "$before" ]
}
tap_ok "and started again" wait_until 60 is_another
tap_ok "the watchdog's, too" wait_until 60 state_is told RUNNING
# Somebody else's message is nothing: the name is in the environment of the service alone, or known.
tap_ok "a process that is none of the service is not heard" python3 -c '
import re, socket, sys
text = open("/proc/%s/environ" % sys.argv[1]).read()
name = re.search("NOTIFY_SOCKET=([^\0]*)", text).group(1).replace("@", "\0", 1)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(b"STATUS=hijacked\nMAINPID=1", name)
' "$(field told pid)"
ctl release told
tap_is "whatever it says" "$(field told status_text)" "serves ? 7"
# A stranger sends as fast as it can, without waiting; the service waits for its turn, as sd_notify does.
cat >"$TAP_DIR/flood.py" <<'PY'
import re, socket, sys, time
def cpu(pid):
    fields = open("/proc/%s/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100
supervisor, service, go, log = sys.argv[1:5]
text = open("/proc/%s/environ" % service).read()
name = re.search("NOTIFY_SOCKET=([^\0]*)", text).group(1).replace("@", "\0", 1)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(name)
s.setblocking(False)
began, used, sent, ready = time.monotonic(), cpu(supervisor), 0, False
while not ready or time.monotonic() < began + 3:
    for _ in range(1000):
        try:
            s.send(b"STATUS=hijacked")
            sent += 1
        except BlockingIOError:
            pass
    if time.monotonic() > began + 1:
        open(go, "w")
    ready = "flooded: ready after" in open(log).read()
    if time.monotonic() > began + 60:
        sys.exit("not ready in a minute")
share = 100 * (cpu(supervisor) - used) / (time.monotonic() - began)
print("# %d datagrams, %.1f %% of a CPU" % (sent, share))
sys.exit(share >= 5)
PY
flooded=$(pid_said flooded)
tap_ok "a flood of notifications costs little, and the service's own arrives" \
  python3 "$TAP_DIR/flood.py" "$pid" "$flooded" "$TAP_DIR/tell" "$log"
tap_is "and nothing of the flood counts" "$(field flooded status_text)" "up"
tap_ok "then the manager is told, and how many are up" wait_until 60 told_times 'READY=1 STATUS=7 of 8 services up$' 1
ready_before=$(grep -c '^READY=1' "$told")
cp "$ini" "$TAP_DIR/whole"
echo 'nonsense = 1' >>"$ini"
kill -HUP "$pid"
tap_ok "the manager hears of a reload, with its time" wait_until 60 told_times 'RELOADING=1 MONOTONIC_USEC=[0-9][0-9]*$' 1
tap_ok "and of its end, although nothing was reloaded" wait_until 60 told_times 'READY=1' $((ready_before + 1))
cp "$TAP_DIR/whole" "$ini"
kill -HUP "$pid"
tap_ok "and of one that is" wait_until 60 told_times 'RELOADING=1' 2
tap_ok "when it is over" wait_until 60 told_times 'READY=1' $((ready_before + 2))
kill -TERM "$pid"
wait "$pid"
tap_is "told to stop it exits with 0" $? 0
tap_ok "which the manager was told" wait_until 60 told_times 'STOPPING=1' 1

bad() { # LINE TEXT
  printf '[service:a]\ncommand = x\n%s\n' "$1" >"$ini"
  "$spillway" check "$ini" >"$TAP_DIR/said" 2>&1
  said "app.ini:3: $2" "$TAP_DIR/said"
}
tap_ok "a way to tell that there is not is refused" bad 'notify = dbus' 'notify: "dbus": not understood: expected none, systemd, fd:N'
tap_ok "and a health check that only the service could make" bad 'health = systemd' 'health: "systemd": not understood'
tap_ok "and a watchdog that nobody could tell" bad 'watchdog = 3s' "watchdog: only systemd's protocol has it"
tap_done
