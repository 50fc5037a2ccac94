#!/bin/bash
# What Prometheus is told of the services, at the address that the file names and over the control
# socket, read by Prometheus' own client library, and by promtool where there is one.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
cgroup_new metrics || tap_skip_all "$CGROUP_WHY"
/usr/bin/python3 -c 'import prometheus_client' 2>/dev/null || tap_skip_all "python3-prometheus-client is not installed"
socket=$TAP_DIR/app.sock
ini=$TAP_DIR/app.ini
log=$TAP_DIR/log
text=$TAP_DIR/text
IDLE_MIB=64
free_port='import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
port=$(python3 -c "$free_port")

cat >"$ini" <<END
[supervisor]
control = $socket
metrics = 127.0.0.1:$port
[policy:default]
scavenge = off
lazy_time_to_wall = off
eager_time_to_wall = off
full_time_to_wall = off
[service:web]
command = $memory idle $IDLE_MIB 1 1000
memory_max = 512M
[service:bare]
command = sleep 1000
shim = off
health = exec:test ! -e $TAP_DIR/ill
health_interval = 200ms
health_retries = 1000
[service:short]
command = sh -c 'exit 3'
autorestart = false
END

# The status of an answer, and the answer in $text.
asks() { # METHOD PATH [SOCKET]
  python3 - "$text" "$port" "$@" <<'END'
import http.client, socket, sys
text, port, method, path = sys.argv[1:5]
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
if len(sys.argv) > 5:
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(sys.argv[5])
connection.request(method, path)
answer = connection.getresponse()
open(text, "wb").write(answer.read())
print(answer.status, answer.getheader("Content-Type"))
END
}

# What $text has for a sample; nothing where it has none.
value() { # NAME [LABEL=VALUE...]
  /usr/bin/python3 - "$text" "$@" <<'END'
import sys
from prometheus_client.parser import text_string_to_metric_families
wanted = dict(word.split("=") for word in sys.argv[3:])
for family in text_string_to_metric_families(open(sys.argv[1]).read()):
    for sample in family.samples:
        if sample.name == sys.argv[2] and wanted.items() <= sample.labels.items():
            print(int(sample.value) if sample.value.is_integer() else sample.value)
END
}

at_least() { # NAME VALUE LEAST
  tap_ok "$1" awk -v value="$2" -v least="$3" 'BEGIN { exit !(value != "" && value + 0 >= least) }'
}

is_idle() {
  asks GET /metrics >/dev/null 2>&1 || return 1
  [ "$(($(value spillway_service_heap_idle_bytes service=web) >> 20))" -ge $((IDLE_MIB / 2)) ]
}

(cgroup_exec "$spillway" run "$ini") >"$TAP_DIR/out" 2>"$log" &
supervisor=$!
at_exit_kill "$supervisor"
wait_until 60 said empty "$TAP_DIR/out"
kill -USR1 "$(pgrep -P "$supervisor" -f "^$memory idle")"
tap_ok "the idle memory of a service is among the metrics" wait_until 60 is_idle
tap_is "they have Prometheus' own type" "$(asks GET /metrics)" "200 text/plain; version=0.0.4; charset=utf-8"
tap_is "a service that runs is up" "$(value spillway_service_up service=web)" 1
tap_is "one that has ended is not" "$(value spillway_service_up service=short)" 0
tap_is "one without a check of its readiness is ready" "$(value spillway_service_ready service=web)" 1
tap_is "of one without a check of its health nothing is said" "$(value spillway_service_healthy service=web)" ""
tap_is "one with a check that succeeds is healthy" "$(value spillway_service_healthy service=bare)" 1
: >"$TAP_DIR/ill"
fails() {
  asks GET /metrics >/dev/null && [ "$(value spillway_service_healthy service=bare)" = 0 ]
}
tap_ok "and when it fails it is not" wait_until 60 fails
at_least "failures are counted" "$(value spillway_service_health_failures service=bare)" 1
tap_is "and nothing is said of its heaps" "$(value spillway_service_heap_live_bytes service=short)" ""
tap_is "a service without the library has no heap" "$(value spillway_service_heaps service=bare)" 0
tap_is "there is one level, and it is calm" "$(value spillway_service_level service=web)" "$(printf '1\n0\n0\n0')"
tap_is "the version is that of the program" "$(value spillway_info "version=$("$spillway" --version | awk '{ print $2 }')")" 1
own=$(value spillway_service_memory_headroom_bytes service=web wall=own)
at_least "there is room below its own limit" "$own" $((256 << 20))
tap_ok "but not more than the limit" test "$own" -le $((512 << 20))
at_least "and below the machine's memory" "$(value spillway_service_memory_headroom_bytes service=web wall=machine)" 1
tap_is "where there is no limit there is no room below it" \
  "$(value spillway_service_memory_headroom_bytes service=bare wall=own)" ""
at_least "the time that the room lasts is told for each" \
  "$(value spillway_service_memory_time_to_limit_seconds service=web wall=own | sed 's/inf/1e9/')" 0.001
if cgroup_v2 "$CGROUP_MEMORY"; then
  tap_is "the limit is the service's" "$(value spillway_service_memory_limit_bytes service=web)" $((512 << 20))
  at_least "usage is that of its cgroup" "$(value spillway_service_memory_used_bytes service=web)" $((IDLE_MIB << 20))
  at_least "its pressure is told" "$(value spillway_service_pressure_some_seconds_total service=web)" 0
else
  at_least "usage is that of its processes" "$(value spillway_service_memory_used_bytes service=web)" $((IDLE_MIB << 20))
  tap_is "without a limit that is not read" "$(value spillway_service_memory_used_bytes service=bare)" ""
fi
at_least "turns are counted" "$(value spillway_turn_duration_seconds_count)" 1
if command -v promtool >/dev/null; then
  tap_is "promtool has nothing to say" "$(promtool check metrics <"$text" 2>&1)" ""
else
  tap_skip "promtool has nothing to say" "promtool is not installed"
fi

kill -USR2 "$supervisor"
is_returned() {
  asks GET /metrics >/dev/null 2>&1 || return 1
  [ "$(($(value spillway_service_returned_bytes_total service=web level=full) >> 20))" -ge $((IDLE_MIB / 2)) ]
}
tap_ok "what a release gives back is counted at its level" wait_until 60 is_returned
tap_is "and so is the release" "$(value spillway_service_releases_total service=web level=full)" 1
at_least "the time at a level is counted" "$(value spillway_service_level_seconds_total service=web level=calm)" 0.001

tap_is "the control socket has them, too" "$(asks GET /metrics "$socket")" \
  "200 text/plain; version=0.0.4; charset=utf-8"
tap_is "the page is there for a browser" "$(asks GET /)" "200 text/html; charset=utf-8"
tap_is "as it is in the tree" "$(cmp "$text" supervisor/fleet/dashboard.html 2>&1)" ""
tap_is "and takes nothing from elsewhere" \
  "$(grep -oE '(src|href)="[^"]*"|https?://[^"]*' "$text" | grep -v 'href="data:,"\|www.w3.org/2000/svg')" ""
if [ -z "${SPILLWAY_VM:-}" ] && command -v chromium >/dev/null; then
  drawn() { # SCHEME
    timeout 120 chromium --headless=new --no-sandbox --disable-gpu --virtual-time-budget=5000 --timeout=60000 \
      --blink-settings=preferredColorScheme="$1" --dump-dom "http://127.0.0.1:$port/" >"$TAP_DIR/dom" 2>/dev/null
    grep -oE 'data-service="[a-z]*"|<path d="M[0-9]|aria-pressed="true"' "$TAP_DIR/dom" | sort | uniq -c | tr -s ' \n' ' '
  }
  for scheme in 0 1; do
    tap_is "a browser draws every service and one chart of four parts (scheme $scheme)" "$(drawn $scheme)" \
      ' 4 <path d="M9 1 aria-pressed="true" 1 data-service="bare" 1 data-service="short" 1 data-service="web" '
  done
else
  tap_skip "a browser draws every service" "chromium is not installed, or too slow in the virtual machine"
fi
for path in /v1/status /v1/events /v1/services/web; do
  tap_is "$path is not for everybody" "$(asks GET "$path")" "404 application/json"
done
tap_is "nothing can be asked for there" "$(asks POST /v1/services/web/stop | cut -d ' ' -f 1)" 501
tap_is "and the service runs on" "$(asks GET /metrics >/dev/null; value spillway_service_up service=web)" 1

# More than one address may have: those that say nothing go first, and nobody is shut out.
tap_is "one address has so many connections" "$(python3 - "$port" <<'END'
import socket, sys
silent = []
for i in range(20):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60)
    silent.append(s)
asking = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60)
asking.send(b"GET /metrics HTTP/1.0\r\n\r\n")
print(asking.recv(15).decode())
silent[0].settimeout(60)
print("closed" if silent[0].recv(1) == b"" else "open")
END
)" "$(printf 'HTTP/1.0 200 OK\nclosed')"
tap_ok "which is said" said 'metrics: more connections than it takes' "$log"

# 16 requests every 250 ms; those beyond wait, whether they come over one connection or many.
tap_is "who asks without end is answered at a pace" "$(python3 - "$port" <<'END'
import http.client, sys, time
def ask(connection):
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    return answer.status == 200 and answer.read() != b""
one = lambda: http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
began = time.monotonic()
kept = one()
right = [ask(kept) for _ in range(40)] + [ask(one()) for _ in range(40)]
print(right.count(True), time.monotonic() - began > 0.7)
END
)" "80 True"

sed -i "s/^metrics = .*/metrics = off/" "$ini"
kill -HUP "$supervisor"
tap_ok "another address in a reload is not passed over in silence" \
  wait_until 60 said 'metrics: stays as it was until the next start' "$log"
tap_is "and this one is there" "$(asks GET /metrics | cut -d ' ' -f 1)" 200
sed -i "s/^metrics = .*/metrics = 127.0.0.1:$port/" "$ini"

kill "$supervisor"
wait "$supervisor"
tap_is "the supervisor ends well" $? 0

# Who takes the address first has it; the services run.
python3 -c '
import socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
print("listens", flush=True)
time.sleep(1000)
' "$port" >"$TAP_DIR/other" &
other=$!
at_exit_kill "$other"
wait_until 60 said listens "$TAP_DIR/other"
(cgroup_exec "$spillway" run "$ini") >"$TAP_DIR/out" 2>"$log" &
supervisor=$!
at_exit_kill "$supervisor"
tap_ok "an address that somebody has is named" wait_until 60 said "metrics: 127.0.0.1:$port: .*in use" "$log"
tap_ok "and the services run" wait_until 60 said 'web: started' "$log"
kill "$supervisor"
wait "$supervisor"
tap_done
