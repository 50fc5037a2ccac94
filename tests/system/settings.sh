#!/bin/bash
# What a service's section says of its cgroup besides its limits: the kernel has it, and does as told.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
cgroup_new settings || tap_skip_all "$CGROUP_WHY"
cgroup_v2 "$CGROUP_MEMORY" || tap_skip_all "there are no leaves on cgroup v1"
log=$TAP_DIR/log
file=$TAP_DIR/services.ini
out=$TAP_DIR/out

# Forks until it may not, and then waits.
cat >"$TAP_DIR/forks" <<'EOF'
for (1 .. 100) {
  my $child = fork;
  last unless defined $child;
  sleep 1000 unless $child;
}
sleep 1000;
EOF

value_is() {
  [ "$(cat "$CGROUP_MEMORY/$1/$2" 2>/dev/null)" = "$3" ]
}

is_empty() {
  grep -q 'populated 0' "$CGROUP_MEMORY/$1/cgroup.events"
}

refused_a_fork() {
  awk '$1 == "max" && $2 > 0 { found = 1 } END { exit !found }' "$CGROUP_MEMORY/forks/pids.events" 2>/dev/null
}

hand_out() { # CONTROLLER; says yes or no
  if echo "+$1" >"$(dirname "$CGROUP_MEMORY")/cgroup.subtree_control"; then
    echo yes
  else
    echo no
  fi 2>/dev/null
}
handed_out=$(hand_out pids)
cpu_handed_out=$(hand_out cpu)
hand_out io >/dev/null

# A disk in memory, where the machine has the module.
disk=none
insmod "build/vm/${SPILLWAY_VM:-none}/extra/brd.ko" rd_nr=1 rd_size=4096 2>/dev/null && disk=/dev/ram0
numbers=$(cat /sys/block/ram0/dev 2>/dev/null)

# A group of two, of which one grows over the limit of both.
cat >"$file" <<EOF
[service:forks]
command = perl $TAP_DIR/forks
pids_max = 20
autorestart = false
[service:shares]
command = sh -c 'while :; do :; done'
cpu_max = 10%
cpu_weight = 50
io_weight = 200
$([ $disk = none ] || echo "io_max = $disk wbps=1M riops=100")
[service:group]
command = sh -c 'sleep 1000 & $memory hog 100; wait'
memory_max = 48M
memory_min = 4M
memory_low = 10%
memory_swap_max = 0
oom_group = yes
oom_score_adj = 500
shim = off
autorestart = false
EOF
(cgroup_exec "$spillway" run "$file") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
if [ "$handed_out" = yes ]; then
  tap_ok "a fork over pids_max is refused" wait_until 60 refused_a_fork
  tap_ok "the service has no more processes than that" \
    test "$(wc -l <"$CGROUP_MEMORY/forks/cgroup.procs")" -eq 20
else
  tap_ok "that pids_max has no effect is said" wait_until 60 said "forks: pids_max has no effect" "$log"
fi
# With the time that it may have it is held up in nearly every period.
is_held_up() {
  awk '$1 == "nr_throttled" && $2 > 2 { found = 1 } END { exit !found }' "$CGROUP_MEMORY/shares/cpu.stat" 2>/dev/null
}
io_max_is() {
  [ "$(cat "$CGROUP_MEMORY/shares/io.max")" = "$1" ]
}
if [ "$cpu_handed_out" = yes ]; then
  tap_ok "cpu_max is the leaf's" wait_until 60 value_is shares cpu.max "10000 100000"
  tap_ok "and holds a busy loop up" wait_until 60 is_held_up
  tap_ok "cpu_weight is the leaf's" value_is shares cpu.weight 50
else
  tap_ok "that cpu_max has no effect is said" wait_until 60 said 'shares: cpu_max, cpu_weight: no effect: the cpu controller' "$log"
fi
if [ -e "$CGROUP_MEMORY/shares/io.weight" ]; then
  tap_ok "io_weight is the leaf's" value_is shares io.weight "default 200"
else
  tap_ok "that there are no weights of disks is said" wait_until 60 said 'shares: io_weight has no effect: io.weight: not in this kernel' "$log"
fi
if [ $disk != none ]; then
  tap_ok "io_max is the leaf's" wait_until 60 io_max_is "$numbers rbps=max wbps=1048576 riops=100 wiops=max"
else
  tap_skip "io_max is the leaf's" "there is no disk to limit"
fi
tap_ok "an OOM kill takes the whole service" wait_until 60 said "group: OOM-killed" "$log"
tap_ok "also what it had started" wait_until 60 is_empty group
tap_diag "$(grep group "$log" | cut -c 1-180)"

cat >"$file" <<EOF
[service:shares]
command = sh -c 'while :; do :; done'
cpu_max = 0.2
[service:group]
command = sh -c 'sleep 1000 & cat /proc/self/oom_score_adj; wait'
memory_max = 48M
memory_min = 4M
memory_low = 10%
memory_swap_max = 0
oom_group = yes
oom_score_adj = 500
EOF
kill -HUP "$pid"
tap_ok "oom_score_adj is the process's" wait_until 60 grep -qx 500 "$out"
tap_ok "memory_min is the leaf's" value_is group memory.min $((4 << 20))
tap_ok "memory_low is a share of the wall" \
  test "$(cat "$CGROUP_MEMORY/group/memory.low")" -gt $((4 << 20))
tap_ok "oom_group is the leaf's" value_is group memory.oom.group 1
if [ -e "$CGROUP_MEMORY/group/memory.swap.max" ]; then
  tap_ok "memory_swap_max is the leaf's" value_is group memory.swap.max 0
else
  tap_ok "that there is no swap.max is said" grep -q 'memory_swap_max has no effect' "$log"
fi
loop=$(cat "$CGROUP_MEMORY/shares/cgroup.procs")
if [ -e "$CGROUP_MEMORY/shares/cpu.max" ]; then
  tap_ok "a reload changes cpu_max" wait_until 60 value_is shares cpu.max "20000 100000"
  tap_ok "and takes cpu_weight back" wait_until 60 value_is shares cpu.weight 100
fi
[ $disk = none ] || tap_ok "and io_max" wait_until 60 io_max_is ""
sed -i '/^memory_min/d; /^memory_low/d; /^oom_group/d; /^memory_swap/d' "$file"
kill -HUP "$pid"
tap_ok "a reload without them takes them back" wait_until 60 value_is group memory.min 0
tap_is "and the process stays" "$(cat "$CGROUP_MEMORY/shares/cgroup.procs")" "$loop"
tap_ok "all of them" value_is group memory.oom.group 0
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_is "and leaves nothing" "$(find "$CGROUP_MEMORY" -mindepth 1 -maxdepth 1 -type d)" ""
tap_diag "$(tail -n 12 "$log" | cut -c 1-180)"
tap_done
