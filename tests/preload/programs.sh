#!/bin/bash
# Real programs under the preload library: each must be correct and exit clean.  TAP.
#   BUILD: the variant's folder, build/release unless set
#   WRAP:  a command that starts each program instead of a bare LD_PRELOAD, such as "spillway --".
#          Then only those are run that have forks, children and connections: for what computes in
#          one process the wrapped library is the same.
set -u
cd "$(dirname "$0")/../.." || exit 2
. tests/support/tap.sh
BUILD=$(realpath "${BUILD:-build/release}")
LIB=$BUILD/lib/libspillway.so
root=$PWD
unset SPILLWAY_LINK MEMORY_PRESSURE_WATCH MEMORY_PRESSURE_WRITE
[ -e "$LIB" ] || { tap_fail "the library is built" "$LIB is missing"; tap_done; }
read -ra wrap <<<"${WRAP:-env LD_PRELOAD=$LIB}"
export HOME=$TAP_DIR TMPDIR=$TAP_DIR
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
# Copies that every user can read, also when the checkout is in a folder such as root's home.
chmod 711 "$TAP_DIR" && mkdir "$TAP_DIR/build" && cp -r "$BUILD/bin" "$BUILD/lib" "$TAP_DIR/build" || exit 1
wrap=("${wrap[@]//"$BUILD"/$TAP_DIR/build}")

# Runs a command under the library.  A process of it may use 60 s of CPU time.
under() {
	(ulimit -t 60 && exec "${wrap[@]}" "$@")
}

# Runs a server under the library in the background.
server() {
	server_kill
	"${wrap[@]}" "$@" >"$TAP_DIR/server.log" 2>&1 &
	server_pid=$!
}

# By a variable: the number of a server that ended may be another process's by then.
server_pid=
server_kill() {
	[ -z "$server_pid" ] || kill "$server_pid"
}
at_exit server_kill

# Ends the server; it must exit with 0 and must have had the library.
server_ends() {
	local status
	grep -q libspillway "/proc/$1/maps" || { echo "the library is not in it" >&2; return 1; }
	kill -TERM "$server_pid" 2>/dev/null
	wait "$server_pid"
	status=$?
	server_pid=
	[ "$status" -eq 0 ] || { echo "status $status" >&2; tail "$TAP_DIR/server.log" >&2; }
	return "$status"
}

needs() {
	local name=$1 program
	shift
	for program in "$@"; do
		command -v "$program" >/dev/null && continue
		tap_skip "$name" "$program is not installed"
		return 1
	done
}

# Without those tests of Python's that end with a wait of less than so many seconds.
python_tests() {
	(cd "$TAP_DIR" && under /usr/bin/python3 -m test -q -i '*timeout*' -i '*Barrier*' "$@" >"$TAP_DIR/python.log" 2>&1) ||
		{ tail -n 30 "$TAP_DIR/python.log" >&2; return 1; }
}

python_work() {
	under /usr/bin/python3 - <<'PYTHON'
import concurrent.futures, hashlib, json, multiprocessing, subprocess, sys, zlib

def work(seed):
    data = [{"id": i, "text": "x" * (i * seed % 997), "list": list(range(i % 50))} for i in range(3000)]
    text = json.dumps(data)
    assert json.loads(zlib.decompress(zlib.compress(text.encode(), 1))) == data
    return hashlib.sha256(text.encode()).hexdigest()

with concurrent.futures.ThreadPoolExecutor(8) as pool:
    threads = list(pool.map(work, [7, 8] * 4))
with multiprocessing.get_context("fork").Pool(3) as pool:
    processes = pool.map(work, [7, 8])
assert set(threads) == set(processes) and len(processes) == 2
assert subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True).stdout == b"42\n"
PYTHON
}

redis() {
	local s=$TAP_DIR/redis.sock
	server redis-server --port 0 --unixsocket "$s" --dir "$TAP_DIR" --save "" --appendonly no \
		--maxmemory 64mb --maxmemory-policy allkeys-lru
	wait_until 30 redis-cli -s "$s" ping >/dev/null 2>&1 || { cat "$TAP_DIR/server.log" >&2; return 1; }
	redis-benchmark -s "$s" -q -n 15000 -c 20 -d 700 -r 20000 -P 8 \
		-t set,get,lpush,lpop,hset >&2 || return 1
	redis-cli -s "$s" eval 'for i = 1, 20000 do redis.call("set", "n" .. i, string.rep(i, 20)) end' 0 >&2
	[ "$(redis-cli -s "$s" get n777)" = "$(printf '777%.0s' {1..20})" ] || return 1
	# The child that saves is a fork of a grown server.
	[ "$(redis-cli -s "$s" save)" = OK ] && [ "$(redis-cli -s "$s" bgsave | head -c 10)" = Background ] || return 1
	wait_until 30 redis_saved "$s" || return 1
	[ "$(redis-cli -s "$s" flushall)" = OK ] || return 1
	server_ends "$(redis-cli -s "$s" info server | sed -n 's/^process_id:\([0-9]*\).*/\1/p')"
}

redis_saved() {
	redis-cli -s "$1" info persistence | tr -d '\r' | grep -qx rdb_bgsave_in_progress:0 &&
		redis-cli -s "$1" info persistence | tr -d '\r' | grep -qx rdb_last_bgsave_status:ok
}

# Prints the folder of the newest server's programs; nothing where there is none.
postgres_bin() {
	find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1
}

# Not as root: postgres refuses that.
as_postgres=()
[ "$(id -u)" -ne 0 ] || as_postgres=(setpriv --reuid postgres --regid postgres --init-groups)
as_postgres() {
	"${as_postgres[@]}" "$@"
}

postgres_serves() {
	local bin=$1 at=$TAP_DIR/postgres
	local to=(-h "$at" -p 15432)
	mkdir "$at" || return 1
	[ "$(id -u)" -ne 0 ] || chown postgres: "$at" || return 1
	as_postgres "$bin/initdb" -N -A trust -D "$at/data" >"$at.init" 2>&1 || { cat "$at.init" >&2; return 1; }
	server "${as_postgres[@]}" "$bin/postgres" -D "$at/data" \
		-p 15432 -k "$at" -c listen_addresses= -c fsync=off -c shared_buffers=32MB
	wait_until 30 as_postgres "$bin/pg_isready" -q "${to[@]}" || { cat "$TAP_DIR/server.log" >&2; return 1; }
	as_postgres "$bin/createdb" "${to[@]}" bench &&
		as_postgres "$bin/pgbench" -i -q -s 2 "${to[@]}" bench >&2 || return 1
	# A process a client, and one more a statement.
	as_postgres "$bin/pgbench" -n -c 8 -j 2 -t 300 "${to[@]}" bench >"$at.bench" 2>&1 || { cat "$at.bench" >&2; return 1; }
	grep -qE '^number of transactions actually processed: 2400(/2400)?$' "$at.bench" || { cat "$at.bench" >&2; return 1; }
	as_postgres "$bin/psql" "${to[@]}" -Atqc 'select sum(abalance) = (select sum(delta) from pgbench_history) from pgbench_accounts' bench |
		grep -qx t || return 1
	server_ends "$(head -n 1 "$at/data/postmaster.pid")"
}

nginx_config() {
	cat <<CONFIG
daemon off;
worker_processes 2;
pid $TAP_DIR/nginx.pid;
error_log $TAP_DIR/nginx.error;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path $TAP_DIR/body;
	proxy_temp_path $TAP_DIR/proxy;
	fastcgi_temp_path $TAP_DIR/fastcgi;
	uwsgi_temp_path $TAP_DIR/uwsgi;
	scgi_temp_path $TAP_DIR/scgi;
	gzip on;
	gzip_types *;
	server { listen unix:$TAP_DIR/nginx.sock; root $TAP_DIR/www; }
	server { listen unix:$TAP_DIR/front.sock;
		location / { proxy_pass http://unix:$TAP_DIR/nginx.sock; proxy_buffers 16 64k; } }
}
CONFIG
}

# Four clients at once, each fetching every file again and again, plain and compressed.
nginx_client() {
	local round file
	for round in {1..4}; do
		for file in "$TAP_DIR"/www/*; do
			curl -sS --max-time 300 --compressed --unix-socket "$TAP_DIR/front.sock" \
				"http://x/${file##*/}" | cmp - "$file" || return 1
			curl -sS --max-time 300 --unix-socket "$TAP_DIR/nginx.sock" \
				"http://x/${file##*/}" | cmp - "$file" || return 1
		done
		[ "$round" != 2 ] || [ "$1" != 1 ] || kill -HUP "$(cat "$TAP_DIR/nginx.pid")"
	done
}

nginx_serves() {
	local i clients=()
	mkdir "$TAP_DIR/www"
	for i in 1 10 100 1000 3000; do
		seq "$i"00 >"$TAP_DIR/www/$i"
	done
	chmod -R a+rX "$TAP_DIR"
	nginx_config >"$TAP_DIR/nginx.conf"
	server nginx -c "$TAP_DIR/nginx.conf" -e "$TAP_DIR/nginx.error"
	wait_until 30 test -S "$TAP_DIR/front.sock" || { cat "$TAP_DIR/server.log" >&2; return 1; }
	for i in 1 2 3 4; do
		nginx_client "$i" &
		clients+=($!)
	done
	for i in "${clients[@]}"; do
		wait "$i" || return 1
	done
	server_ends "$(cat "$TAP_DIR/nginx.pid")" && ! grep -E 'alert|emerg|exited on signal' "$TAP_DIR/nginx.error" >&2
}

compiles() {
	gcc -std=gnu11 -I. -D_GNU_SOURCE -O2 -c -o "$TAP_DIR/plain.o" shim/preload.c &&
		under gcc -std=gnu11 -I. -D_GNU_SOURCE -O2 -c -o "$TAP_DIR/under.o" shim/preload.c &&
		cmp "$TAP_DIR/plain.o" "$TAP_DIR/under.o"
}

perl_work() {
	[ "$(under perl -e '
		my %words;
		for my $i (1 .. 200000) { push @{$words{"key" . ($i * 7919 % 5003)}}, "v" x ($i % 40) }
		my $sum = 0;
		for my $round (1 .. 3) {
			for my $key (sort keys %words) { $sum += length join ",", map { s/v/vw/gr } @{$words{$key}} }
			delete $words{$_} for grep { /$round$/ } keys %words;
		}
		my $pid = fork(); if (!$pid) { my @more = map { "$_" x 10 } 1 .. 50000; exit(@more == 50000 ? 0 : 1) }
		waitpid $pid, 0; die if $?;
		print "$sum\n"')" = "$(perl -e '
		my %words;
		for my $i (1 .. 200000) { push @{$words{"key" . ($i * 7919 % 5003)}}, $i % 40 }
		my $sum = 0;
		for my $round (1 .. 3) {
			for my $key (keys %words) { $sum += @{$words{$key}} - 1; $sum += 2 * $_ for @{$words{$key}} }
			delete $words{$_} for grep { /$round$/ } keys %words;
		}
		print "$sum\n"')" ]
}

node_work() {
	[ "$(under node -e '
		const {Worker, isMainThread} = require("worker_threads");
		const zlib = require("zlib"), crypto = require("crypto");
		let left = 3, sums = new Set();
		const done = sum => { sums.add(sum); if (--left === 0) console.log(sums.size, [...sums][0].length) };
		const work = "const z = require(\"zlib\"), c = require(\"crypto\");" +
			"let h = c.createHash(\"sha256\");" +
			"for (let i = 0; i < 60; i++) { const b = Buffer.alloc(100000 + i * 1000, i);" +
			"h.update(z.gunzipSync(z.gzipSync(b))) }" +
			"require(\"worker_threads\").parentPort.postMessage(h.digest(\"hex\"))";
		for (let i = 0; i < 3; i++) new Worker(work, {eval: true}).on("message", done);')" = "1 64" ]
}

git_work() {
	local repository=$TAP_DIR/repository i
	under git init -q "$repository" && cd "$repository" || return 1
	git config user.name tester && git config user.email tester@example.org && git config gc.auto 0
	for i in {1..15}; do
		seq "$i" "$((i * 900))" >"file$((i % 4))"
		under git add . && under git commit -qm "change $i" || return 1
	done
	under git gc -q --aggressive --prune=now && under git fsck --full --strict >&2 &&
		under git clone -q "$repository" "$TAP_DIR/clone" && cd "$root" || return 1
	[ "$(git -C "$TAP_DIR/clone" rev-list --count HEAD)" = 15 ] &&
		diff -r -x .git "$repository" "$TAP_DIR/clone" >&2
}

pipeline() {
	local got
	got=$(under bash -c 'for i in $(seq 200); do
			(seq $i | sort -rn | head -n 1; : $(echo $i | cat | tr 0-9 a-j)) & [ $((i % 20)) != 0 ] || wait
		done | awk "{ s += \$1 } END { print s }"; wait')
	[ "$got" = 20100 ]
}

sorts() {
	seq 400000 | rev >"$TAP_DIR/numbers"
	[ "$(under sort -n --parallel=4 -S 20M "$TAP_DIR/numbers" | md5sum)" = \
		"$(sort -n "$TAP_DIR/numbers" | md5sum)" ]
}

cplusplus() {
	cat >"$TAP_DIR/stl.cc" <<'SOURCE'
#include <algorithm>
#include <future>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

static std::size_t work(unsigned seed)
{
	std::unordered_map<std::string, std::shared_ptr<std::list<std::string>>> index;
	std::vector<std::string> keys;
	std::size_t sum = 0;
	for (unsigned i = 0; i < 60000; i++) {
		seed = seed * 1103515245 + 12345;
		std::ostringstream key;
		key << "a key that is no short string " << seed % 3000;
		auto &list = index[key.str()];
		if (!list)
			list = std::make_shared<std::list<std::string>>();
		list->push_back(std::string(seed % 300, 'x'));
		keys.push_back(key.str());
		if (list->size() > 25)
			index.erase(key.str());
	}
	std::sort(keys.begin(), keys.end());
	for (auto &entry : index)
		for (auto &text : *entry.second)
			sum += text.size();
	try {
		sum += std::stoul("no number at all, which is said in an exception");
	} catch (const std::invalid_argument &) {
		sum += keys.size();
	}
	return sum;
}

int main()
{
	std::vector<std::future<std::size_t>> results;
	for (int i = 0; i < 6; i++)
		results.push_back(std::async(std::launch::async, work, 99 + i % 2));
	std::map<std::size_t, int> seen;
	for (auto &result : results)
		seen[result.get()]++;
	for (auto &entry : seen)
		std::cout << entry.first << ' ' << entry.second << '\n';
}
SOURCE
	g++ -std=c++17 -O1 -pthread -o "$TAP_DIR/stl" "$TAP_DIR/stl.cc" &&
		[ "$(under "$TAP_DIR/stl")" = "$("$TAP_DIR/stl")" ]
}

# A picture of php-gd's, which PHP binds deeply, and all of PHP's other extensions that are there.
php_draws() {
	local work='$i = imagecreatetruecolor(300, 200);
		for ($n = 0; $n < 200; $n++) imageline($i, $n, 0, 300 - $n, 199, imagecolorallocate($i, $n, 255 - $n, 7));
		imagepng($i); echo implode(" ", get_loaded_extensions());'
	[ "$(under php -r 'echo 6 * 7;')" = 42 ] &&
		[ "$(under php -r "$work" | md5sum)" = "$(php -r "$work" | md5sum)" ]
}

# fastcgi SOCKET SCRIPT: prints what the server answers.
fastcgi() {
	/usr/bin/python3 - "$@" <<'PYTHON'
import socket, struct, sys

def record(kind, data):
    return struct.pack(">BBHHBB", 1, kind, 1, len(data), 0, 0) + data

def pair(name, value):
    return bytes([len(name), len(value)]) + name.encode() + value.encode()

server = socket.socket(socket.AF_UNIX)
server.settimeout(300)
server.connect(sys.argv[1])
server.sendall(record(1, struct.pack(">HB5x", 1, 0)) +
    record(4, pair("SCRIPT_FILENAME", sys.argv[2]) + pair("REQUEST_METHOD", "GET")) + record(4, b"") + record(5, b""))
answer = server.makefile("rb")
while True:
    _, kind, _, length, padding, _ = struct.unpack(">BBHHBB", answer.read(8))
    data = answer.read(length + padding)[:length]
    if kind == 3:
        break
    if kind == 6:
        sys.stdout.buffer.write(data)
PYTHON
}

php_serves() {
	local at=$TAP_DIR/fpm i pids=()
	mkdir "$at" && chmod 755 "$at" || return 1
	cat >"$at/conf" <<CONFIG
[global]
error_log = $at/log
pid = $at/pid
[www]
listen = $at/sock
user = $(id -un)
group = $(id -gn)
pm = static
pm.max_children = 3
CONFIG
	echo '<?php $a = []; for ($i = 0; $i < 30000; $i++) $a[] = str_repeat("x", $i % 500); echo count($a);' >"$at/work.php"
	server "$1" -F -R -c "$at/none" -y "$at/conf"
	wait_until 30 test -S "$at/sock" || { cat "$TAP_DIR/server.log" >&2; return 1; }
	for i in {1..12}; do
		fastcgi "$at/sock" "$at/work.php" >"$at/answer.$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || return 1
	done
	for i in "$at"/answer.*; do
		[ "$(tail -n 1 "$i")" = 30000 ] || { cat "$i" "$at/log" >&2; return 1; }
	done
	server_ends "$(cat "$at/pid")"
}

samba_stores() {
	local at=$TAP_DIR/samba.ldb
	printf 'dn: cn=%s\ncn: %s\n\n' one one two two >"$TAP_DIR/ldif"
	under ldbadd -H "$at" "$TAP_DIR/ldif" >&2 &&
		[ "$(under ldbsearch -H "$at" '(cn=two)' cn | grep -c '^cn: two$')" = 1 ]
}

# Up to the refusal of the login everything is done in OpenSSH's sandbox.
ssh_refuses() {
	local at=$TAP_DIR/ssh
	[ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
	mkdir "$at" && ssh-keygen -q -t ed25519 -N '' -f "$at/key" || return 1
	ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
		-o "ProxyCommand=${wrap[*]} /usr/sbin/sshd -i -e -f /dev/null -h $at/key" "$(id -un)@nowhere" true \
		>"$at/said" 2>&1
	grep -q 'Permission denied' "$at/said" || { cat "$at/said" >&2; return 1; }
}

tor_starts() {
	local at=$TAP_DIR/tor
	mkdir -m 700 "$at" && : >"$at/conf" || return 1
	server tor -f "$at/conf" --defaults-torrc "$at/conf" --Sandbox 1 --DisableNetwork 1 --SocksPort 0 \
		--DataDirectory "$at/data" --PidFile "$at/pid" --Log "notice stdout"
	wait_until 60 grep -qE 'Bootstrapped 0%|DisableNetwork is set' "$TAP_DIR/server.log" ||
		{ cat "$TAP_DIR/server.log" >&2; return 1; }
	wait_until 30 test -s "$at/pid" && grep -q libspillway "/proc/$(cat "$at/pid")/maps" || return 1
	# Its heap was used under the filter by then.  The filter refuses libc the call that blocks signals
	# while a thread is made, and libc restores a mask that it never read: with and without the library
	# TERM may be blocked ever after.
	kill -KILL "$(cat "$at/pid")"
	wait "$server_pid"
	server_pid=
}

# A namespace of users is for processes of one thread.
unshares() {
	[ "$(under unshare --user --map-root-user --mount sh -c 'id -u; cat /proc/self/maps' |
		grep -cE '^0$|libspillway.*r-x|r-x.*libspillway')" = 2 ]
}

bubblewrap() {
	[ "$(under bwrap --ro-bind / / --dev /dev --proc /proc --unshare-all --die-with-parent sh -c 'echo $((6 * 7))')" = 42 ]
}

program() {
	local name=$1 command=$2
	shift 2
	needs "$name" "$@" || return
	tap_ok "$name" "$command"
}

computes() {
	[ -n "${WRAP:-}" ] || program "$@"
}

[ -n "${WRAP:-}" ] || for module in test_json test_threading; do
	name="python3 passes its own $module"
	if /usr/bin/python3 -c "import test.$module" 2>/dev/null; then
		tap_ok "$name" python_tests "$module"
	else
		tap_skip "$name" "libpython3.11-testsuite is not installed"
	fi
done
program "python3 works with threads, forks and subprocesses" python_work /usr/bin/python3
program "redis-server serves redis-benchmark, saves in a fork, and ends" redis redis-server redis-cli redis-benchmark
name="postgres serves eight clients of pgbench, and its books balance"
if [ -z "$(postgres_bin)" ]; then
	tap_skip "$name" "postgresql is not installed"
else
	tap_ok "$name" postgres_serves "$(postgres_bin)"
fi
program "nginx serves two workers' load through a reload" nginx_serves nginx curl
computes "php draws the same picture, its plug-ins bound deeply" php_draws php
name="php-fpm serves twelve requests in three processes"
fpm=$(compgen -G '/usr/sbin/php-fpm*' | head -n 1)
if [ -z "$fpm" ]; then
	tap_skip "$name" "php-fpm is not installed"
else
	tap_ok "$name" php_serves "$fpm"
fi
program "Samba's ldbadd and ldbsearch store and find" samba_stores ldbadd ldbsearch
program "OpenSSH's server refuses a login from its sandbox" ssh_refuses ssh ssh-keygen /usr/sbin/sshd
program "tor starts in its sandbox" tor_starts tor
name="unshare makes a namespace of users"
if unshare --user --map-root-user true 2>/dev/null; then
	program "$name" unshares unshare
else
	tap_skip "$name" "this machine allows none"
fi
name="bubblewrap makes its namespaces"
if ! command -v bwrap >/dev/null || bwrap --ro-bind / / --proc /proc --unshare-all true 2>/dev/null; then
	program "$name" bubblewrap bwrap
else
	tap_skip "$name" "this machine allows none"
fi
computes "gcc makes the same object file" compiles gcc
computes "perl computes the same sum" perl_work perl
computes "node compresses in three threads" node_work node
program "git commits, packs, clones and checks" git_work git
program "a pipeline of a thousand forks counts right" pipeline bash
computes "sort sorts in four threads" sorts sort
computes "a C++ program of containers and threads computes the same" cplusplus g++
tap_done
