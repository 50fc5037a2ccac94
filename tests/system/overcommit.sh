#!/bin/bash
# vm.overcommit_memory=2: the kernel counts every writable page before it is touched, and refuses
# what exceeds the sum.  Programs under the library work there, and run out in NULL and ENOMEM.
# The setting is the whole machine's, so only the virtual one is made so.
# Beside it vm.overcommit_memory=1, where nothing is refused: 1 TiB is to be had.
# kernels: 6.1
# What it asks has been the same in all kernels for long.
. "$(dirname "$0")/../support/system.sh"
[ -n "${SPILLWAY_VM:-}" ] || tap_skip_all "vm.overcommit_memory is the whole machine's"
setting=/proc/sys/vm/overcommit_memory
[ -w "$setting" ] || tap_skip_all "$setting cannot be written"
LIB=$BUILD/lib/libspillway.so
programs=$BUILD/tests/preload
unset SPILLWAY_LINK MEMORY_PRESSURE_WATCH MEMORY_PRESSURE_WRITE

before=$(cat "$setting")
ratio=$(cat /proc/sys/vm/overcommit_ratio)
at_exit sh -c "echo $before >$setting; echo $ratio >/proc/sys/vm/overcommit_ratio"

# Output goes through a pipe: a file of this /tmp is memory too, which may be out.
under() {
  said=$(bounded 60 env LD_PRELOAD="$LIB" "$@" 2>&1) && return
  local status=$?
  echo "$said" >&2
  return $status
}

committed() {
  awk '$1 == "CommitLimit:" { limit = $2 } $1 == "Committed_AS:" { used = $2 }
    END { printf "%d of %d MiB are committed\n", used / 1024, limit / 1024 }' /proc/meminfo
}

python_work() {
  under /usr/bin/python3 -c '
import json, threading
def work():
    data = [{"id": i, "text": "x" * (i % 997)} for i in range(5000)]
    assert json.loads(json.dumps(data)) == data
threads = [threading.Thread(target=work) for _ in range(3)]
[t.start() for t in threads]
[t.join() for t in threads]
try:
    bytearray(1 << 40)
except MemoryError:
    print("refused")' && [ "$said" = refused ]
}

# tests/preload/wide.c does more with such blocks, and with more time.
a_tib() {
  under /usr/bin/python3 -c '
import ctypes
heap = ctypes.CDLL(None)
heap.malloc.restype = ctypes.c_void_p
heap.malloc.argtypes = [ctypes.c_size_t]
heap.free.argtypes = [ctypes.c_void_p]
tib = 1 << 40
block = heap.malloc(tib)
if block:
    for at in 0, tib // 2, tib - 1:
        ctypes.memset(block + at, 1, 1)
    heap.free(block)
print("given" if block else "refused")'
}

redis_work() {
  local socket=$TAP_DIR/redis.sock pid status
  LD_PRELOAD=$LIB redis-server --port 0 --unixsocket "$socket" --dir "$TAP_DIR" --save "" \
    --appendonly no --maxmemory 32mb --maxmemory-policy allkeys-lru >"$TAP_DIR/redis.log" 2>&1 &
  pid=$!
  at_exit_kill "$pid"
  wait_until 60 redis-cli -s "$socket" ping >/dev/null 2>&1 || {
    cat "$TAP_DIR/redis.log" >&2
    return 1
  }
  bounded 60 redis-benchmark -s "$socket" -q -n 3000 -c 10 -d 500 -r 3000 -t set,get,lpush >&2 || return 1
  grep -q libspillway "/proc/$pid/maps" || return 1
  kill -TERM "$pid"
  wait "$pid"
  status=$?
  [ "$status" -eq 0 ] || tail "$TAP_DIR/redis.log" >&2
  return "$status"
}

# 20 % of 2 GiB: what runs out does so before the machine is short of pages.
echo 20 >/proc/sys/vm/overcommit_ratio
echo 2 >"$setting"
tap_diag "$(committed)"
tap_ok "a small program commits little" under "$programs/early"
tap_ok "arguments and errno are as ever" under "$programs/rules"
tap_ok "python3 works, and gets a MemoryError" python_work
tap_ok "redis works" redis_work
tap_ok "memory runs out in ENOMEM, and comes back" under "$programs/limit_as" 1000000
tap_diag "$said"
tap_ok "and so with large blocks" under "$programs/limit_as" 1000000 0 3000000
tap_diag "$said"
tap_ok "what was freed is charged no longer, and a child may have it" under "$programs/charged" counted
tap_diag "$said"
tap_ok "a TiB that is refused leaves most of the rest" under "$programs/wide" refused
tap_diag "$said"
tap_ok "fork handlers may allocate" under "$programs/fork_handlers"
tap_ok "all is given back: nothing stays committed" under "$programs/early"
tap_diag "$(committed)"
echo 1 >"$setting"
tap_ok "a TiB can be asked for where nothing is refused" a_tib
tap_is "1 TiB was given" "$said" given
tap_done
