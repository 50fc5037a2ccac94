#!/bin/bash
# What a policy says of scavenging reaches its services: at start, at a reload, and the price as the
# wall comes near.
# kernels: 6.12
. "$(dirname "$0")/../support/system.sh"
link=$BUILD/tests/system/link
[ -x "$link" ] || { echo "Bail out! $link is not built"; exit 1; }
LIMIT_MIB=256
STEP_MIB=4
ini=$TAP_DIR/services.ini
log=$TAP_DIR/log
out=$TAP_DIR/out

said() {
	grep -q -- "$1" "${2:-$out}"
}

# write_ini KEYS...: a policy of its own with these lines.
write_ini() {
	{
		printf '[service:link]\ncommand = %s\npolicy = own\n' "$link"
		printf '[service:grow]\ncommand = %s grow %s\n[policy:own]\n' "$memory" "$STEP_MIB"
		printf '%s\n' "$@"
	} >"$ini"
}

# The price in the last line that link said.
price() {
	sed -n 's/.* price_ns=//p' "$out" | tail -n 1
}

price_above() {
	[ "$(price)" -gt "$1" ]
}

# The price that was published is base, and where a wall of nobody's is near, up to 64 times that.
price_fits() {
	if [ -n "$CGROUP" ]; then
		[ "$(price)" -eq "$1" ]
	else
		[ "$(price)" -ge "$1" ] && [ "$(price)" -le $(($1 * 64)) ]
	fi
}

said_both() {
	said small && said sequence=
}

# --- check ----------------------------------------------------------------------------------

write_ini 'scavenge = go1.14'
tap_is "check refuses a value with its line and what was expected" "$("$spillway" check "$ini" 2>&1; echo $?)" \
	"$ini:7: scavenge: \"go1.14\": not understood: expected adaptive, off, go1.11, go1.12, go1.13 or decay
1"
write_ini 'scavenge_cpu = 101%' 'core_worth = 1K' 'madvise = free'
tap_is "and all of them" "$("$spillway" check "$ini" 2>&1 | sed 's/.*:\([0-9]*: [a-z_]*\): .*/\1/' | tr '\n' ' ')" \
	"7: scavenge_cpu 8: core_worth 9: madvise "

# --- start and reload -----------------------------------------------------------------------

write_ini
if cgroup_new scavenge; then
	cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
	(cgroup_exec "$spillway" run "$ini") >"$out" 2>"$log" </dev/null &
else
	"$spillway" run "$ini" >"$out" 2>"$log" </dev/null &
fi
pid=$!
at_exit_kill "$pid"
tap_ok "both services are up" wait_until 60 said_both
watcher=$(pgrep -P "$pid" -f "^$link")
tap_ok "a service finds the defaults on its link" said 'scavenge=0 madvise=0 cpu_permille=10 price_ns='
tap_ok "and a price from its first moment" eval '! said "price_ns=0\$"'
tap_ok "which is that of the default core_worth" wait_until 60 price_fits 3814

write_ini 'scavenge = go1.12' 'madvise = dontneed' 'scavenge_cpu = 5%'
kill -HUP "$pid"
tap_ok "a reload puts another way to scavenge there and wakes who sleeps" \
	wait_until 60 said '^woken .* scavenge=3 madvise=1 cpu_permille=50 '
write_ini 'scavenge = sometimes'
kill -HUP "$pid"
tap_ok "a bad value is refused" wait_until 60 said 'services.ini:7: scavenge: "sometimes"' "$log"
write_ini 'scavenge = go1.12' 'madvise = dontneed' 'scavenge_cpu = 5%' 'core_worth = 512M'
kill -HUP "$pid"
tap_ok "core_worth changes the price" wait_until 60 price_fits 7629
if [ -n "$CGROUP" ]; then
	tap_is "and wakes nobody" "$(grep -c '^woken .* price_ns=7629$' "$out")" 0
else
	tap_skip "and wakes nobody" "$CGROUP_WHY"
fi
write_ini 'scavenge = off' 'core_worth = 1G'
kill -HUP "$pid"
tap_ok "what the file no longer says is as by default again" \
	wait_until 60 said '^woken .* scavenge=1 madvise=0 cpu_permille=10 '
tap_is "all that under the same process" "$(pgrep -P "$pid" -f "^$link")" "$watcher"

# --- the wall -------------------------------------------------------------------------------

# The service grows, one step for each look of the supervisor, until the price has risen.
grows_until_price_rises() {
	local free_mib=$((LIMIT_MIB * 3 / 4))
	until price_above $((3814 * 3 / 2)); do
		[ $grown_mib -lt $LIMIT_MIB ] && grow "$grower" $free_mib || return 1
		[ $grown_mib -lt $free_mib ] || supervisor_looks "$pid" || return 1
	done
}

if [ -n "$CGROUP" ]; then
	grower=$(pgrep -P "$pid" -f "^$memory grow")
	tap_ok "where a sibling nears the wall they share, the price rises" grows_until_price_rises
	tap_ok "it stays within 64 times the base" eval '! price_above $((3814 * 64))'
else
	tap_skip "the price rises near the wall" "$CGROUP_WHY"
fi
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
