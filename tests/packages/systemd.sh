#!/bin/bash
# The unit, run by Debian's systemd as the first process of a container of its own, on a stock kernel: it starts, tells
# that it is up, reloads, restarts and stops, and each service has a cgroup with limits of its own (mode A).
set -u
cd "$(dirname "$0")/../.." || exit 2
. tests/support/tap.sh
lower=$PWD/build/roots/systemd-root
if [ -z "${SPILLWAY_VM:-}" ]; then
	[ "$(id -u)" -eq 0 ] || tap_skip_all "needs root: a Debian is unpacked and entered"
	version=$(dpkg-parsechangelog -l packaging/debian/changelog -S Version)
	packages=()
	for name in libspillway0 spillway; do
		packages+=("build/dist/${name}_${version}_$(dpkg --print-architecture).deb")
	done
	ls "${packages[@]}" >/dev/null || { echo "Bail out! the packages are not built: make deb"; exit 1; }
	rm -rf "$lower" && mkdir -p "$lower"
	tar -x -C "$lower" -f "$(tests/packages/root systemd)" --exclude=./dev/* || exit 1
	cp "${packages[@]}" "$lower/tmp" && chroot "$lower" sh -c 'dpkg -i /tmp/*.deb' >&2 || exit 1
	rm "$lower"/tmp/*.deb
	exec tests/vm/run --kernel 6.12 "$0"
fi

# The machine's own root is in memory, and so is what systemd writes.
root=$TAP_DIR/box/root
mkdir -p "$TAP_DIR/box"
mount -t tmpfs box "$TAP_DIR/box"
mkdir -p "$TAP_DIR/box/upper" "$TAP_DIR/box/work" "$root"
mount -t overlay -o "lowerdir=$lower,upperdir=$TAP_DIR/box/upper,workdir=$TAP_DIR/box/work" box "$root"
unit=spillway@app.service
log=$root/run/app.log
go=$root/run/go
cgroup=/sys/fs/cgroup/box/system.slice/system-spillway.slice/$unit

mkdir -p "$root/etc/systemd/system/$unit.d"
printf '[Service]\nStandardOutput=file:/run/app.log\nStandardError=inherit\nWatchdogSec=60\n' >"$root/etc/systemd/system/$unit.d/log.conf"
cat >"$root/etc/spillway/app.ini" <<END
[service:db]
command = sh -c 'until test -e /run/go; do sleep 0.1; done; echo up >&3; exec 3>&-; exec sleep 1000'
notify = fd:3
memory_max = 64M
[service:web]
command = sleep 1001
after = db
END

# A container by hand: namespaces, a cgroup below ours, and what systemd wants to find there.
echo '+memory +pids' >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/box
cat >"$TAP_DIR/boot" <<END
set -e
exec unshare --pid --mount --uts --ipc --fork --kill-child sh -ec '
# The parent stays outside: in a cgroup with processes of its own no controller can be handed on.
echo 0 >/sys/fs/cgroup/box/cgroup.procs
exec unshare --cgroup sh -ec "
mount -t proc proc $root/proc
mount -t sysfs -o ro sysfs $root/sys
mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
mount -t tmpfs tmpfs $root/run
mount -t tmpfs tmpfs $root/dev
for name in null zero full random urandom tty; do
	touch $root/dev/\\\$name
	mount --bind /dev/\\\$name $root/dev/\\\$name
done
exec chroot $root env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=basic.target
"
'
END
bash "$TAP_DIR/boot" >"$TAP_DIR/console" 2>&1 &
box=$!
at_exit_kill $box
init() {
	pgrep -o -x systemd
}
wait_until 60 init >/dev/null
inside() {
	cd /
	nsenter --all --root --target "$(init)" "$@" </dev/null
}
is_up() {
	inside systemctl is-active --quiet basic.target
}
property() {
	inside systemctl show --value -p "$1" $unit
}
property_is() {
	[ "$(property "$1")" = "$2" ]
}
said() {
	inside grep -q "$1" /run/app.log
}
wait_until 60 is_up 2>/dev/null || {
	tap_diag "$(tail -n 20 "$TAP_DIR/console")"
	echo "Bail out! systemd does not come up"
	exit 1
}
tap_diag "$(inside systemctl --version | head -n 1)"

inside systemctl start --no-block $unit
tap_ok "the unit starts" wait_until 60 said 'db: started'
tap_is "it is activating while a service is not up" "$(property ActiveState)" activating
inside touch /run/go
tap_ok "and active when all are" wait_until 60 property_is ActiveState active
tap_ok "with all of cgroup v2" said 'mode A: cgroup v2'
tap_diag "$(inside grep -m 1 'mode [A-D]' /run/app.log)"
tap_ok "what it is at is shown" wait_until 60 property_is StatusText "2 of 2 services up"
tap_is "a service has a cgroup with its own limit" "$(cat "$cgroup/db/memory.max")" $((64 << 20))
tap_is "and does not find systemd's socket" \
	"$(tr '\0' '\n' <"/proc/$(pgrep -fx 'sleep 1001')/environ" | grep -c 'NOTIFY_SOCKET\|WATCHDOG_')" 0
tap_ok "systemd's watchdog hears of it" test "$(property WatchdogTimestampMonotonic)" -gt 0

db=$(pgrep -fx 'sleep 1000')
inside sh -c 'printf "[service:log]\ncommand = sleep 1002\n" >>/etc/spillway/app.ini'
tap_ok "it reloads" inside systemctl reload $unit
tap_ok "and runs what is new" wait_until 60 pgrep -fx 'sleep 1002'
tap_ok "it is active again" wait_until 60 property_is StatusText "3 of 3 services up"
tap_is "active as before" "$(property ActiveState)/$(property SubState)" active/running
inside sh -c 'echo nonsense >>/etc/spillway/app.ini'
inside systemctl reload $unit
tap_ok "a wrong file is said" wait_until 60 said 'app.ini: not reloaded'
tap_ok "and the unit stays active" wait_until 60 property_is SubState running
tap_is "nothing was restarted meanwhile" "$(pgrep -fx 'sleep 1000')" "$db"

inside sed -i /nonsense/d /etc/spillway/app.ini
before=$(property MainPID)
inside sh -c "kill -KILL $before"
is_another() {
	property_is SubState running && ! property_is MainPID "$before"
}
tap_ok "a killed supervisor is started again" wait_until 60 is_another
tap_ok "and its services run once" wait_until 60 property_is StatusText "3 of 3 services up"
tap_is "each" "$(pgrep -fxc 'sleep 100[012]')" 3
tap_ok "it stops" inside systemctl stop $unit
tap_is "well" "$(property ActiveState) $(property Result)" "inactive success"
tap_is "nothing is left of its cgroups" "$(ls -d "$cgroup" 2>/dev/null)" ""
tap_is "nor of its processes" "$(pgrep -fx 'sleep 100[012]')" ""
tap_done
