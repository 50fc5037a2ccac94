#!/bin/bash
# What spillway finds at start is what there is: A or B on a writable v2, D on hybrid hosts.
. "$(dirname "$0")/../support/system.sh"
cgroup_new modes || tap_skip_all "$CGROUP_WHY"
log=$TAP_DIR/log
out=$TAP_DIR/out

# mode_of COMMAND...: the line of spillway started through COMMAND
mode_of() {
  (cgroup_exec "$@" "$spillway" -v --memory-max=100M --name=leaf -- cat /proc/self/cgroup) >"$out" 2>"$log"
  grep -o 'mode [A-D]: .*' "$log"
}

has_capability() {
  setpriv --dump | grep '^Capability bounding set' | grep -qw sys_resource
}

if ! cgroup_v2 "$CGROUP_MEMORY"; then
  line=$(mode_of env)
  tap_diag "$line"
  tap_is "memory on v1 is mode D" "${line%%,*}" \
    "mode D: memory controller on cgroup v1 at $CGROUP_MEMORY: no leaves"
  if [ -n "$CGROUP" ]; then
    tap_is "and its stall is that of our own v2 cgroup" "${line##*; }" "stall from $CGROUP"
  else
    tap_skip "stall" "no v2 tree"
  fi
  tap_ok "the service stays in our cgroup" grep -q ":memory:.*/$(basename "$CGROUP_MEMORY")$" "$out"
  tap_skip "modes A and B" "the memory controller is on cgroup v1"
  tap_done
fi

if has_capability; then
  line=$(mode_of env)
  tap_diag "$line"
  tap_is "writable with CAP_SYS_RESOURCE is mode A" "$line" \
    "mode A: cgroup v2 at $CGROUP_MEMORY, writable, PSI triggers down to 500 ms"
  tap_is "the service is in a leaf of its own" "$(cat "$out")" \
    "0::${CGROUP_MEMORY#"$(cgroup_mount cgroup2)"}/leaf"
else
  tap_skip "mode A" "no CAP_SYS_RESOURCE"
fi
line=$(mode_of setpriv --bounding-set -sys_resource --inh-caps -sys_resource)
tap_diag "$line"
case $line in
"mode B: cgroup v2 at $CGROUP_MEMORY, writable, PSI triggers from 2 s (no CAP_SYS_RESOURCE)" | \
  "mode B: cgroup v2 at $CGROUP_MEMORY, writable, no PSI triggers (the kernel refuses them)")
  tap_pass "without it, it is mode B" ;;
*) tap_fail "without it, it is mode B" "$line" ;;
esac
tap_is "the service is in a leaf of its own there, too" "$(cat "$out")" \
  "0::${CGROUP_MEMORY#"$(cgroup_mount cgroup2)"}/leaf"

# Limits and their leaf, seen from inside.
(cgroup_exec "$spillway" --memory-max=100M --memory-high=80M --name=leaf -- \
  sh -c 'cd "$1$(cut -c 4- /proc/self/cgroup)" && cat memory.max memory.high memory.oom.group' sh \
  "$(cgroup_mount cgroup2)") >"$out" 2>"$log"
tap_is "the leaf has its limits" "$(tr '\n' ' ' <"$out")" "104857600 83886080 0 "
cgroup_limit "$CGROUP_MEMORY" $((200 << 20))
(cgroup_exec "$spillway" --memory-max=50% --name=leaf -- \
  sh -c 'cat "$1$(cut -c 4- /proc/self/cgroup)/memory.max"' sh "$(cgroup_mount cgroup2)") >"$out" 2>"$log"
tap_is "a share is one of the wall above" "$(cat "$out")" 104857600

# In the root of a cgroup namespace, as in a container, all processes are ours to move, and they are
# moved back at the end.
cat >"$TAP_DIR/inside" <<'END'
mount --make-rprivate / && umount /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup || exit 9
sleep 1000 &
"$1" -v --name=leaf -- sh -c "cat /proc/self/cgroup /proc/$!/cgroup"
cat /proc/$!/cgroup
kill $!
END
(cgroup_exec unshare --cgroup --mount -- sh "$TAP_DIR/inside" "$spillway") >"$out" 2>"$log"
status=$?
if [ $status = 9 ]; then
  tap_skip "a container's root" "${TAP_ROOT}no namespaces here"
else
  tap_diag "$(grep -o 'mode .*' "$log")"
  tap_is "a container's processes go to the supervisor's leaf and back" "$(tr '\n' ' ' <"$out")" \
    "0::/leaf 0::/supervisor 0::/ "
  tap_is "and nothing is left behind" "$(find "$CGROUP_MEMORY" -mindepth 1 -type d | wc -l) $(cat "$CGROUP_MEMORY/cgroup.subtree_control")" "0 "
fi
tap_done
