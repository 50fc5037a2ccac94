#!/bin/bash
# What a heap must not trust: wrong pointers, threads, forks and signals at the worst moment.  TAP;
# after make all programs.
#   BUILD: the variant's folder, build/release unless set
#   SOAK:  how many times as much as usual
. "$(dirname "$0")/../support/preload.sh"

# SIGABRT, and one line that names the call, the fault and the address.
stops() {
	local status
	sh -c 'ulimit -c 0; LD_PRELOAD=$1 "$2" "$3" "$4"; exit $?' sh "$LIB" "$programs/misuse" "$1" "$2" \
		2>"$TAP_DIR/stderr" >"$TAP_DIR/stdout"
	status=$?
	[ "$status" -eq 134 ] && [ "$(grep -vcx 'Aborted.*' "$TAP_DIR/stderr")" -eq 1 ] &&
		grep -qEx "(free|$3)\(\): (double free|invalid pointer) $(cat "$TAP_DIR/stdout")" \
			"$TAP_DIR/stderr" && return
	echo "status $status, pointer $(cat "$TAP_DIR/stdout"), said: $(cat "$TAP_DIR/stderr")" >&2
	return 1
}

plugin() {
	g++ -std=c++17 -O2 -Wall -Wextra -shared -fPIC -fno-gnu-unique -o "$TAP_DIR/plugin.so" \
		tests/preload/plugin.cc && under "$programs/libraries" "$TAP_DIR/plugin.so"
}

deepbind() {
	local at=$TAP_DIR/deepbind
	mkdir -p "$at/inner" &&
		gcc -O2 -D_GNU_SOURCE -DINNER -shared -fPIC -o "$at/inner/libinner.so" tests/preload/deepbind.c &&
		gcc -O2 -D_GNU_SOURCE -DMIDDLE -shared -fPIC -Wl,--enable-new-dtags,-rpath,"\$ORIGIN/inner" \
			-o "$at/middle.so" tests/preload/deepbind.c &&
		under "$programs/deepbind" "$at/middle.so" "$at/inner/libinner.so"
}

thread_locals() {
	g++ -std=c++17 -O2 -Wall -Wextra -pthread -o "$TAP_DIR/thread_locals" \
		tests/preload/thread_locals.cc && under "$TAP_DIR/thread_locals"
}

for pointer in freed freed-large freed-huge freed-under-another freed-and-flushed \
	freed-with-its-slab freed-elsewhere freed-large-elsewhere freed-many-ago \
	moved never; do
	tap_ok "a line stops the program that frees twice: $pointer" stops $pointer free free
	tap_ok "a line stops the program that reallocs what is free: $pointer" stops $pointer realloc realloc
done
for pointer in freed-large freed-huge freed-with-its-slab; do
	tap_ok "a line stops the program that measures what is free: $pointer" \
		stops $pointer usable_size malloc_usable_size
done
for pointer in inside inside-odd inside-slab inside-large inside-large-odd inside-large-end stack data \
	code mmap glibc namespace low high nowhere unused-pages; do
	tap_ok "a line stops the program that frees what is no block: $pointer" stops $pointer free free
	tap_ok "a line stops the program that reallocs what is no block: $pointer" \
		stops $pointer realloc realloc
	tap_ok "a line stops the program that measures what is no block: $pointer" \
		stops $pointer usable_size malloc_usable_size
done
rule "garbage over all that is free harms nobody else" "$programs/garbage"
rule "threads allocate while others fork, and children fork, exec and have threads" \
	"$programs/fork_threads"
rule "a fork meets a thread that flushes all streams, and one that allocates with a stream" \
	"$programs/fork_streams"
rule "a handler that interrupts malloc and free may fork" "$programs/fork_in_handler"
rule "it may interrupt a fork, too" "$programs/fork_in_handler" fork
rule "also while eager is in force, where a fork gives back first" "$programs/fork_in_handler" eager
rule "vfork and posix_spawn leave the parent as it was" "$programs/spawn"
rule "destructors of a thread's keys free and allocate in every round" "$programs/thread_exit"
tap_ok "destructors of a thread's objects free and allocate" thread_locals
tap_ok "RTLD_DEEPBIND is harmless, and RUNPATH is the caller's" deepbind
rule "a program that defines a part of the family by glibc's names gets all from one heap" "$programs/partial"
rule "libraries come and go" "$programs/libraries"
tap_ok "libraries that allocate as they come and go" plugin
rule "signals at a high rate leave neither EINTR nor harm" "$programs/signals"
rule "the smallest stacks are large enough" "$programs/small_stack"
tap_done
