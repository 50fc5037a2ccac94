#!/bin/bash
# Language runtimes are recognised, and are given limits that they keep to.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
log=$TAP_DIR/log
out=$TAP_DIR/out
arenas=$(nproc)
[ "$arenas" -gt 2 ] || arenas=2
socket=$TAP_DIR/run.sock

cat >"$TAP_DIR/Limit.java" <<'END'
public class Limit { public static void main(String[] a) { System.out.println(Runtime.getRuntime().maxMemory() >> 20); } }
END
limit_of_node='console.log(require("v8").getHeapStatistics().heap_size_limit >> 20)'

# Runs the command with 400 MiB; what it is given is in $given, what it prints in $out.
given_to() { # OPTIONS -- COMMAND
  "$spillway" -v --name=it --memory-max=400M "$@" >"$out" 2>"$log"
  given=$(sed -n 's/.*it: runtime: //p' "$log")
}

# is_given NAME WORD... : the test is skipped where the command is not there.
is_given() { # NAME EXPECTED OPTIONS -- COMMAND
  local name=$1 expected=$2
  shift 2
  given_to "$@"
  tap_is "$name" "$given" "$expected"
}

between() { # NUMBER LEAST MOST
  [ "$1" -ge "$2" ] 2>/dev/null && [ "$1" -le "$3" ]
}

if command -v node >/dev/null; then
  is_given "node is recognised, and not limited unasked" node -- node -e "$limit_of_node"
  is_given "node is given a limit" "node, given NODE_OPTIONS=--max-old-space-size=300" \
    --runtime-limits=yes -- node -e "$limit_of_node"
  tap_ok "which it keeps to" between "$(cat "$out")" 300 399
  printf '#!/usr/bin/env node\n%s\n' "$limit_of_node" >"$TAP_DIR/script"
  chmod +x "$TAP_DIR/script"
  is_given "so is its script" "node, given NODE_OPTIONS=--max-old-space-size=300" --runtime-limits=yes -- "$TAP_DIR/script"
  NODE_OPTIONS=--max-old-space-size=50 is_given "not where the user has set one" node --runtime-limits=yes -- \
    node -e "$limit_of_node"
  is_given "runtime = off leaves it alone" "" --runtime=off --runtime-limits=yes -- node -e 0
else
  tap_skip "node" "it is not installed"
fi
if command -v java >/dev/null; then
  is_given "java is given a limit" "java, given JAVA_TOOL_OPTIONS=-XX:MaxRAM=419430400 -XX:MaxRAMPercentage=70" \
    --runtime-limits=yes -- java -XX:+UseSerialGC "$TAP_DIR/Limit.java"
  tap_ok "which it keeps to" between "$(cat "$out")" 240 280
else
  tap_skip "java" "it is not installed"
fi
is_given "python's objects come into our heap" "python, given PYTHONMALLOC=malloc" --runtime-limits=yes -- \
  /usr/bin/python3 -c 'import os; print(os.environ["PYTHONMALLOC"])'
is_given "not unasked" python -- /usr/bin/python3 -c 1
is_given "and not into glibc's, which is slow" "python, given MALLOC_ARENA_MAX=$arenas" \
  --allocator=keep --runtime-limits=yes -- /usr/bin/python3 -c 1
if command -v php >/dev/null; then
  is_given "php is recognised" php -- php -r 'echo 1;'
else
  tap_skip "php" "it is not installed"
fi
is_given "a program of glibc's malloc is given few arenas" "none, given MALLOC_ARENA_MAX=$arenas" \
  --shim=off --runtime-limits=yes -- true

# Below the limit of a cgroup, and what is said of a program that nothing was done for.
if cgroup_new runtime; then
  cgroup_limit "$CGROUP_MEMORY" $((400 << 20))
  (cgroup_exec "$spillway" -v --name=it --runtime=go --runtime-limits=yes -- true) >"$out" 2>"$log"
  tap_ok "a cgroup's limit counts" said 'it: runtime: go, given GOMEMLIMIT=360MiB' "$log"
  cgroup_limit "$CGROUP_MEMORY" $((64 << 20))
  (cgroup_exec "$spillway" -v --name=it --shim=off --runtime=go -- "$memory" hog 400) >"$out" 2>"$log"
  tap_ok "what would have helped is said at the end" \
    said 'it: was at full for [0-9]*ms, with [0-9]* OOM kills: runtime_limits = yes' "$log"
else
  tap_skip "a cgroup's limit counts" "$CGROUP_WHY"
fi

# Memory that only a collection gives back: 190 MiB of garbage are beyond what full_headroom allows.
anon_kib() { # PID
  awk '$1 == "RssAnon:" { print $2 }' "/proc/$1/status"
}

anon_is_below() { # PID MIB
  local anon
  anon=$(anon_kib "$1")
  [ -n "$anon" ] && [ "$anon" -lt $(($2 << 10)) ]
}

if command -v java >/dev/null; then
  cat >"$TAP_DIR/Garbage.java" <<'END'
public class Garbage {
  static byte[][] kept = new byte[190][];
  public static void main(String[] a) throws Exception {
    for (int i = 0; i < kept.length; i++) java.util.Arrays.fill(kept[i] = new byte[1 << 20], (byte) 1);
    kept = null;
    System.out.println("ready");
    Thread.sleep(1000000);
  }
}
END
  cat >"$TAP_DIR/java.ini" <<END
[policy:default]
lazy_headroom = 60%
eager_headroom = 60%
full_headroom = 60%
[supervisor]
control = $socket
[service:it]
command = java -XX:+UseSerialGC $TAP_DIR/Garbage.java
memory_max = 400M
runtime_limits = yes
END
  "$spillway" run "$TAP_DIR/java.ini" >"$out" 2>"$log" &
  pid=$!
  at_exit_kill "$pid"
  tap_ok "a JVM makes garbage" wait_until 120 said ready "$out"
  jvm=$(pid_said it)
  tap_ok "at full its JVM gives it back" wait_until 60 anon_is_below "$jvm" 140
  tap_ok "which is said" wait_until 60 said 'it: runtime: GC.run of 1 JVM at full: resident' "$log"
  tap_diag "$(grep 'GC.run' "$log" | cut -c 1-160)"
  ctl limit it 300M
  tap_ok "another limit is told" wait_until 60 said 'it: runtime: 1 JVM: VM.set_flag SoftMaxHeapSize 220200[0-9]*$' "$log"
  kill -TERM "$pid"
  wait "$pid"
  tap_is "it stops cleanly" $? 0
fi

# What the README has a program of node do.
if command -v node >/dev/null; then
  {
    sed -n "s/^| node | \`\(process.on('SIGUSR2'.*\)\` |.*/\1/p" README.md
    echo 'let kept = []; for (let i = 0; i < 900000; i++) kept.push({ id: i, name: "n" + i, tags: ["x" + i % 97] }); kept = null'
    echo 'console.log("ready"); setInterval(() => {}, 1000000)'
  } >"$TAP_DIR/garbage.js"
  cat >"$TAP_DIR/node.ini" <<END
[policy:default]
lazy_headroom = 60%
eager_headroom = 60%
full_headroom = 60%
[service:it]
command = node $TAP_DIR/garbage.js
memory_max = 400M
on_pressure_signal = USR2
END
  "$spillway" run "$TAP_DIR/node.ini" >"$out" 2>"$log" &
  pid=$!
  at_exit_kill "$pid"
  tap_ok "node makes garbage" wait_until 120 said ready "$out"
  node=$(pid_said it)
  tap_diag "node: $(($(anon_kib "$node") >> 10)) MiB when it had made it"
  tap_ok "and collects it when it is told" wait_until 60 anon_is_below "$node" 120
  tap_diag "and $(($(anon_kib "$node") >> 10)) after that"
  kill -TERM "$pid"
  wait "$pid"
  tap_is "it stops cleanly" $? 0
fi

# What an operator sees of it.
cat >"$TAP_DIR/app.ini" <<END
[supervisor]
control = $socket
[service:it]
command = sleep 1000
runtime = go
runtime_limits = yes
memory_max = 400M
END
"$spillway" run "$TAP_DIR/app.ini" >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "a service runs" wait_until 60 state_is it RUNNING
ctl status -v
tap_ok "spillctl shows what it was given" said '^  runtime go, given GOMEMLIMIT=360MiB$' "$TAP_DIR/said"
ctl status --json
tap_ok "in JSON too" said '"runtime": "go"' "$TAP_DIR/said"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
