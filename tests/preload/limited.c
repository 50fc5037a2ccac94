#include "shim/spillway.h"
#include "tests/preload/check.h"

#include <sys/resource.h>
#include <sys/wait.h>

/*
 * A process that keeps a limit of its own by itself; SPILLWAY_LIMIT=16M, and no scavenging at calm.
 * argument: which rule.
 */
#define LIMIT (16 * MIB)

static struct spillway_stats stats_now(void)
{
	struct spillway_stats stats;

	CHECK(spillway_stats(&stats, sizeof stats) == 0);
	return stats;
}

static size_t resident(void)
{
	struct spillway_stats stats = stats_now();

	return stats.mapped_bytes - stats.clean_bytes;
}

static int limit_thread(void)
{
	return check_thread("spillway-limit");
}

/* What idles beyond the limit goes while the program sleeps; what is in use is never refused. */
static void keep(void)
{
	enum { COUNT = 640 };
	static void *blocks[COUNT];

	for (size_t i = 0; i < COUNT; i++) {
		blocks[i] = check_opaque(malloc(100 * KIB));
		CHECK(blocks[i] != NULL);
		memset(blocks[i], 1, 100 * KIB);
	}
	CHECK(resident() > 3 * LIMIT);
	for (size_t i = 0; i < COUNT; i++)
		free(blocks[i]);
	CHECK_SOON(20, resident() < LIMIT);
	/* Also what waits in part-used slabs. */
	CHECK_SOON(20, stats_now().idle_dirty_bytes < 4 * MIB);
}

/* Open gives the lowest number although the library opens files of its own meanwhile, and closing
 * everything that there is, and could be, leaves the limit kept. */
static void descriptors(void)
{
	int lowest = open("/dev/null", O_RDONLY);

	CHECK(lowest >= 0 && close(lowest) == 0);
	for (int i = 0; i < 300; i++) {
		for (int j = 0; j < 20; j++) {
			int fd = open("/dev/null", O_RDONLY);

			CHECK(fd == lowest);
			close(fd);
		}
		if (i % 10 == 0)
			check_churn(200, 100 * KIB);
	}
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	keep();
}

/* A child keeps the limit by itself. */
static void forked(void)
{
	int status;
	pid_t child;

	check_churn(300, 100 * KIB);
	CHECK_SOON(20, limit_thread() != 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		check_hang();
		keep();
		CHECK_SOON(20, limit_thread() != 0);
		_exit(7);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	keep();
}

/* No descriptor can be opened: a limit that is a size needs none. */
static void without_descriptors(void)
{
	struct rlimit none = {0, 0};

	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	keep();
}

/* A limit that what is in use leaves no room for costs growth little. */
static void missed(void)
{
	double start_s = check_now_s();

	for (size_t i = 0; i < 1000; i++) {
		char *block = check_opaque(malloc(100 * KIB));

		CHECK(block != NULL);
		memset(block, 1, 100 * KIB);
	}
	/* A thousand waits of even 50 ms each would be 50 s.  The alarm ends what hangs. */
	printf("%.1f s\n", check_now_s() - start_s);
}

int main(int count, char **argument)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} ways[] = {
		{"keep", keep},
		{"descriptors", descriptors},
		{"fork", forked},
		{"without-descriptors", without_descriptors},
		{"missed", missed},
	};

	check_hang();
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		if (count == 2 && strcmp(argument[1], ways[i].name) == 0) {
			ways[i].run();
			return 0;
		}
	}
	return 2;
}
