#!/bin/bash
# Where system calls or descriptors are refused, a command runs all the same, and what is missing is said.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
log=$TAP_DIR/log
refuse=$BUILD/tests/system/refuse
[ -x "$refuse" ] || {
	echo "Bail out! $refuse is not built"
	exit 1
}

if "$refuse" unix true 2>/dev/null; then
	"$refuse" unix "$spillway" -v -- sh -c 'exit 3' 2>"$log"
	tap_is "without AF_UNIX" $? 3
	tap_ok "which is said" said 'no listener for links: Operation not permitted' "$log"
	"$refuse" getrandom "$spillway" -v -- sh -c 'exit 3' 2>"$log"
	tap_is "without getrandom" $? 3
	tap_ok "there is a listener all the same" eval '! said "no listener" "$log"'
else
	tap_skip "refused system calls" "no filter can be put on here"
fi

mark=$((300000 + $$))
# What a supervisor with too few can do without is given up for what it cannot.
bad=
for limit in 40 34 30 28 26 24 22 20 19 18 17 16; do
	# Beyond the first look at its memory, which opens what is left.
	(ulimit -n $limit && exec "$spillway" -v -- sh -c 'setsid sleep "$0" & sleep 0.05; exit 3' "$mark") 2>"$log"
	status=$?
	[ $status -eq 3 ] || bad="$bad $limit:$status"
	! pgrep -f "sleep $mark" >/dev/null || bad="$bad $limit:orphan"
done
tap_is "with as few as 16 descriptors, orphans ended" "$bad" ""
tap_ok "a shim that cannot be had is said" said 'shim: none (no link could be made)' "$log"

# /proc may be missing, or an empty folder: all of the PID namespace are ours then.
if unshare --fork --pid --mount --mount-proc true 2>/dev/null; then
	cat >"$TAP_DIR/daemon" <<-'PERL'
		#!/usr/bin/perl
		$SIG{TERM} = sub { open(my $out, ">", "$0.told"); exit };
		open(my $up, ">", "$0.up");
		sleep 1000;
	PERL
	chmod +x "$TAP_DIR/daemon"
	bounded 20 unshare --fork --pid --mount sh -c 'umount -l /proc
		exec "$0" -v -- sh -c "setsid \$0 & until [ -e \$0.up ]; do sleep 0.05; done; exit 4" "$1"' \
		"$spillway" "$TAP_DIR/daemon" 2>"$log"
	tap_is "without /proc the status is the command's" $? 4
	tap_ok "and orphans are told to end" test -e "$TAP_DIR/daemon.told"
else
	tap_skip "without /proc" "${TAP_ROOT}a PID namespace cannot be made here"
fi
tap_done
