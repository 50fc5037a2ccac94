# shellcheck shell=bash
# What the scripts of tests/preload/ that run tiny programs start with, sourced from anywhere:
#
#   . "$(dirname "$0")/../support/preload.sh"
#
# Goes to the repository's root, brings in tap.sh, and sets
#   BUILD      the variant's folder, absolute; build/release unless given
#   LIB        the preload library
#   programs   the folder of the tiny programs
# and has
#   under COMMAND...       runs it under the library; SOAK=N makes the programs' loads N times as
#                          long.  A process of it may use 60 * SOAK seconds of CPU time
#   rule NAME COMMAND...   a test: the command ends with 0 under the library
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
. tests/support/tap.sh
BUILD=$(realpath "${BUILD:-build/release}")
LIB=$BUILD/lib/libspillway.so
programs=$BUILD/tests/preload
unset SPILLWAY_LINK MEMORY_PRESSURE_WATCH MEMORY_PRESSURE_WRITE
[ -e "$LIB" ] || {
	tap_fail "the library is built" "$LIB is missing"
	tap_done
}

under() {
	(ulimit -t $((60 * ${SOAK:-1})) && exec env LD_PRELOAD="$LIB" "$@") 2>"$TAP_DIR/stderr" >"$TAP_DIR/stdout" ||
		{ local status=$?; cat "$TAP_DIR/stderr" >&2; return $status; }
}

rule() {
	local name=$1
	shift
	tap_ok "$name" under "$@"
}
