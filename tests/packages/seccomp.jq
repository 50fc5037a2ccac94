# Makes the filter that a runtime takes of the profile that container engines share (Docker's default,
# as Debian's golang-github-containers-common has it): $caps is an array, the capabilities that the
# container keeps.  Entries for other architectures and for capabilities that are not kept go.
def applies:
	((.includes.caps // []) - $caps == [])
	and ((.excludes.caps // []) - $caps == (.excludes.caps // []))
	and ((.includes.arches // []) | length == 0 or index("amd64") != null)
	and ((.excludes.arches // []) | index("amd64") == null);
{
	defaultAction,
	defaultErrnoRet: (.defaultErrnoRet // 1),
	architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
	syscalls: [
		.syscalls[] | select(applies) |
		{names, action, args: (.args // [])} + (if .errnoRet then {errnoRet} else {} end)
	]
}
