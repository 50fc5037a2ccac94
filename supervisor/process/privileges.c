/* Limits what a child and all that it starts may do, before it runs its program. */
#include "supervisor/process/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BITS 64U

static bool is_wanted(const struct config_privileges *privileges, unsigned capability)
{
	return (privileges->capabilities >> capability & 1) != 0;
}

int privileges_limit(const struct config_privileges *privileges)
{
	if (!privileges->has_capabilities)
		return 0;
	for (unsigned i = 0; i < BITS; i++) {
		bool wanted = is_wanted(privileges, i);
		int has = prctl(PR_CAPBSET_READ, i, 0, 0, 0);
		if (has < 0 && wanted)
			return -errno;
		if (has == 0 && wanted)
			return -EPERM;
		if (has == 1 && !wanted && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
			return -errno;
	}
	return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 ? 0 : -errno;
}

/* One set, as the kernel takes it. */
static void put(struct __user_cap_data_struct data[2], uint64_t set, uint64_t inheritable)
{
	for (int i = 0; i < 2; i++)
		data[i] = (struct __user_cap_data_struct){
			.effective = (uint32_t)(set >> (32 * i)),
			.permitted = (uint32_t)(set >> (32 * i)),
			.inheritable = (uint32_t)(inheritable >> (32 * i)),
		};
}

static int take_capabilities(const struct config_privileges *privileges)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	uint64_t set = privileges->capabilities;
	bool is_root = geteuid() == 0;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	put(data, set, is_root ? 0 : set);
	if (syscall(SYS_capset, &header, data) != 0)
		return -errno;
	for (unsigned i = 0; !is_root && i < BITS; i++)
		if (is_wanted(privileges, i) &&
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0)
			return -errno;
	return prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) == 0 ? 0 : -errno;
}

int privileges_take(const struct config_privileges *privileges)
{
	int error = privileges->has_capabilities ? take_capabilities(privileges) : 0;
	if (error == 0 && privileges->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		error = -errno;
	return error;
}
