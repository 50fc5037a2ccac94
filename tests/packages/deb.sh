#!/bin/bash
# The Debian packages: lintian, hardening, and a life in a small Debian: installed, upgraded, run, purged.
set -u
cd "$(dirname "$0")/../.." || exit 2
. tests/support/tap.sh
[ "$(id -u)" -eq 0 ] || tap_skip_all "needs root: a Debian is unpacked and entered"
version=$(dpkg-parsechangelog -l packaging/debian/changelog -S Version)
machine=$(dpkg --print-architecture)
made() {
	echo "build/dist/$1_${2:-$version}_$([[ $1 == *-d* ]] && echo all || echo "$machine").deb"
}
names=(libspillway0 spillway spillway-dev spillway-doc)
packages=()
for name in "${names[@]}"; do
	packages+=("$(made "$name")")
done
[ -e "${packages[3]}" ] || {
	echo "Bail out! ${packages[3]} is not built: make deb"
	exit 1
}
tap_is "the version is make's" "$(sed -n 's/^VERSION := //p' Makefile)" "$version"
tap_is "lintian has nothing to complain of" \
	"$(lintian --allow-root --fail-on none -I "build/dist/spillway_${version}_$machine.changes" 2>&1)" ""

root=$TAP_DIR/root
mkdir "$root"
tar -x -C "$root" -f "$(tests/packages/root)" --exclude=./dev/* || exit 1
inside() {
	unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" \
		chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
}
# All files but dpkg's own notes and what the tools cache.
files() {
	(cd "$root" && find . -path ./var/lib/dpkg -prune -o -path ./var/log -prune -o -path ./var/cache -prune -o \
		-path ./older -prune -o -path ./now -prune -o -name 'ld.so.cache*' -prune -o -print) | sort
}
mkdir "$root/older" "$root/now"
cp "${packages[@]}" "$root/now"
# The same packages under the number of a release before.
for package in "${packages[@]}"; do
	dpkg-deb -R "$package" "$TAP_DIR/unpacked"
	sed -i "s/\b$version\b/0.0.1/" "$TAP_DIR/unpacked/DEBIAN/control"
	dpkg-deb --root-owner-group -b "$TAP_DIR/unpacked" "$root/older" >&2
	rm -rf "$TAP_DIR/unpacked"
done
files >"$TAP_DIR/before"
version_inside() {
	inside dpkg-query -W -f '${db:Status-Abbrev}${Version}\n' "${names[@]}" | sort -u
}
tap_ok "the packages are installed" inside sh -c 'dpkg -i /older/*.deb'
tap_is "all of them are there" "$(version_inside)" "ii 0.0.1"
echo '[service:app]' >"$root/etc/spillway/app.ini"
tap_ok "they are upgraded" inside sh -c 'dpkg -i /now/*.deb'
tap_is "to this version" "$(version_inside)" "ii $version"
tap_is "a file of the administrator stays" "$(cat "$root/etc/spillway/app.ini")" "[service:app]"

tap_ok "spillway -- true" inside spillway -- true
tap_ok "it finds the library" inside spillway -- grep -q '/usr/lib/.*libspillway.so' /proc/self/maps
tap_ok "spillctl --help" inside spillctl --help
# shellcheck disable=SC2016
tap_ok "the library is found by its name" inside sh -c \
	'LD_PRELOAD=libspillway.so grep -q "/usr/lib/.*libspillway.so" /proc/self/maps'
example=/usr/share/doc/spillway/examples/spillway.ini
cp "$root$example" "$root/etc/spillway/example.ini"
printf '[service:app]\ncommand = sleep 1000\nuser = www-data\npolicy = default\n' >>"$root/etc/spillway/example.ini"
tap_ok "the example, with a service, is right" inside spillway check /etc/spillway/example.ini
tap_is "a user is found" "$(printf '[service:app]\ncommand = id -un\nuser = www-data\n' >"$root/etc/spillway/user.ini"
	inside spillway -q run /etc/spillway/user.ini)" "www-data"

is_hardened() {
	readelf -h "$1" | grep -q 'Type: *DYN' && readelf -lW "$1" | grep -q GNU_RELRO && readelf -dW "$1" | grep -q 'BIND_NOW\|NOW' &&
		! readelf -lW "$1" | grep -q 'GNU_STACK.*RWE' && readelf --dyn-syms -W "$1" | grep -q '__stack_chk_fail\|_chk@'
}
for file in usr/bin/spillway usr/bin/spillctl usr/lib/*/libspillway.so usr/lib/*/libspillway-agent.so; do
	# shellcheck disable=SC2086
	tap_ok "$file is hardened" is_hardened "$(echo "$root"/$file)"
done
if command -v systemd-analyze >/dev/null; then
	mkdir -p "$root/etc/systemd/system"
	cp "$root/lib/systemd/system/spillway@.service" "$TAP_DIR/spillway@app.service"
	sed -i "s,/usr/bin/spillway,$root&," "$TAP_DIR/spillway@app.service"
	tap_is "systemd understands the unit" \
		"$(systemd-analyze verify "$TAP_DIR/spillway@app.service" 2>&1 | grep spillway@ | grep -v "'MemoryPressureWatch'\|man ")" ""
	rmdir "$root/etc/systemd/system" 2>/dev/null
else
	tap_skip "systemd understands the unit" "systemd is not installed"
fi

tap_ok "they are removed" inside dpkg -r "${names[@]}"
tap_ok "the administrator's file is still there" test -e "$root/etc/spillway/app.ini"
rm "$root/etc/spillway/"*.ini
tap_ok "they are purged" inside dpkg -P "${names[@]}"
files >"$TAP_DIR/after"
tap_is "nothing is left" "$(diff "$TAP_DIR/before" "$TAP_DIR/after")" ""
tap_done
