#!/bin/sh
# The preload library's growth gate, against a supervisor that is played.  TAP.
#   BUILD: the variant's folder, build/release unless set
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=$(realpath "${BUILD:-build/release}")
exec "$BUILD/tests/preload/growth" "$BUILD/lib/libspillway.so" "$BUILD/tests/preload/puppet"
