#!/bin/sh
# The preload library's end of the link, against a supervisor that is played.  TAP.
#   BUILD: the variant's folder, build/release unless set
set -u
cd "$(dirname "$0")/../.." || exit 2
. tests/support/tap.sh
BUILD=$(realpath "${BUILD:-build/release}")
# Copies that every user can read: one of the services runs as another user, and the checkout may
# be in root's home.
chmod 711 "$TAP_DIR" && cp "$BUILD/lib/libspillway.so" "$BUILD/tests/preload/puppet" "$TAP_DIR" || exit 1
"$BUILD/tests/preload/link" "$TAP_DIR/libspillway.so" "$TAP_DIR/puppet"
