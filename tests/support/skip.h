#ifndef TESTS_SUPPORT_SKIP_H
#define TESTS_SUPPORT_SKIP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

/* Ends a test as skipped, with the reason. */
static inline void skip_because(const char *reason)
{
	print_message("# reason: %s\n", reason);
	skip();
}

static inline void skip_unless_root(void)
{
	if (geteuid() != 0)
		skip_because("needs root");
}

#endif
