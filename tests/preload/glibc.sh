#!/bin/bash
# glibc's own tests of malloc under the preload library.  TAP.
#   BUILD: the variant's folder, build/release unless set
# They come with Debian's package of glibc's sources and stay out of this tree: they are unpacked and
# compiled with tests/preload/glibc.h in the place of what they include.  One that fails is run on
# glibc's own malloc, too: what fails there does not count.
# The programs are kept in $BUILD/glibc and made again when glibc, the compiler, glibc.h or this
# script changes: the library has no part in them.
. "$(dirname "$0")/../support/preload.sh"

# What is not run, and why.  All others are, also those that a newer glibc may bring.
inside="tests a part of glibc that programs cannot reach"
own="is about a way of glibc's to be watched or tuned"
declare -A left_out=(
	[tst-alloc_buffer]=$inside
	[tst-dynarray]=$inside
	[tst-dynarray-fail]=$inside
	[tst-dynarray-at-fail]=$inside
	[tst-scratch_buffer]=$inside
	[tst-compathooks-off]=$own
	[tst-compathooks-on]=$own
	[tst-mallocstate]=$own
	[tst-mtrace]=$own
	[tst-mxfast]=$own
	[tst-malloc-usable]="wants usable sizes to be what was asked for, as glibc has them with MALLOC_CHECK_"
	[tst-malloc-usable-tunables]="wants usable sizes to be what was asked for, as glibc has them with MALLOC_CHECK_"
	[tst-safe-linking]="writes into freed blocks and wants glibc's words for it"
	[tst-malloc-backtrace]="writes before a block, where glibc keeps its size"
	[tst-malloc-stats-cancellation]="wants glibc's words from malloc_stats"
	[tst-malloc_info]="takes 640 MiB to print figures that it does not look at; info.c does"
	[tst-free-errno]="maps over the pages beside a block; rules.c has errno after free"
	[tst-tcfree2]="wants a second free to show at once; here it may show as late as the cache is emptied: abuse.sh"
	[tst-interpose-static-nothread]="is static: nothing is preloaded"
	[tst-interpose-static-thread]="is static: nothing is preloaded"
)

# Files that are parts of tests.
parts=' tst-interpose-aux tst-interpose-aux-nothread tst-interpose-aux-thread tst-interpose-skeleton '

archive=$(compgen -G '/usr/src/glibc/glibc-*.tar.xz' | sort -V | tail -n 1)
[ -n "$archive" ] || tap_skip_all "glibc-source is not installed"
key=$({ stat -Lc '%n %s %Y' "$archive" /lib/x86_64-linux-gnu/libc.so.6 "$(command -v gcc)"
	cat tests/preload/glibc.h tests/preload/glibc.sh; } 2>/dev/null | sha256sum | cut -c 1-32)
kept=$BUILD/glibc/$key
source=$TAP_DIR/glibc
mkdir -p "$source" "$TAP_DIR/include/support" "$TAP_DIR/made"

unpack() {
	tar -xJf "$archive" -C "$source" --strip-components=1 --wildcards '*/malloc/tst-*' '*/malloc/mallocbug.c'
}

for name in support/{check,support,xthread,xunistd,xsignal,temp_file,test-driver}.h \
	array_length.h libc-diag.h malloc-size.h; do
	echo '#include "tests/preload/glibc.h"' >"$TAP_DIR/include/$name"
done
cat >"$TAP_DIR/include/support/test-driver.c" <<'SOURCE'
#include "tests/preload/glibc.h"
#ifndef TIMEOUT
#define TIMEOUT DEFAULT_TIMEOUT
#endif
#ifndef EXPECTED_SIGNAL
#define EXPECTED_SIGNAL 0
#endif
int main(void)
{
	return glibc_main(do_test, TIMEOUT, EXPECTED_SIGNAL);
}
SOURCE
cp "$TAP_DIR/include/support/test-driver.c" "$source/test-skeleton.c"
export TMPDIR=$TAP_DIR

compile() {
	local also=()
	case $1 in
	tst-malloc-thread-fail)
		sed -i 's/posix_memalign (&/glibc_&/' "$source/malloc/$1.c"
		also=(-include tests/preload/glibc.h)
		;;
	# Its 10 000 rounds are some 60 000 forks: minutes, with any malloc.
	tst-mallocfork2) sed -i 's/iterations = 10000/iterations = 1000/' "$source/malloc/$1.c" ;;
	tst-interpose-*) also=("$source/malloc/tst-interpose-aux-${1##*-}.c") ;;
	esac
	# The calls are to be made, whatever the compiler knows of malloc.
	gcc -std=gnu11 -O2 -g -w -fno-builtin -D_GNU_SOURCE -pthread -I. -I"$TAP_DIR/include" \
		-o "$TAP_DIR/made/$1" "$source/malloc/$1.c" "${also[@]}"
}

# two_at_a_time FUNCTION: of every test that is not left out.  Some only wait.
two_at_a_time() {
	local test
	for test in "${tests[@]}"; do
		[[ -z ${left_out[$test]:-} && $parts != *" $test "* ]] || continue
		"$1" "$test" &
		[ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
	done
	wait
}

# Makes TEST, and leaves what the compiler said where it could not.
make_one() {
	local at=$TAP_DIR/made/$1
	! compile "$1" >"$at.refused" 2>&1 || rm "$at.refused"
}

run_one() {
	LD_PRELOAD=$LIB "$kept/$1" >"$TAP_DIR/$1.said" 2>&1
	echo $? >"$TAP_DIR/$1.status"
}

if [ ! -d "$kept" ]; then
	unpack || { tap_fail "the tests are unpacked"; tap_done; }
	mapfile -t tests < <(cd "$source/malloc" && printf '%s\n' *.c | sed 's/\.c$//')
	printf '%s\n' "${tests[@]}" >"$TAP_DIR/made/tests"
	two_at_a_time make_one
	rm -rf "$BUILD/glibc"
	mkdir -p "$BUILD/glibc"
	# As a whole, or not at all.
	cp -r "$TAP_DIR/made" "$kept.new" && mv "$kept.new" "$kept"
fi
mapfile -t tests <"$kept/tests"
two_at_a_time run_one
for test in "${tests[@]}"; do
	name="glibc's $test"
	[[ $parts != *" $test "* ]] || continue
	if [ -n "${left_out[$test]:-}" ]; then
		tap_skip "$name" "${left_out[$test]}"
		continue
	fi
	status=$(cat "$TAP_DIR/$test.status")
	if [ -e "$kept/$test.refused" ]; then
		tap_fail "$name" "does not compile: $(cat "$kept/$test.refused")"
	elif [ "$status" -eq 0 ]; then
		tap_pass "$name"
	elif ! "$kept/$test" >"$TAP_DIR/alone" 2>&1; then
		tap_skip "$name" "fails with glibc's own malloc, too: $(tail -n 1 "$TAP_DIR/alone")"
	else
		tap_fail "$name" "status $status: $(tail -n 20 "$TAP_DIR/$test.said")"
	fi
done
tap_done
