#!/bin/bash
# The tarball and the image: the same bytes whatever the folder, the time zone and the user's mask, and programs that need no
# library.
# What is built twice is compiled twice: without ccache.
set -u
cd "$(dirname "$0")/../.." || exit 2
. tests/support/tap.sh
export CCACHE_DISABLE=1
version=$(sed -n 's/^VERSION := //p' Makefile)

# build FOLDER: from this tree's files.
build() {
	mkdir -p "$1"
	tests/support/files | tar -c -T - | tar -x -C "$1"
	(cd "$1" && env -u SOURCE_DATE_EPOCH make -s -j"$TAP_PROCESSORS" dist-bin image >&2)
}
# The sums of what is given away in FOLDER.
sums() {
	(cd "$1/build/dist" && find . -type f -exec sha256sum {} + | sort -k 2)
}
other="$TAP_DIR/a/folder/with a longer name"
tap_ok "they are built" build "$TAP_DIR/one"
tap_ok "and again, elsewhere" eval 'umask 027 && TZ=Asia/Tokyo LC_ALL=C build "$other"'
umask 022
one=$(echo "$TAP_DIR"/one/build/dist/*.tar.gz)
tap_ok "there is a tarball" test -s "$one"
tap_is "both are the same" "$(sums "$other")" "$(sums "$TAP_DIR/one")"
tap_ok "the sum beside the tarball is right" sh -c "cd '$(dirname "$one")' && sha256sum -c ./*.sha256"
image=$TAP_DIR/one/build/dist/image
tap_is "each blob of the image has its sum as its name" "$(cd "$image/blobs/sha256" && sha256sum ./* | sed 's,  ./, ,' | awk '$1 != $2')" ""
tap_ok "skopeo can read the image" skopeo inspect "oci:$image:$version"
tap_ok "umoci can unpack it" umoci unpack --rootless --image "$image:$version" "$TAP_DIR/bundle"
tap_is "and there is nothing else in it" "$(cd "$TAP_DIR/bundle/rootfs" && find . -type f | sort | paste -sd ' ')" \
	"./usr/local/bin/spillway ./usr/local/lib/libspillway-agent.so ./usr/local/lib/libspillway.so"
tap_is "everybody may read and run that" "$(find "$TAP_DIR/bundle/rootfs" ! -perm -555)" ""
tap_is "the recipes and the pod name this version" \
	"$(grep -ho 'spillway:[0-9][0-9.]*' packaging/image/*.Dockerfile packaging/image/*.yaml | sort -u)" "spillway:$version"
mkdir "$TAP_DIR/into"
tar -x -C "$TAP_DIR/into" --strip-components=1 -f "$one"
for program in spillway spillctl; do
	file=$TAP_DIR/into/bin/$program
	tap_is "$program needs no library, nor a loader" "$(readelf -ldW "$file" | grep 'INTERP\|NEEDED')" ""
	tap_ok "$program may be loaded anywhere" sh -c "readelf -h '$file' | grep -q 'Type: *DYN'"
	tap_is "$program says its version" "$("$file" --version | grep -o '[0-9.]*' | head -n 1)" "$version"
	tap_diag "$program is $(stat -c %s "$file") bytes"
done
tap_ok "spillway finds the library beside it" \
	"$TAP_DIR/into/bin/spillway" -- grep -q "$TAP_DIR/into/lib/libspillway.so" /proc/self/maps
tap_ok "and the agent for a command that keeps its allocator" \
	"$TAP_DIR/into/bin/spillway" --allocator=keep -- grep -q "$TAP_DIR/into/lib/libspillway-agent.so" /proc/self/maps
# The C library looks for accounts of other sources in libraries of its own; /etc/passwd takes none.
printf '[service:a]\ncommand = id -un\nuser = nobody\n' >"$TAP_DIR/user.ini"
if [ "$(id -u)" -eq 0 ]; then
	tap_is "a user of /etc/passwd is found" "$("$TAP_DIR/into/bin/spillway" -q run "$TAP_DIR/user.ini")" "nobody"
else
	tap_skip "a user of /etc/passwd is found" "needs root: it starts a service as another user"
fi
tap_ok "the unit names the program" grep -q '^ExecStart=/usr/local/bin/spillway run' "$TAP_DIR/into/lib/systemd/system/spillway@.service"
tap_ok "man pages, header and example are there" ls "$TAP_DIR/into/share/man/man7/libspillway.7" \
	"$TAP_DIR/into/share/man/man3/spillway.h.3" "$TAP_DIR/into/share/man/man5/spillway.ini.5" \
	"$TAP_DIR/into/include/spillway.h" "$TAP_DIR/into/share/doc/spillway/examples/spillway.ini"
tap_done
