/* Looks for the supervisor that came after the one that this process was started by. */
#include "shim/link_renew.h"

#include "shim/heap/base/os.h"
#include "shim/kernel.h"
#include "shim/link.h"
#include "shim/link_socket.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#define MS_NS UINT64_C(1000000)
/* Hundreds of processes may ask at once; the listener takes a few at a time. */
#define TRIES 20
#define TRY_AGAIN_NS (10 * MS_NS)

static _Atomic uint64_t next_ns;

bool link_trusts(uint32_t listener)
{
	return listener == 0 || listener == (uint32_t)kernel_call(SYS_geteuid, 0, 0, 0, 0, 0, 0);
}

bool link_renew_is_due(uint64_t now_ns)
{
	bool is_silent = link_is_silent(now_ns);

	if (now_ns < atomic_load(&next_ns) || !(is_silent || link_rests(now_ns)))
		return false;
	/* A filter of system calls may end the process for either question. */
	return !os_is_sandboxed() && (is_silent || link_is_orphaned());
}

static int fetch(int fd[LINK_FILES], uint32_t *listener)
{
	const struct link_address *origin = link_origin();
	/* Not all at the same times. */
	uint64_t pause_ns = TRY_AGAIN_NS + (uint64_t)(getpid() % 32) * MS_NS;
	static const uint32_t never;
	int error = -EAGAIN;

	for (int i = 0; i < TRIES && error == -EAGAIN; i++) {
		if (i > 0)
			os_wait(&never, 0, pause_ns);
		error = link_socket_fetch(origin->socket, origin->token, fd, listener);
	}
	return error;
}

void link_renew(uint64_t now_ns)
{
	int fd[LINK_FILES];
	uint32_t listener;

	if (!link_renew_is_due(now_ns))
		return;
	atomic_store(&next_ns, now_ns + LINK_RENEW_AGAIN_NS);
	if (fetch(fd, &listener) != 0)
		return;
	if (link_trusts(listener))
		(void)link_replace(fd);
	for (unsigned i = 0; i < LINK_FILES; i++)
		kernel_close(fd[i]);
}
