#!/bin/bash
# How to scavenge, told by the environment.  TAP; after make all programs.
#   BUILD: the variant's folder, build/release unless set
. "$(dirname "$0")/../support/preload.sh"
unset SPILLWAY_SCAVENGE SPILLWAY_MADVISE SPILLWAY_SCAVENGE_CPU SPILLWAY_CORE_WORTH SPILLWAY_LIMIT

# in_force WANTED [VARIABLE=VALUE...]: policy, dontneed only, permille of a CPU, price; and silence.
in_force() {
	local wanted=$1
	shift
	under env "$@" "$programs/settings" && [ "$(cat "$TAP_DIR/stdout")" = "$wanted" ] &&
		! [ -s "$TAP_DIR/stderr" ] || { cat "$TAP_DIR/stdout"; return 1; }
}

# refused VARIABLE=VALUE: the default, and one line that names both.
refused() {
	under env "$1" "$programs/settings" && [ "$(cat "$TAP_DIR/stdout")" = "$default" ] &&
		[ "$(wc -l <"$TAP_DIR/stderr")" -eq 1 ] &&
		grep -q "^spillway: bad ${1%%=*} '.*: expected .*; using the default\$" "$TAP_DIR/stderr" ||
		{ cat "$TAP_DIR/stdout" "$TAP_DIR/stderr"; return 1; }
}

names_value() {
	grep -qF "'$1'" "$TAP_DIR/stderr"
}

default="0 0 10 3814"
tap_ok "without a word of the environment it is the default" in_force "$default"
number=0
for policy in adaptive off go1.11 go1.12 go1.13 decay; do
	tap_ok "SPILLWAY_SCAVENGE=$policy" in_force "$number 0 10 3814" "SPILLWAY_SCAVENGE=$policy"
	number=$((number + 1))
done
tap_ok "SPILLWAY_MADVISE=dontneed" in_force "0 1 10 3814" SPILLWAY_MADVISE=dontneed
tap_ok "SPILLWAY_MADVISE=auto" in_force "$default" SPILLWAY_MADVISE=auto
while read -r share permille; do
	tap_ok "SPILLWAY_SCAVENGE_CPU=$share" in_force "0 0 $permille 3814" "SPILLWAY_SCAVENGE_CPU=$share"
done <<'ROWS'
1% 10
0.5% 5
0.1% 1
12.50% 125
100% 1000
ROWS
while read -r size price; do
	tap_ok "SPILLWAY_CORE_WORTH=$size" in_force "0 0 10 $price" "SPILLWAY_CORE_WORTH=$size"
done <<'ROWS'
2G 1907
2147483648 1907
2GiB 1907
1.5g 2543
16M 244140
512MB 7629
1T 3
1048576K 3814
ROWS
for value in auto off 1M 512M 1.5GiB 9223372036854775807 80% 0.1% 100%; do
	tap_ok "SPILLWAY_LIMIT=$value" in_force "$default" "SPILLWAY_LIMIT=$value"
done
tap_ok "all of them together" in_force "3 1 20 7629" SPILLWAY_SCAVENGE=go1.12 \
	SPILLWAY_MADVISE=dontneed SPILLWAY_SCAVENGE_CPU=2% SPILLWAY_CORE_WORTH=512M
for value in SCAVENGE= SCAVENGE=Adaptive SCAVENGE=go1.1 "SCAVENGE=off " MADVISE= MADVISE=free \
	SCAVENGE_CPU= SCAVENGE_CPU=1 SCAVENGE_CPU=0% SCAVENGE_CPU=0.05% SCAVENGE_CPU=101% \
	SCAVENGE_CPU=-1% SCAVENGE_CPU=1.% SCAVENGE_CPU=.5% SCAVENGE_CPU=1%% \
	SCAVENGE_CPU=99999999999999999999% CORE_WORTH= CORE_WORTH=0 CORE_WORTH=1K CORE_WORTH=15M CORE_WORTH=2P \
	CORE_WORTH=-2G CORE_WORTH=2T CORE_WORTH=1025G CORE_WORTH=9999999999999T \
	CORE_WORTH=18446744073709551617 CORE_WORTH=2GiBs CORE_WORTH=2iB "CORE_WORTH=2 G" \
	LIMIT= LIMIT=on LIMIT=Auto LIMIT=0 LIMIT=1K LIMIT=512 LIMIT=-1M LIMIT=0% LIMIT=101% LIMIT=80 \
	LIMIT=max LIMIT=9223372036854775808 LIMIT=8388608T "LIMIT=80 %"; do
	tap_ok "bad: SPILLWAY_$value" refused "SPILLWAY_$value"
	tap_ok "said is: ${value#*=}" names_value "${value#*=}"
done
tap_ok "a value on more than a line is said on one" refused $'SPILLWAY_SCAVENGE=a\nb\tc\033[1m'
tap_ok "a long one is cut" refused "SPILLWAY_MADVISE=$(printf '%0500d' 0)"
tap_ok "one that is bad leaves the others in force" eval \
	'SPILLWAY_SCAVENGE=x SPILLWAY_MADVISE=dontneed under "$programs/settings" &&
	[ "$(cat "$TAP_DIR/stdout")" = "0 1 10 3814" ]'
tap_done
