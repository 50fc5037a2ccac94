/* Reads the names of capabilities. */
#include "config/keys_privileges.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "config/config.h"

/* By the kernel's numbers (capabilities(7)). */
static const char *const names[] = {"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID",
	"KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
	"NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO",
	"SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
	"AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
	"BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"};
#define NAMES (sizeof names / sizeof names[0])

/* 0 = there is none of that name. */
static uint64_t bit_of(const char *word, size_t length)
{
	if (length > 4 && strncasecmp(word, "CAP_", 4) == 0) {
		word += 4;
		length -= 4;
	}
	for (size_t i = 0; i < NAMES; i++)
		if (strlen(names[i]) == length && strncasecmp(names[i], word, length) == 0)
			return UINT64_C(1) << i;
	return 0;
}

int keys_parse_capabilities(const char *text, void *field, const char **why)
{
	static const char separators[] = " \t,";
	struct config_privileges *privileges = field;
	uint64_t set = 0;
	const char *at = text + strspn(text, separators);

	(void)why;
	if (*at == '\0')
		return -EINVAL;
	while (strcmp(text, "none") != 0 && *at != '\0') {
		size_t length = strcspn(at, separators);
		uint64_t bit = bit_of(at, length);
		if (bit == 0)
			return -EINVAL;
		set |= bit;
		at += length;
		at += strspn(at, separators);
	}
	privileges->has_capabilities = true;
	privileges->capabilities = set;
	return 0;
}
