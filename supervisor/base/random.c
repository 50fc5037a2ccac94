/* Bytes that nobody can guess. */
#include "supervisor/base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

int random_fill(void *bytes, size_t count)
{
	if (getrandom(bytes, count, 0) == (ssize_t)count)
		return 0;
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t got = read(fd, bytes, count);
	close(fd);
	return got == (ssize_t)count ? 0 : -EIO;
}

uint32_t random_seed(void)
{
	uint32_t seed = 0;
	(void)random_fill(&seed, sizeof seed);
	return seed != 0 ? seed : (uint32_t)getpid();
}
