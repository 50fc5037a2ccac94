#!/bin/sh
# What forked and cloned processes do at the link, against a supervisor that is played.  TAP.
#   BUILD: the variant's folder, build/release unless set
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=$(realpath "${BUILD:-build/release}")
exec "$BUILD/tests/preload/children" "$BUILD/lib/libspillway.so" "$BUILD/tests/preload/puppet"
