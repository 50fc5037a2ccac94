#!/bin/bash
# What a heap costs beside what is in it, and where it ends: threads that came and went, metadata,
# wide address spaces and narrow ones.  TAP; after make all programs.
#   BUILD: the variant's folder, build/release unless set
#   SOAK:  how many times as much as usual
. "$(dirname "$0")/../support/preload.sh"

# measured NAME COMMAND...: a rule whose figures are shown.
measured() {
	rule "$@"
	tap_diag "$(cat "$TAP_DIR/stdout")"
}

limited() {
	(ulimit -v 200000 && under "$programs/limit_as")
}

available_mib() {
	awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo
}

measured "10 000 threads, four at once, leave nothing" "$programs/many_threads" 4 10000
measured "10 000 threads, 200 at once, leave little of their caches" "$programs/many_threads" 200 10000
if [ "$(available_mib)" -gt 3000 ]; then
	measured "metadata is at most 2 % of a heap of 2 GiB" "$programs/footprint" 2048
else
	tap_skip "metadata is at most 2 % of a heap of 2 GiB" "less than 3000 MiB are available"
fi
measured "address space is reserved by need" "$programs/reserved"
measured "what was freed and given back is not writable any longer" "$programs/charged"
measured "all of a small program can be locked within 8 MiB" "$programs/reserved" locked
measured "memory can be had after mlockall(MCL_FUTURE)" "$programs/reserved" locked-future
measured "more than 64 GiB of address space, and 1 TiB at once" "$programs/wide"
measured "buffers that grow in turn are resident once" "$programs/growing"
measured "a wide calloc writes no more than it must" "$programs/wide" zeroed
tap_ok "RLIMIT_AS from the start ends in ENOMEM" limited
rule "RLIMIT_AS set later ends in ENOMEM" "$programs/limit_as" 300
measured "RLIMIT_AS of 128 MiB is used for the most part: small blocks" "$programs/limit_as" 128 700 220
measured "RLIMIT_AS of 128 MiB is used for the most part: medium blocks" "$programs/limit_as" 128 700 20000
measured "RLIMIT_AS of 128 MiB is used for the most part: large blocks" "$programs/limit_as" 128 700 1000000
measured "RLIMIT_AS of 512 MiB is used for the most part: small blocks" "$programs/limit_as" 512 850 220
measured "RLIMIT_AS of 512 MiB is used for the most part: medium blocks" "$programs/limit_as" 512 850 20000
measured "RLIMIT_AS of 512 MiB is used for the most part: large blocks" "$programs/limit_as" 512 850 1000000
measured "memory may end at any place" "$programs/memory_ends"
tap_done
