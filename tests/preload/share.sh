#!/bin/bash
# The page of figures that a process shares, and the names of its mappings.  TAP; after make all
# programs.
#   BUILD: the variant's folder, build/release unless set
. "$(dirname "$0")/../support/preload.sh"
unset SPILLWAY_LIMIT SPILLWAY_VERBOSE
mkdir "$TAP_DIR/share"
export SPILLWAY_SHARE=$TAP_DIR/share

# share NAME WHAT: afterwards no page is left, unless a process was killed.
share() {
	rule "$1" "$programs/share" "$2" "$TAP_DIR/share"
	tap_ok "and at its end nothing is left" eval '! ls "$TAP_DIR/share" | grep -q .'
}

share "a process that grew shares its figures" look
share "its child shares its own" fork
share "a new program takes the place of the one before exec" exec
share "under a limit of file sizes there is no page, and no signal" no-file-size
rule "those that are killed leave few pages" "$programs/share" kills "$SPILLWAY_SHARE"
rm -f "$SPILLWAY_SHARE"/*
SPILLWAY_SHARE=off share "SPILLWAY_SHARE=off: none" none
SPILLWAY_SHARE=$TAP_DIR/missing share "a directory that is missing is none" none

name="a file system that is full is none"
mkdir "$TAP_DIR/full"
if unshare -m sh -c 'mount -t tmpfs -o size=4k none "$1" && : >"$1/file" && head -c 4096 /dev/zero >"$1/file"' - \
	"$TAP_DIR/full" 2>/dev/null; then
	# shellcheck disable=SC2016
	tap_ok "$name" unshare -m sh -c 'mount -t tmpfs -o size=4k none "$1" && head -c 4096 /dev/zero >"$1/file" &&
		LD_PRELOAD=$2 SPILLWAY_SHARE=$1 "$3" none "$1"' - "$TAP_DIR/full" "$LIB" "$programs/share"
else
	tap_skip "$name" "nothing can be mounted here"
fi

names() {
	local status
	under "$programs/share" names "$SPILLWAY_SHARE"
	status=$?
	if [ $status -eq 77 ]; then
		tap_skip "the kernel names the heap's mappings" "this kernel has no names for mappings"
	else
		tap_ok "the kernel names the heap's mappings" [ $status -eq 0 ]
	fi
}
names

bad() {
	SPILLWAY_SHARE=$1 under "$programs/early" &&
		grep -q "^spillway: bad SPILLWAY_SHARE '.*: expected auto, off, or .*; using the default\$" "$TAP_DIR/stderr" &&
		[ "$(wc -l <"$TAP_DIR/stderr")" -eq 1 ]
}
for value in "" no relative/directory "/$(printf '%0300d' 0)"; do
	tap_ok "bad: SPILLWAY_SHARE=${value:0:40}" bad "$value"
done

verbose() {
	SPILLWAY_VERBOSE=$1 under "$programs/early" && [ "$(grep -c "$2" "$TAP_DIR/stderr")" -eq "$3" ]
}
tap_ok "SPILLWAY_VERBOSE=on: a line at the start" verbose on \
	'^spillway: libspillway.so [0-9.]* is the allocator of process [0-9]*, without a supervisor$' 1
tap_ok "SPILLWAY_VERBOSE=off: none" verbose off . 0
tap_ok "bad: SPILLWAY_VERBOSE=1" verbose 1 "bad SPILLWAY_VERBOSE '1': expected on or off" 1
tap_done
