/* A clock that a sleep moves: poll() without descriptors takes no time and seems to take it. */

#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#define MS_PER_S 1000
#define NS_PER_MS 1000000

static _Atomic uint64_t slept_ms;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	uint64_t ahead_ms = atomic_load(&slept_ms);
	int error = __real_clock_gettime(clock, now);
	if (error != 0)
		return error;
	uint64_t ns = (uint64_t)now->tv_nsec + ahead_ms % MS_PER_S * NS_PER_MS;
	now->tv_sec += (time_t)(ahead_ms / MS_PER_S + ns / (MS_PER_S * (uint64_t)NS_PER_MS));
	now->tv_nsec = (long)(ns % (MS_PER_S * (uint64_t)NS_PER_MS));
	return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	if (count > 0 || timeout_ms < 0)
		return __real_poll(fds, count, timeout_ms);
	atomic_fetch_add(&slept_ms, (uint64_t)timeout_ms);
	return 0;
}
