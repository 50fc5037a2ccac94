#!/bin/bash
# The real programs that have children and connections once more, each as a service of the
# supervisor.  TAP.
#   BUILD: the variant's folder, build/release unless set
set -u
cd "$(dirname "$0")/../.." || exit 2
spillway=$(realpath "${BUILD:-build/release}")/bin/spillway
if [ ! -x "$spillway" ]; then
	echo "1..0 # SKIP $spillway is not built"
	exit 0
fi
WRAP="$spillway --" exec tests/preload/programs.sh
