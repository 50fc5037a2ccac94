#!/bin/bash
# Services that keep their own allocator give memory back when they are asked, and near a limit.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
cgroup_new agent || tap_skip_all "$CGROUP_WHY"
socket=$TAP_DIR/run/app.sock
ini=$TAP_DIR/app.ini
freed=$BUILD/tests/system/freed
# What each kind is given to free, in how many threads, and whether one block in twenty stays
# (scatter) or none does (all): others than these are for looking at what the test prints.
MIB=${MIB:-96} THREADS=${THREADS:-2} HOW=${HOW:-scatter}

# library NAME: where the loader finds it; nothing where it does not
library() {
  local path
  for path in /usr/lib/*/"$1" /usr/lib/"$1" /usr/lib64/"$1"; do
    [ ! -e "$path" ] || { echo "$path" && return; }
  done
}

declare -A preload=(
  [glibc]=
  [jemalloc]=$(library libjemalloc.so.2)
  [tcmalloc]=$(library libtcmalloc_minimal.so.4)
  [mimalloc]=$(library libmimalloc.so.2)
)
kinds='glibc jemalloc tcmalloc mimalloc'

# service NAME COMMAND LINE...
service() {
  printf '[service:%s]\ncommand = %s\n' "$1" "$2"
  shift 2
  printf '%s\n' "$@"
}

{
  printf '[supervisor]\ncontrol = %s\n[policy:default]\nscavenge = off\n' "$socket"
  for kind in $kinds; do
    [ $kind != glibc ] && [ -z "${preload[$kind]}" ] ||
      service $kind "$freed $MIB $THREADS $HOW" 'allocator = keep' "environment = LD_PRELOAD=\"${preload[$kind]}\""
  done
  service limited "$freed 96 2 scatter" 'allocator = keep' 'memory_max = 64M'
  service chosen "$freed 1 1 all" 'allocator = auto'
  [ -z "${preload[jemalloc]}" ] ||
    service named "$freed 1 1 all" 'allocator = auto' "environment = LD_PRELOAD=\"${preload[jemalloc]}\""
  ! command -v redis-server >/dev/null ||
    service redis "redis-server --port 0 --unixsocket $TAP_DIR/redis --save '' --enable-debug-command yes \
      --jemalloc-bg-thread no" 'allocator = auto'
} >"$ini"

of_status() { # SERVICE KEY
  ctl status --json
  python3 -c '
import json, sys
for service in json.load(open(sys.argv[1]))["services"]:
    if service["name"] == sys.argv[2]:
        print(service.get(sys.argv[3], ""))' "$TAP_DIR/said" "$1" "$2"
}

# Of a service's main process, in MiB.
anonymous() {
  awk '$1 == "RssAnon:" { print int($2 / 1024) }' "/proc/$(of_status "$1" pid)/status"
}

is_below() { # SERVICE MIB
  [ "$(anonymous "$1")" -lt "$2" ]
}

has_freed() { # SERVICE
  grep -qx "freed $(of_status "$1" pid)" "$out"
}

released() { # SERVICE LEVEL
  ctl release "$1" --level="$2"
}

steers() { # KIND
  tap_ok "$1 is found in the program, and said to be" wait_until 60 \
    said " $1: shim: active (agent: steers $1)" "$log"
  tap_is "the status says it" "$(of_status "$1" allocator)" "$1"
}

gives_back() { # KIND
  local before
  wait_until 60 has_freed "$1"
  before=$(anonymous "$1")
  tap_ok "a service with $1 is asked for its idle memory" released "$1" full
  tap_diag "$1: $before MiB before, $(anonymous "$1") after"
  # What threads of mimalloc freed before they went to sleep nobody else can give back.
  [ "$1" = mimalloc ] ||
    tap_ok "$1 gives it back: a quarter of $before MiB and more" is_below "$1" $((before * 3 / 4 + 1))
}

tap_ok "check says what auto is" eval '"$spillway" check "$ini" >"$TAP_DIR/said" &&
  said "\[service:chosen\] allocator auto is libspillway.so: $freed names no other" "$TAP_DIR/said"'

run_file app
wait_until 60 state_is chosen RUNNING
for kind in $kinds; do
  if [ $kind != glibc ] && [ -z "${preload[$kind]}" ]; then
    tap_skip "$kind" "its library is not installed"
    continue
  fi
  steers $kind
  gives_back $kind
done

wait_until 60 has_freed limited
tap_ok "near a limit it goes by the level alone" wait_until 60 is_below limited $((96 * 3 / 4))

tap_ok "auto is libspillway.so where the program names no allocator" wait_until 60 \
  said ' chosen: shim: active$' "$log"
tap_is "the status says that, too" "$(of_status chosen allocator)" spillway
tap_ok "and with -v" eval 'ctl status -v chosen; said "^  allocator spillway$" "$TAP_DIR/said"'
if [ -n "${preload[jemalloc]}" ]; then
  tap_ok "auto keeps the one that is preloaded" wait_until 60 said ' named: shim: active (agent: steers jemalloc)' "$log"
else
  tap_skip "auto keeps the one that is preloaded" "libjemalloc.so.2 is not installed"
fi

has_heaps() { # SERVICE COUNT
  [ "$(of_status "$1" heaps)" = "$2" ]
}
kill -USR1 "$(of_status glibc pid)" || cat "$log" >&2
tap_ok "a forked child takes part" wait_until 60 has_heaps glibc 2

redis() {
  redis-cli -s "$TAP_DIR/redis" "$@" >"$TAP_DIR/redis.said"
}
# What redis has freed by itself while it deletes counts as well.
deletes() {
  redis eval 'for i = 0, 399999 do redis.call("del", "key:" .. i) end' 0
}
if command -v redis-server >/dev/null; then
  tap_ok "auto keeps the jemalloc that redis-server names" wait_until 60 \
    said 'redis: allocator: kept (redis-server names libjemalloc' "$log"
  wait_until 60 redis ping
  redis debug populate 400000 key 400
  filled=$(anonymous redis)
  deletes
  tap_ok "redis is asked for what it has deleted" released redis full
  tap_ok "it gives back three quarters of $filled MiB" is_below redis $((filled / 4 + 4))
else
  tap_skip "redis" "redis-server is not installed"
fi
tap_done
