#!/bin/bash
# The preload library where it was not built: older and newer glibc, musl, static programs, no libc.
# Every program starts and behaves as without it, and its loader says nothing.  TAP; after make all programs.
#   BUILD:  the variant's folder, build/release unless set
#   MATRIX: 1: more releases, larger programs, and the tiny programs on the oldest glibc as well, which takes
#           minutes; make matrix
. "$(dirname "$0")/../support/preload.sh"
MATRIX=${MATRIX:-}
# A bad value of it is told by the library's constructor.
told="spillway: bad SPILLWAY_HUGE_PAGES 'here': expected on or off; using the default"

# outcome NAME COMMAND...: what it writes and how it ends goes to $TAP_DIR/NAME.
outcome() {
	local into=$TAP_DIR/$1
	shift
	"$@" >"$into" 2>&1 </dev/null
	echo "status $?" >>"$into"
}

# same STARTER COMMAND...: the command, started by STARTER, which preloads $preload if that is not empty, does
# the same with $library and without.
library=$LIB
same() {
	preload='' outcome without "$@"
	preload=$library outcome with "$@"
	grep -qx 'status 0' "$TAP_DIR/without" || { echo "without the library: $(tail -n 3 "$TAP_DIR/without")" >&2; return 1; }
	diff "$TAP_DIR/without" "$TAP_DIR/with" >&2
}

# loaded STARTER COMMAND...: the same, and the library has run.
loaded() {
	same "$@" || return
	preload=$LIB SPILLWAY_HUGE_PAGES=here outcome told "$@"
	grep -qxF "$told" "$TAP_DIR/told" || { echo "not loaded: $(tail -n 3 "$TAP_DIR/told")" >&2; return 1; }
}

# kept STARTER COMMAND...: the same as loaded, with the agent.
agent=${LIB%/*}/libspillway-agent.so
agent_told="spillway: bad SPILLWAY_SCAVENGE 'here': .*"
kept() {
	local library=$agent
	same "$@" || return
	preload=$agent SPILLWAY_SCAVENGE=here outcome told "$@"
	grep -qx "$agent_told" "$TAP_DIR/told" || { echo "not loaded: $(tail -n 3 "$TAP_DIR/told")" >&2; return 1; }
}

here() {
	bounded 30 env ${preload:+"LD_PRELOAD=$preload"} "$@"
}

# In the tree $tree, which has both libraries in its root.
inside() {
	# shellcheck disable=SC2016  # for the inner shell
	bounded 60 unshare --mount sh -c 'mount --rbind /proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"' "$tree" \
		/usr/bin/env -i PATH=/usr/bin:/usr/sbin HOME=/tmp LC_ALL=C ${SPILLWAY_HUGE_PAGES:+SPILLWAY_HUGE_PAGES=here} \
		${SPILLWAY_SCAVENGE:+SPILLWAY_SCAVENGE=here} ${preload:+"LD_PRELOAD=/${preload##*/}"} "$@"
}

# --- a release of Debian --------------------------------------------------------------------

python_threads='
import sys, threading
def run():
	for size in range(1, 3000): kept.append(bytearray(size))
kept = []
threads = [threading.Thread(target=run) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(kept), sum(map(len, kept)))'
nginx_conf='daemon off; master_process on; worker_processes 2; user root; pid /tmp/nginx.pid; error_log /tmp/nginx.log;
	events {} http { access_log off; server { listen unix:/tmp/nginx.sock; location / { return 200 "served\n"; } } }'
python_nginx='
import os, signal, socket, subprocess, sys, time
server = subprocess.Popen(["nginx", "-c", "/tmp/nginx.conf"])
until = time.monotonic() + 20
while True:
	try:
		client = socket.socket(socket.AF_UNIX)
		client.connect("/tmp/nginx.sock")
		break
	except OSError:
		if time.monotonic() > until or server.poll() is not None: sys.exit("nginx does not answer")
		time.sleep(0.01)
client.sendall(b"GET / HTTP/1.0\r\n\r\n")
answer = b""
while True:
	part = client.recv(4096)
	if not part: break
	answer += part
print(answer.decode().splitlines()[0], answer.decode().splitlines()[-1])
server.send_signal(signal.SIGQUIT)
print(server.wait())
os.path.exists("/tmp/nginx.sock") and os.remove("/tmp/nginx.sock")'
packages=(libc6 dash bash coreutils busybox python3-minimal nginx-light)
[ -z "$MATRIX" ] || packages+=(nodejs perl-base libc6-dev redis-server)

tree_tests() {
	local suite=$1 why
	if [ "$(id -u)" -ne 0 ]; then
		tap_skip "programs of $suite start" "needs root"
		return
	fi
	tree=$(tests/support/tree "$suite" "${packages[@]}" 2>"$TAP_DIR/why") || {
		why=$(tail -n 1 "$TAP_DIR/why")
		tap_skip "programs of $suite start" "${why:-its packages cannot be had}"
		return
	}
	cp "$LIB" "$agent" "$tree" && echo "$nginx_conf" >"$tree/tmp/nginx.conf" &&
		echo "$python_threads" >"$tree/tmp/threads.py" && echo "$python_nginx" >"$tree/tmp/nginx.py" || return
	tap_ok "$suite: true" loaded inside /usr/bin/true
	tap_ok "$suite: sh" loaded inside /bin/sh -c 'echo $(echo of a child) | cat'
	tap_ok "$suite: bash" loaded inside bash -c 'for i in {1..2000}; do a[i]=$(((i * 7) % 13)); done; echo ${#a[@]} $(exit 3; echo no)'
	tap_ok "$suite: busybox" loaded inside busybox sh -c 'busybox seq 1000 | busybox sort -r | busybox tail -n 1'
	tap_ok "$suite: python3 with threads" loaded inside python3 /tmp/threads.py
	tap_ok "$suite: nginx serves" loaded inside python3 /tmp/nginx.py
	tap_ok "$suite: sh with the agent" kept inside /bin/sh -c 'echo $(echo of a child) | cat'
	tap_ok "$suite: python3 with threads and the agent" kept inside python3 /tmp/threads.py
	tap_ok "$suite: nginx serves with the agent" kept inside python3 /tmp/nginx.py
	[ -n "$MATRIX" ] || return
	tap_ok "$suite: node" loaded inside node -e 'let a = []; for (let i = 0; i < 1e6; i++) a.push({i}); console.log(a.length)'
	tap_ok "$suite: perl forks" loaded inside perl -e '@a = map { "x" x 1000 } 1 .. 100000; if (!fork) { exit 0 } wait; print "$?\n"'
	tap_ok "$suite: redis" loaded inside redis-server --version
}

# --- the tiny programs, for another libc ----------------------------------------------------

# Those that need nothing but themselves, with their arguments.
tiny=(rules standards contents trim fork_handlers "aside filter" thread_exit spawn signals worker
	"sandbox threads" "public subscribers")
[ -z "$MATRIX" ] || tiny+=(fork_threads sized_free alignment resized zeroed info early fork_in_handler "fork_in_handler fork" close_all
	bare_fork many_threads partial small_stack garbage seccomp "seccomp first" "sandbox prctl" "sandbox prctl after"
	"public free_os_memory" "public fork" "public wakes" "public level" wide charged reserved growing idle
	memory_ends main_exits limit_nproc fork_streams "limit_as 300")

# tiny_build COMPILER...: all of them for the libc of that compiler, into $TAP_DIR/tiny.
tiny_build() {
	local name names
	rm -rf "$TAP_DIR/tiny" && mkdir "$TAP_DIR/tiny" || return
	names=$(for name in "${tiny[@]}" puppet; do echo "${name%% *}"; done | sort -u)
	for name in $names; do
		printf '%s\0' "$name"
	done | xargs -0 -P "$(nproc)" -I {} "$@" -std=gnu11 -O1 -I. -D_GNU_SOURCE -pthread \
		-include tests/preload/elsewhere.h -o "$TAP_DIR/tiny/{}" 'tests/preload/{}.c' \
		-L"${LIB%/*}" -lspillway "${tiny_libraries[@]}" >&2
}

# tiny_tests WHERE STARTER EXCEPT: EXCEPT matches those that are not for that libc.
tiny_tests() {
	local where=$1 starter=$2 program
	for program in "${tiny[@]}"; do
		[[ " ${program%% *} " =~ \ ($3)\  ]] && continue
		# shellcheck disable=SC2086  # a name and its arguments
		preload=$LIB tap_ok "$where: $program" $starter $program
	done
}

tiny_inside() {
	SPILLWAY_HUGE_PAGES='' inside env LD_LIBRARY_PATH=/ "/tiny/$1" "${@:2}"
}

tiny_musl() {
	bounded 60 env LD_PRELOAD="$LIB" LD_LIBRARY_PATH="${LIB%/*}" "$TAP_DIR/tiny/$1" "${@:2}"
}

musl_tests() {
	command -v musl-gcc >/dev/null || { tap_skip "programs of musl start" "musl-gcc is not installed"; return; }
	# The kernel's headers are the machine's.
	tiny_libraries=()
	tap_ok "musl: the tiny programs compile" tiny_build musl-gcc -idirafter /usr/include \
		-idirafter "/usr/include/$(gcc -print-multiarch)" || return
	printf 'int main(void) { return 0; }\n' >"$TAP_DIR/true.c"
	musl-gcc -o "$TAP_DIR/true" "$TAP_DIR/true.c" && musl-gcc -static -o "$TAP_DIR/true_static" "$TAP_DIR/true.c"
	tap_ok "musl: a program" loaded here "$TAP_DIR/true"
	tap_ok "musl: a program with the agent" kept here "$TAP_DIR/true"
	tap_ok "musl: a static program" same here "$TAP_DIR/true_static"
	# musl runs nothing before the constructors, and its fork takes the lock of all streams after
	# the fork handlers (fork_streams).
	tiny_tests musl tiny_musl 'early|fork_streams'
	[ -n "$MATRIX" ] || return 0
	# One of the services runs as another user.
	chmod 711 "$TAP_DIR" && cp "$LIB" "$TAP_DIR"
	tap_ok "musl: the link, against a supervisor that is played" \
		env LD_LIBRARY_PATH="$TAP_DIR" "$programs/link" "$TAP_DIR/libspillway.so" "$TAP_DIR/tiny/puppet"
}

# The tiny programs in the last tree, compiled against its libc: those that do and do not need libpthread.
tiny_in_tree() {
	local where=$1 root libraries
	root=$(realpath "$tree")
	libraries=$root/usr/lib/$(gcc -print-multiarch)
	tiny_libraries=(-Wl,--no-as-needed -l:libpthread.so.0 -l:libdl.so.2 -l:libm.so.6)
	tap_ok "$where: the tiny programs compile" tiny_build gcc --sysroot="$root" -B"$libraries" -L"$libraries" || return
	rm -rf "$tree/tiny" && cp -r "$TAP_DIR/tiny" "$tree/tiny"
	tiny_tests "$where" tiny_inside 'nothing'
}

# --- the rest -------------------------------------------------------------------------------

# A program that the loader starts and that has no libc.
no_libc() {
	cat >"$TAP_DIR/bare.c" <<-'SOURCE'
		void _start(void)
		{
		#ifdef __x86_64__
			__asm__ volatile("syscall" : : "a"(231), "D"(0));
		#else
			register long x8 __asm__("x8") = 94;
			register long x0 __asm__("x0") = 0;
			__asm__ volatile("svc 0" : : "r"(x8), "r"(x0));
		#endif
			__builtin_unreachable();
		}
	SOURCE
	gcc -O1 -fno-stack-protector -nostdlib -pie -fPIE -o "$TAP_DIR/bare" "$TAP_DIR/bare.c" &&
		readelf -lW "$TAP_DIR/bare" | grep -q interpreter && same here "$TAP_DIR/bare"
}

static_glibc() {
	printf '#include <stdio.h>\nint main(void) { return puts("static") < 0; }\n' >"$TAP_DIR/static.c"
	gcc -static -o "$TAP_DIR/static" "$TAP_DIR/static.c" && same here "$TAP_DIR/static"
}

# Late threads: before glibc 2.34 a plugin may bring libpthread along.
late_threads() {
	local root libraries
	root=$(realpath "$tree")
	libraries=$root/usr/lib/$(gcc -print-multiarch)
	gcc --sysroot="$root" -B"$libraries" -L"$libraries" -O1 -D_GNU_SOURCE -I. -o "$tree/late_threads" \
		tests/preload/late_threads.c -Wl,--no-as-needed -l:libdl.so.2 &&
		preload=$LIB inside /late_threads
}

tap_ok "a static program" static_glibc
tap_ok "a program without a libc" no_libc
library=$agent tap_ok "with the agent, too" no_libc
library=$agent tap_ok "and a static one" static_glibc
musl_tests
tree=
tree_tests bullseye
if [ -n "$MATRIX" ] && [ -n "$tree" ]; then
	tiny_in_tree bullseye
	tap_ok "bullseye: threads that come with a plugin" late_threads
	tree_tests bookworm
	tree_tests trixie
fi
tap_done
