#!/bin/bash
# Recording a program's calls, and playing them.  TAP; after make all programs.
#   BUILD: the variant's folder, build/release unless set
. "$(dirname "$0")/../support/preload.sh"
unset SPILLWAY_TRACE SPILLWAY_SCAVENGE
trace=$programs/trace
simulate=$BUILD/tests/bench/simulate/simulate

# traced NAME COMMAND...: recorded to NAME.PID
traced() {
	local name=$1
	shift
	under env "SPILLWAY_TRACE=$TAP_DIR/$name" "$@"
}

silent() {
	! [ -s "$TAP_DIR/stderr" ]
}

# printed FILE ENDING: what the trace has between the marks is what the program said it did.
printed() {
	local took_ns
	took_ns=$(sed -n 's/^took //p' "$TAP_DIR/stdout")
	# shellcheck disable=SC2086
	"$trace" print "$1" $took_ns >"$TAP_DIR/printed" && { grep -v '^took ' "$TAP_DIR/stdout"; echo "$2"; } |
		diff - "$TAP_DIR/printed"
}

tap_ok "a program is recorded" traced calls "$trace" calls
tap_ok "without a word" silent
tap_ok "every call of it, and nothing else" printed "$TAP_DIR"/calls.* whole
tap_ok "some thirty" test "$(wc -l <"$TAP_DIR/printed")" -gt 25
tap_ok "without the variable there is no file" eval \
	'(cd "$TAP_DIR" && under "$trace" calls) && [ "$(ls "$TAP_DIR" | grep -c "\.[0-9]")" = 1 ]'
tap_ok "a relative name is one from where the program began" eval \
	'(cd "$TAP_DIR" && SPILLWAY_TRACE=here under "$trace" calls) && printed "$TAP_DIR"/here.* whole'

tap_ok "a program that forks is recorded" traced fork "$trace" fork
child=$(head -n 1 "$TAP_DIR/stdout")
sed -i 1d "$TAP_DIR/stdout"
tap_ok "a child has its own file" printed "$TAP_DIR/fork.$child" whole
rm -f "$TAP_DIR/fork.$child"
tap_ok "the parent has another, whole and without the child's calls" eval \
	': >"$TAP_DIR/stdout"; printed "$TAP_DIR"/fork.* whole'

# What bash has to say of a program that was killed is not of interest.
traced killed "$trace" killed 2>/dev/null
tap_ok "of a program that is killed there is what is older than a second" printed "$TAP_DIR"/killed.* "not whole"

tap_ok "threads that hand blocks to each other are recorded, among signals" traced threads "$trace" threads
tap_ok "no block is made where one is, or freed twice" "$simulate" off "$TAP_DIR"/threads.*

# full NAME: recording stops with a line that says why; the program ends well all the same.
full() {
	[ "$(wc -l <"$TAP_DIR/stderr")" = 1 ] &&
		grep -q "^spillway: trace $TAP_DIR/$1\.[0-9]*: $2; recording stops\$" "$TAP_DIR/stderr" ||
		{ cat "$TAP_DIR/stderr"; return 1; }
}

# On a full disk: the file is there before the program, by its process's number.
# shellcheck disable=SC2016
tap_ok "a program goes on although the disk is full" traced disk sh -c \
	'ln -s /dev/full "$SPILLWAY_TRACE.$$"; exec "$0" threads' "$trace"
tap_ok "and a line says so" full disk "No space left on device"
tap_ok "a program goes on over its limit of file sizes" traced limit bash -c \
	'ulimit -f 100; exec "$0" threads' "$trace"
tap_ok "and a line says so" full limit "File too large"
tap_ok "the file has whole records up to there" "$simulate" off "$TAP_DIR"/limit.*
tap_ok "a program goes on where there is no folder" traced none/none "$trace" calls
tap_ok "and a line says so" full none/none "No such file or directory"
tap_ok "an empty name is refused with a line" eval 'SPILLWAY_TRACE= under "$trace" calls &&
	grep -q "^spillway: bad SPILLWAY_TRACE " "$TAP_DIR/stderr"'

# made NAME: a trace of the lines on stdin: operation, gap in ns, old address, bytes, new address.
made() {
	"$trace" make >"$TAP_DIR/$1"
}

# figure N POLICY NAME
figure() {
	"$simulate" "$2" "$TAP_DIR/$3" | cut -d ' ' -f "$1"
}

# 256 pages idle for 10 s at 3814 ns; in use for one second of eleven.
made idle <<'ROWS'
malloc 0 0 1048576 1000
free 1000000000 1000 0 0
end 10000000000 0 0 0
ROWS
tap_is "a MiB that idles for ten seconds has its price" "$(figure 4 off idle)" 0.009764
tap_is "it lasts eleven seconds" "$(figure 5 off idle)" 11.000
tap_is "the MiB is resident all the time" "$(figure 6 off idle)" 1.000
tap_is "and a second of these in use" "$(figure 7 off idle)" 0.091
# Given back in the hundred seconds, and touched again at 1619 ns a page.
made again <<'ROWS'
malloc 0 0 1048576 1000
free 1000000000 1000 0 0
malloc 100000000000 0 1048576 2000
end 1000000000 0 0 0
ROWS
for policy in adaptive decay; do
	tap_is "a MiB is wanted again after a hundred seconds: refaulted pages, $policy" \
		"$(figure 8 $policy again)" 256
	tap_is "the same: what that costs, $policy" "$(figure 2 $policy again)" 0.000414
done
# Two blocks, of which one grows; one from before is freed.
made others <<'ROWS'
calloc 0 0 1048576 1000
memalign 0 0 1048576 10000000
realloc 1000000000 1000 3145728 20000000
free 1000000000 20000000 0 0
free 0 10000000 0 0
free 0 12345 0 0
end 2000000000 0 0 0
ROWS
tap_is "the mean of 2 MiB, 4 MiB, and nothing for twice as long" "$(figure 7 off others 2>/dev/null)" 1.500
tap_ok "a block from before is left out, and said" eval '"$simulate" off "$TAP_DIR/others" 2>&1 >/dev/null |
	grep -q ": 1 blocks were freed that are from before it began$"'

# refused NAME WHY: a line that says why, nothing else, and exit status 1.
refused() {
	"$simulate" off "$TAP_DIR/$1" >"$TAP_DIR/stdout" 2>"$TAP_DIR/stderr"
	[ $? = 1 ] && ! [ -s "$TAP_DIR/stdout" ] && [ "$(wc -l <"$TAP_DIR/stderr")" = 1 ] &&
		grep -q "^simulate: $TAP_DIR/$1: $2" "$TAP_DIR/stderr" ||
		{ cat "$TAP_DIR/stdout" "$TAP_DIR/stderr"; return 1; }
}

: >"$TAP_DIR/empty"
head -c 5 "$TAP_DIR/idle" >"$TAP_DIR/short"
{ printf 'SPWTRC\n\002'; tail -c +9 "$TAP_DIR/idle"; } >"$TAP_DIR/newer"
for name in empty short newer; do
	tap_ok "no trace: $name" refused $name "not a trace of version 1"
done
tap_ok "no trace: a folder" refused . "not a file"
tap_ok "no trace: none" refused missing "No such file"
head -c 12 "$TAP_DIR/idle" >"$TAP_DIR/cut"
tap_ok "a record that breaks off" refused cut "no record, or it breaks off, at byte 8"
{ head -c 8 "$TAP_DIR/idle"; printf '\007\001'; } >"$TAP_DIR/operation"
tap_ok "an unknown operation" refused operation "no record"
{ head -c 8 "$TAP_DIR/idle"; printf '\002\377\377\377\377\377\377\377\377\377\177'; } >"$TAP_DIR/number"
tap_ok "a number over 64 bits" refused number "no record"
{ cat "$TAP_DIR/idle"; printf '\001\001\001'; } >"$TAP_DIR/after"
tap_ok "something after the end" refused after "the end is not at the end"
while read -r name why; do
	sed -n "s/^$name: //p" <<'ROWS' | made "$name"
twice: malloc 1 0 100 1000
twice: free 1 1000 0 0
twice: free 1 1000 0 0
unknown: free 1 1000 0 0
unknown: free 1 1000 0 0
there: malloc 1 0 100 1000
there: malloc 1 0 100 1000
onto: malloc 1 0 100 1000
onto: malloc 1 0 100 2000
onto: realloc 1 1000 200 2000
null: malloc 1 0 100 0
huge: malloc 1 0 18446744073709551615 1000
long: malloc 18446744073709551615 0 100 1000
still: malloc 0 0 100 1000
ROWS
	tap_ok "refused: $why" refused "$name" "$why"
done <<'ROWS'
twice a block is freed twice
unknown a block is freed twice
there a block is made where one is
onto a block is made where one is
null a block at 0
huge more is live than 64 GiB
long it lasts more than 31 days
still it takes no time
ROWS
tap_done
