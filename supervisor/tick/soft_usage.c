/* What a service without a cgroup of its own uses. */
#include "supervisor/tick/soft_usage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/policy/fraction.h"

#define ROLLUP_TEXT_BYTES 2048

static uint64_t heaps_bytes(const struct link_figures *figures)
{
	return fraction_plus(fraction_plus(figures->in_use_bytes, figures->idle_dirty_bytes),
		fraction_plus(figures->lazy_bytes, figures->metadata_bytes));
}

/* 0 where it cannot be read. */
static uint64_t pss_bytes(int proc_fd, pid_t pid)
{
	char text[ROLLUP_TEXT_BYTES];
	char path[32];
	snprintf(path, sizeof path, "%ld/smaps_rollup", (long)pid);
	int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t length = read(fd, text, sizeof text - 1);
	close(fd);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	const char *line = strstr(text, "\nPss:");
	return line != NULL ? strtoull(line + strlen("\nPss:"), NULL, 10) * 1024 : 0;
}

uint64_t soft_usage_bytes(struct soft_usage *usage, const struct link *link,
	const struct link_totals *totals, int proc_fd, uint64_t now_ms)
{
	pid_t pid[SOFT_USAGE_PROCESSES];
	uint64_t heaps = heaps_bytes(&totals->figures);
	if (usage->known && now_ms - usage->read_ms < SOFT_USAGE_PSS_MS)
		return fraction_plus(heaps, usage->other_bytes);
	size_t count = link_processes(link, pid, SOFT_USAGE_PROCESSES);
	uint64_t sum = 0;
	for (size_t i = 0; i < count; i++)
		sum = fraction_plus(sum, pss_bytes(proc_fd, pid[i]));
	if (count > 0 && totals->heap.processes > count)
		sum = sum / count * totals->heap.processes;
	/* Lazily freed pages are of the set as long as they are there. */
	usage->other_bytes = fraction_less(sum, heaps);
	usage->known = count > 0;
	usage->read_ms = now_ms;
	return fraction_plus(heaps, usage->other_bytes);
}
