# The first container of a pod as a bundle for crun, as a kubelet has it made: with the image's configuration $image[0], its
# root $rootfs, the root $volume of the only image volume and the seccomp profile $seccomp[0].  Input: crun's own example.
($pod[0].spec.containers[0]) as $c
| ($pod[0].spec.securityContext) as $s
| .process.terminal = false
| .process.user = {uid: $s.runAsUser, gid: 0}
| .process.args = ($c.command + ($c.args // []))
| .process.env = ($image[0].process.env + [$c.env // [] | .[] | "\(.name)=\(.value)"])
| .process.capabilities = {}
| .process.noNewPrivileges = ($c.securityContext.allowPrivilegeEscalation | not)
| .root = {path: $rootfs, readonly: $c.securityContext.readOnlyRootFilesystem}
| .mounts |= map(select(.type != "cgroup"))
	+ [{destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup",
	options: ["nosuid", "noexec", "nodev", "relatime", "ro"]}]
	+ [$c.volumeMounts // [] | .[] | {destination: .mountPath, type: "bind", source: $volume,
	options: ["bind", "ro", "nosuid", "nodev"]}]
| .linux.namespaces = (["pid", "ipc", "uts", "mount", "network", "cgroup"] | map({type: .}))
| .linux.cgroupsPath = "/images/app"
| ($c.resources.limits.memory | rtrimstr("Mi") | tonumber * 1048576) as $limit
| .linux.resources = {memory: {limit: $limit, swap: $limit}, unified: {"memory.oom.group": "1"}}
| .linux.seccomp = $seccomp[0]
