#include "tests/preload/check.h"

#include "shim/share_page.h"

#include <sys/mman.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/*
 * The page of figures (shim/share_page.h).  Arguments: what to do, and the directory that
 * SPILLWAY_SHARE names.
 */

static const char *directory;
static char path[512];

static unsigned long long start_ticks(void)
{
	char text[1024];
	FILE *file = fopen("/proc/self/stat", "r");
	unsigned long long ticks = 0;
	const char *at;

	CHECK(file != NULL && fgets(text, sizeof text, file) != NULL);
	fclose(file);
	at = strrchr(text, ')');
	for (int field = 2; at != NULL && field < 22; field++)
		at = strchr(at + 1, ' ');
	CHECK(at != NULL && sscanf(at, "%llu", &ticks) == 1);
	return ticks;
}

static const char *path_of(int pid, unsigned long long ticks)
{
	struct stat status;

	CHECK(stat("/proc/self/ns/pid", &status) == 0);
	snprintf(path, sizeof path, "%s/spillway.%llu.%d.%llu", directory,
		(unsigned long long)status.st_ino, pid, ticks);
	return path;
}

static bool is_there(void)
{
	return access(path_of(getpid(), start_ticks()), F_OK) == 0;
}

static struct share_page read_page(void)
{
	struct share_page page;
	int fd = open(path_of(getpid(), start_ticks()), O_RDONLY);

	CHECK(fd >= 0);
	CHECK(read(fd, &page, sizeof page) == sizeof page);
	close(fd);
	return page;
}

/* So much that the thread is made. */
static void **grow(void)
{
	void **blocks = malloc(64 * sizeof *blocks);

	CHECK(blocks != NULL);
	for (size_t i = 0; i < 64; i++) {
		blocks[i] = check_opaque(malloc(256 * KIB));
		CHECK(blocks[i] != NULL);
		memset(blocks[i], 1, 256 * KIB);
	}
	return blocks;
}

static void shrink(void **blocks)
{
	for (size_t i = 0; i < 64; i++)
		free(blocks[i]);
	free(blocks);
}

static bool tells_live(uint64_t least, uint64_t most)
{
	const struct share_page page = read_page();
	uint64_t live = page.in_use_bytes - page.free_slots_bytes;

	return live >= least && live <= most && page.sample_count > 0;
}

static void look(void)
{
	char name[SHARE_COMMAND_BYTES + 1] = "";
	struct share_page page;
	void **blocks;

	CHECK(!is_there());
	blocks = grow();
	CHECK(is_there());
	CHECK_SOON(10, tells_live(16 * MIB, 64 * MIB));
	page = read_page();
	CHECK(page.magic == SHARE_MAGIC && page.version == SHARE_VERSION);
	CHECK(page.pid == (uint32_t)getpid() && page.uid == getuid());
	CHECK(page.start_ticks == start_ticks());
	memcpy(name, page.command, SHARE_COMMAND_BYTES);
	CHECK(strcmp(name, "share") == 0);
	CHECK(page.cgroup[0] == '/');
	CHECK((uint64_t)time(NULL) - page.updated_ms / 1000 < 600);
	shrink(blocks);
	CHECK_SOON(10, tells_live(0, 15 * MIB));
}

/* The child has a page of its own or none, and its end leaves the parent's. */
static void fork_child(void)
{
	void **blocks = grow();
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		(void)grow();
		CHECK(is_there());
		CHECK_SOON(10, tells_live(32 * MIB, 64 * MIB));
		exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(is_there());
	shrink(blocks);
}

/* A kill leaves it; a thousand of them do not leave a thousand. */
static size_t count_files(void)
{
	DIR *entries = opendir(directory);
	struct dirent *entry;
	size_t count = 0;

	CHECK(entries != NULL);
	while ((entry = readdir(entries)) != NULL)
		count += strncmp(entry->d_name, "spillway.", 9) == 0;
	closedir(entries);
	return count;
}

static void kills(void)
{
	for (size_t i = 1; i <= 100; i++) {
		pid_t child = fork();
		int status;

		CHECK(child >= 0);
		if (child == 0) {
			(void)grow();
			CHECK(is_there());
			kill(getpid(), SIGKILL);
		}
		CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
		if (i == 1)
			CHECK(count_files() == 1);
	}
	CHECK(count_files() <= SHARE_DEAD_KEPT + 1);
}

/* With no space, a full directory, a limit of file sizes: none, and no harm. */
static void none(void)
{
	void **blocks = grow();

	CHECK_SOON(10, check_worker() != 0);
	CHECK(!is_there());
	CHECK(count_files() == 0);
	shrink(blocks);
}

static void no_file_size(void)
{
	struct rlimit limit = {0};

	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	none();
}

/* The new image takes the old one's name. */
static void exec_again(char **argv)
{
	(void)grow();
	CHECK_SOON(10, tells_live(16 * MIB, 64 * MIB));
	argv[1] = (char *)(uintptr_t) "after-exec";
	execv("/proc/self/exe", argv);
	CHECK(false);
}

static void after_exec(void)
{
	void **blocks;

	CHECK(tells_live(16 * MIB, 64 * MIB));
	blocks = grow();
	CHECK_SOON(10, tells_live(16 * MIB, 64 * MIB));
	shrink(blocks);
	CHECK(count_files() == 1);
}

static bool maps_name(const char *wanted)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	bool found = false;

	CHECK(maps != NULL);
	while (fgets(line, sizeof line, maps) != NULL)
		found |= strstr(line, wanted) != NULL;
	fclose(maps);
	return found;
}

/* 77: this kernel has no names for mappings. */
static int names(void)
{
	void *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *large = check_opaque(malloc(256 * MIB));

	CHECK(map != MAP_FAILED && large != NULL);
	if (syscall(SYS_prctl, 0x53564d41, 0, map, 4096, "probe") != 0)
		return 77;
	CHECK(maps_name("[anon:spillway heap]"));
	CHECK(maps_name("[anon:spillway block]"));
	free(large);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	check_hang();
	directory = argc > 2 ? argv[2] : "";
	if (strcmp(what, "look") == 0)
		look();
	else if (strcmp(what, "fork") == 0)
		fork_child();
	else if (strcmp(what, "kills") == 0)
		kills();
	else if (strcmp(what, "none") == 0)
		none();
	else if (strcmp(what, "no-file-size") == 0)
		no_file_size();
	else if (strcmp(what, "exec") == 0)
		exec_again(argv);
	else if (strcmp(what, "after-exec") == 0)
		after_exec();
	else if (strcmp(what, "names") == 0)
		return names();
	else
		CHECK(false);
	return 0;
}
