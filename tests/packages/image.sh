#!/bin/bash
# The image's recipes, each built by tests/packages/bundles and run by crun on a stock kernel, as Docker and
# Kubernetes run containers: cgroupfs read-only, Docker's capabilities or none, the default seccomp profile.
# And a pod as the admission policy leaves it: both servers in it live with the label, and are killed without.
set -u
cd "$(dirname "$0")/../.." || exit 2
if [ -z "${SPILLWAY_VM:-}" ]; then
	[ "$(id -u)" -eq 0 ] || { echo "1..0 # SKIP needs root: images are unpacked"; exit 0; }
	tests/packages/bundles || { echo "Bail out! the images cannot be built"; exit 1; }
	! tests/packages/kubernetes/tools || for inject in none library supervisor; do
		node build/kubernetes/patch.mjs packaging/kubernetes/chart/files/policy.yaml \
			tests/packages/kubernetes/pod.yaml $inject >build/images/pod-$inject.json ||
			{ echo "Bail out! the policy cannot be evaluated"; exit 1; }
	done
	exec tests/vm/run --kernel 6.12 "$0"
fi
. tests/support/tap.sh
# The capabilities that Docker leaves a container.
docker='["CHOWN","DAC_OVERRIDE","FOWNER","FSETID","KILL","SETGID","SETUID","SETPCAP","NET_BIND_SERVICE","SYS_CHROOT","SETFCAP","AUDIT_WRITE","MKNOD","NET_RAW"]'
IDLE_MIB=96
# At that speed the limit is always farther than what asks for eager, so nothing goes before the limit is lowered.
MIB_PER_S=40
LIMIT_MIB=1024
images=$PWD/build/images

# bundle IMAGE LIMIT_MIB CAPS CHANGE OPTION... -- COMMAND...: writes config.json for a container of that image;
# CHANGE is what jq is to change in it, OPTION... what the image's spillway is told besides.
bundle() {
	local image=$1 limit_mib=$2 caps options=() change=$4
	caps=$(jq -c 'map("CAP_" + .)' <<<"$3")
	shift 4
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	rm -rf "$TAP_DIR/bundle"
	mkdir "$TAP_DIR/bundle"
	jq --argjson caps "$caps" -f tests/packages/seccomp.jq /usr/share/containers/seccomp.json >"$TAP_DIR/seccomp.json"
	(cd "$TAP_DIR/bundle" && crun spec)
	jq --slurpfile image "$images/$image/config.json" --slurpfile seccomp "$TAP_DIR/seccomp.json" --argjson caps "$caps" \
		--arg rootfs "$images/$image/rootfs" --argjson limit $((limit_mib << 20)) --arg options "$(printf '%s\n' "${options[@]}")" \
		--arg command "$(printf '%s\n' "$@")" '
		def words: split("\n") | map(select(. != ""));
		.process.terminal = false
		| .process.user = $image[0].process.user
		| .process.env = $image[0].process.env
		| .process.args = ($image[0].process.args | .[:index("--")] + ($options | words) + ["--"] + ($command | words))
		| .process.capabilities = {bounding: $caps, effective: $caps, permitted: $caps}
		| .process.noNewPrivileges = true
		| .root = {path: $rootfs, readonly: false}
		| .mounts |= map(select(.type != "cgroup"))
			+ [{destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup",
			options: ["nosuid", "noexec", "nodev", "relatime", "ro"]}]
		| .linux.namespaces = (["pid", "ipc", "uts", "mount", "network", "cgroup"] | map({type: .}))
		| .linux.cgroupsPath = "/images/app"
		| .linux.resources = {memory: {limit: $limit, swap: $limit}}
		| .linux.seccomp = $seccomp[0]
		| '"${change:-.}" "$TAP_DIR/bundle/config.json" >"$TAP_DIR/config.json" && mv "$TAP_DIR/config.json" "$TAP_DIR/bundle"
}
crun_() {
	crun --cgroup-manager=cgroupfs --root "$TAP_DIR/crun" "$@"
}
cgroup=/sys/fs/cgroup/images/app
log=$TAP_DIR/log
out=$TAP_DIR/out
start() {
	crun_ run --bundle "$TAP_DIR/bundle" app >"$out" 2>"$log" </dev/null &
	pid=$!
	at_exit_kill $pid
}
said() {
	grep -q "$1" "$2"
}
usage_below() {
	[ "$(cat $cgroup/memory.current)" -lt $(($1 << 20)) ]
}
# finished NAME STATUS
finished() {
	local status
	wait $pid
	status=$?
	[ $status -eq "$2" ] || tap_diag "$(tail -n 5 "$log")"
	tap_is "$1" $status "$2"
}

# lives IMAGE CAPS CHANGE SHIM COMMAND: a service that has become idle, and a limit that is lowered live below what it holds.
lives() {
	local image=$1 caps=$2 change=$3 shim=$4
	shift 4
	bundle "$image" $LIMIT_MIB "$caps" "$change" -v --scavenge=off -- "$@" idle $IDLE_MIB 2 $MIB_PER_S
	start
	tap_ok "$image: the service runs" wait_until 60 said empty "$out" || tap_diag "$(cat "$log")"
	tap_ok "$image: mode C" said 'mode C: cgroup v2 at /sys/fs/cgroup, read-only' "$log"
	tap_ok "$image: $shim" wait_until 60 said "$shim" "$log"
	crun_ kill app USR1
	tap_ok "$image: a signal goes to the service, which holds memory and frees it" wait_until 60 said '^idle' "$out"
	tap_diag "usage $(cat $cgroup/memory.current)"
	if [ "$shim" = "shim: active" ]; then
		tap_ok "$image: it is still charged" sh -c "! [ \$(cat $cgroup/memory.current) -lt $((IDLE_MIB << 20)) ]"
		crun_ update --memory $(((IDLE_MIB + 12) << 20)) app
		tap_ok "$image: the limit is lowered live, and idle memory goes" wait_until 60 usage_below $((IDLE_MIB / 2))
		tap_is "$image: nobody is killed" "$(awk '$1 == "oom_kill" { print $2 }' $cgroup/memory.events)" 0
		tap_diag "usage $(cat $cgroup/memory.current); $(grep -o '\(lazy\|eager\|full\) (was.*' "$log" | head -n 1)"
	fi
	tap_is "$image: the supervisor has no cgroup of its own" "$(find $cgroup -mindepth 1 -type d)" ""
	crun_ kill app TERM
	finished "$image: it ends as it is told to" 0
}
lives debian "$docker" . 'shim: active' your-server
lives openshift '[]' '.root.readonly = true' 'shim: active' your-server
lives distroless "$docker" . 'shim: active' your-server
lives alpine "$docker" . 'shim: \(active\|none (linked with musl)\)' your-server
tap_diag "$(grep -o 'shim: .*' "$log")"
lives base "$docker" . 'shim: none (' your-server
tap_diag "$(grep -o 'shim: .*' "$log")"

# The image as a volume in a container of another.
volume=packaging/image/volume.yaml
mapfile -t words < <(sed -n 's/^ *command: //p' $volume | jq -r '.[]')
lives debian "$docker" '.mounts += [{destination: "'"$(sed -n 's/^ *mountPath: //p' $volume)"'", type: "bind",
	source: "'"$images"'/spillway/rootfs", options: ["bind", "ro", "nosuid", "nodev"]}]
	| .process.args[0] = "'"${words[0]}"'"
	' 'shim: active' your-server

# A pod as the admission policy leaves it in a namespace with that label.
pod_of() {
	rm -rf "$TAP_DIR/bundle"
	mkdir "$TAP_DIR/bundle"
	jq --argjson caps '[]' -f tests/packages/seccomp.jq /usr/share/containers/seccomp.json >"$TAP_DIR/seccomp.json"
	(cd "$TAP_DIR/bundle" && crun spec)
	jq --slurpfile image "$images/debian/config.json" --slurpfile seccomp "$TAP_DIR/seccomp.json" --slurpfile pod "$images/pod-$1.json" \
		--arg rootfs "$images/debian/rootfs" --arg volume "$images/spillway/rootfs" -f tests/packages/kubernetes/bundle.jq \
		"$TAP_DIR/bundle/config.json" >"$TAP_DIR/config.json" && mv "$TAP_DIR/config.json" "$TAP_DIR/bundle"
}
servers() {
	grep -lx your-server /proc/[0-9]*/comm 2>/dev/null | cut -d / -f 3
}
said_times() {
	[ "$(grep -cx "$1" "$out")" -eq "$2" ]
}
# has_peaks NAME: both servers have their peak, one after the other.
has_peaks() {
	local pids
	tap_ok "$1: both servers run" wait_until 60 said_times empty 2 || tap_diag "$(cat "$log")"
	mapfile -t pids < <(servers)
	kill -USR1 "${pids[0]}"
	tap_ok "$1: one has its peak" wait_until 60 said_times idle 1
	kill -USR1 "${pids[1]}"
}
for inject in library supervisor; do
	[ -s "$images/pod-none.json" ] || { tap_skip "pods as the policy leaves them" "npm's packages cannot be had"; break; }
	if [ $inject = library ]; then
		pod_of none
		start
		has_peaks "without the label"
		finished "without the label: the peak of the other is the end of both" 137
	fi
	pod_of $inject
	start
	has_peaks "label $inject"
	tap_ok "label $inject: so has the other" wait_until 60 said_times idle 2
	tap_is "label $inject: nobody is killed" "$(awk '$1 == "oom_kill" { print $2 }' $cgroup/memory.events)" 0
	tap_diag "usage $(cat $cgroup/memory.current), most $(cat $cgroup/memory.peak 2>/dev/null)"
	tap_is "label $inject: both have the mounted library" \
		"$(for pid in $(servers); do grep -o -m 1 '/spillway/usr.*libspillway.so' "/proc/$pid/maps"; done | sort | uniq -c | tr -s ' ')" \
		" 2 /spillway/usr/local/lib/libspillway.so"
	crun_ kill app TERM
	finished "label $inject: it ends as it is told to" 0
done

# As the recipe has it, and what is in force there.
bundle openshift 64 '[]' '.root.readonly = true' -- grep -E '^(Uid|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
start
finished "openshift: a status is passed on" 0
tap_is "openshift: a user without a name, no capability, the filter" "$(tr -s '\t' ' ' <"$out" | paste -sd ' ')" \
	"Uid: 1000620000 1000620000 1000620000 1000620000 CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2"
tap_is "openshift: nothing is said" "$(cat "$log")" ""
bundle openshift 64 '[]' '.root.readonly = true' -- sh -c 'exit 7'
start
finished "openshift: so is another" 7
bundle debian 64 "$docker" . -- sh -c 'kill -TERM $$'
start
finished "debian: and that of a signal" 143

# The kernel kills the service, or with memory.oom.group all of the container.
bundle debian 64 "$docker" . -- your-server hog 400
start
finished "debian: a service that the kernel kills" 137
tap_ok "is told of" said 'OOM-killed' "$log"
bundle debian 64 "$docker" '.linux.resources.unified = {"memory.oom.group": "1"}' -- your-server hog 400
start
finished "with memory.oom.group all of it is killed" 137
tap_ok "and nobody is left to tell" sh -c "! grep -q OOM-killed '$log'"
tap_done
