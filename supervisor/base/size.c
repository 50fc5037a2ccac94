/* Prints sizes for people. */
#include "supervisor/base/size.h"

#include <stdio.h>

struct size_text size_text(uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	struct size_text size;
	if (bytes == UINT64_MAX) {
		snprintf(size.text, sizeof size.text, "no limit");
		return size;
	}
	if (bytes < 1024) {
		snprintf(size.text, sizeof size.text, "%u", (unsigned)bytes);
		return size;
	}
	unsigned unit = 0;
	uint64_t one = 1024;
	while (bytes / one >= 1024) {
		one *= 1024;
		unit++;
	}
	uint64_t whole = bytes / one;
	uint64_t tenth = (bytes % one) * 10 / one;
	if (whole >= 100 || tenth == 0)
		snprintf(size.text, sizeof size.text, "%u%c", (unsigned)whole, units[unit]);
	else
		snprintf(size.text, sizeof size.text, "%u.%u%c", (unsigned)whole, (unsigned)tenth,
			units[unit]);
	return size;
}
