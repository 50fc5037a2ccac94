# shellcheck shell=bash
# What every script of tests/system starts with, sourced from anywhere:
#
#   . "$(dirname "$0")/../support/system.sh"
#
# Goes to the repository's root, brings in tap.sh, and sets
#   BUILD      the variant's folder, absolute; build/release unless given
#   spillway   the supervisor
#   memory     tests/system/memory.c's program
# A program that is not there fails the script: what was not built was not tested.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
. tests/support/tap.sh
BUILD=$(realpath "${BUILD:-build/release}")
spillway=$BUILD/bin/spillway
memory=$BUILD/tests/system/memory
for program in "$spillway" "$memory"; do
  [ -x "$program" ] || {
    echo "Bail out! $program is not built"
    exit 1
  }
done
