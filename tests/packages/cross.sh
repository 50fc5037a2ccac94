#!/bin/bash
# The tarball for aarch64, of a cross compiler: the programs run, and the library takes malloc's place, under qemu.
set -u
cd "$(dirname "$0")/../.." || exit 2
. tests/support/tap.sh
[ "$(uname -m)" != aarch64 ] || tap_skip_all "this machine is one"
version=$(sed -n 's/^VERSION := //p' Makefile)
tarball=build/dist/spillway-$version-linux-aarch64.tar.gz
[ -e "$tarball" ] || {
	echo "Bail out! $tarball is not built: make dist-bin-aarch64"
	exit 1
}
tar -x -C "$TAP_DIR" --strip-components=1 -f "$tarball"
for file in bin/spillway bin/spillctl lib/libspillway.so lib/libspillway-agent.so; do
	tap_ok "$file is for aarch64" sh -c "readelf -h '$TAP_DIR/$file' | grep -q AArch64"
done
qemu-aarch64-static "$TAP_DIR/bin/spillway" -q -- sh -c 'exit 7'
tap_is "spillway runs a command and passes its status on" $? 7
tap_is "spillctl says its version" "$(qemu-aarch64-static "$TAP_DIR/bin/spillctl" --version)" "spillctl $version"
# The program of spillway.h(3).
awk '/^\.Bd/ { inside = 1; next } /^\.Ed/ { inside = 0 } inside' packaging/man/spillway.h.3 | sed 's/\\e/\\/g' >"$TAP_DIR/page.c"
root=$(packaging/sysroot aarch64)
aarch64-linux-gnu-gcc --sysroot="$root" -Ishim -o "$TAP_DIR/page" "$TAP_DIR/page.c"
tap_ok "a program finds the library preloaded" sh -c \
	"qemu-aarch64-static -L '$root' -E LD_PRELOAD='$TAP_DIR/lib/libspillway.so' '$TAP_DIR/page' | grep -qx 'idle [0-9]*, returned [0-9]*'"
tap_done
