/* Looks up the user whom a service runs as, and becomes it. */
#include "supervisor/process/account.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervisor/process/account_lookup.h"

/* 32-bit machines have the 16-bit calls under the plain names. */
#ifdef SYS_setresuid32
#define SETGROUPS SYS_setgroups32
#define SETRESGID SYS_setresgid32
#define SETRESUID SYS_setresuid32
#else
#define SETGROUPS SYS_setgroups
#define SETRESGID SYS_setresgid
#define SETRESUID SYS_setresuid
#endif

/* The all-ones id means "leave it" to the kernel. */
static int parse_id(const char *text, const char **end, uint32_t *id)
{
	char *after;
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	unsigned long long value = strtoull(text, &after, 10);
	if (errno != 0 || value >= UINT32_MAX)
		return -EINVAL;
	*id = (uint32_t)value;
	*end = after;
	return 0;
}

static int parse_numbers(const char *text, struct account *account, bool *has_group)
{
	const char *rest;
	uint32_t id;
	int error = parse_id(text, &rest, &id);
	if (error != 0)
		return error;
	account->uid = id;
	account->gid = id;
	*has_group = *rest == ':';
	if (*has_group) {
		error = parse_id(rest + 1, &rest, &id);
		account->gid = id;
	}
	return error == 0 && *rest == '\0' ? 0 : -EINVAL;
}

static int take_entry(const struct passwd *entry, bool has_group, struct account *account)
{
	account->uid = entry->pw_uid;
	if (!has_group)
		account->gid = entry->pw_gid;
	int error = account_lookup_groups(
		entry->pw_name, account->gid, &account->groups, &account->group_count);
	if (error != 0)
		return error;
	int name = snprintf(account->name, sizeof account->name, "%s", entry->pw_name);
	int home = snprintf(account->home, sizeof account->home, "%s", entry->pw_dir);
	int shell = snprintf(account->shell, sizeof account->shell, "%s", entry->pw_shell);
	bool fits = name < ACCOUNT_TEXT_BYTES && home < ACCOUNT_TEXT_BYTES &&
		    shell < ACCOUNT_TEXT_BYTES;
	return fits ? 0 : -ENAMETOOLONG;
}

/* No entry, or nobody to ask: the numbers are all there is to know. */
static int take_numbers(struct account *account)
{
	account->groups = malloc(sizeof *account->groups);
	if (account->groups == NULL)
		return -ENOMEM;
	account->groups[0] = account->gid;
	account->group_count = 1;
	return 0;
}

int account_resolve(const char *text, struct account *account)
{
	struct account found = {0};
	bool has_group = false;
	bool is_number = isdigit((unsigned char)text[0]);
	int error = is_number ? parse_numbers(text, &found, &has_group) : 0;
	if (error != 0)
		return error;
	const struct passwd *entry = account_lookup_user(is_number ? NULL : text, found.uid);
	if (entry != NULL)
		error = take_entry(entry, has_group, &found);
	else
		error = is_number ? take_numbers(&found) : -ENOENT;
	if (error == 0)
		*account = found;
	else
		account_free(&found);
	return error;
}

void account_free(struct account *account)
{
	free(account->groups);
	account->groups = NULL;
	account->group_count = 0;
}

/* Straight to the kernel: glibc's wrappers would signal threads that do not
 * exist in a forked child.  Groups we could not set although they are the same
 * (an unprivileged supervisor that names its own user) are no failure. */
int account_become(const struct account *account)
{
	bool unchanged = getuid() == account->uid && geteuid() == account->uid &&
			 getgid() == account->gid && getegid() == account->gid;
	if (syscall(SETGROUPS, account->group_count, account->groups) != 0 && !unchanged)
		return -errno;
	if (syscall(SETRESGID, account->gid, account->gid, account->gid) != 0)
		return -errno;
	if (syscall(SETRESUID, account->uid, account->uid, account->uid) != 0)
		return -errno;
	return 0;
}
