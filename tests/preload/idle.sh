#!/bin/bash
# A process whose heap is idle has no wake-ups.  TAP; after make all programs.
#   BUILD: the variant's folder, build/release unless set
. "$(dirname "$0")/../support/preload.sh"

for policy in adaptive off; do
	rule "an idle heap does not wake its process: $policy" env "SPILLWAY_SCAVENGE=$policy" "$programs/idle"
done
tap_done
