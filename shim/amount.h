#ifndef SHIM_AMOUNT_H
#define SHIM_AMOUNT_H

#include <stdint.h>

/*
 * Sizes and shares as text, without libc's help: settings are read before libc is ready.
 *
 *	size	512M 1GiB 64k 1.5G 4096	K M G T are powers of 1024, with or without iB, or B alone
 *	share	80% 12.5%
 *
 * Three digits may stand behind the point.  No sign, no blank.  0, or -EINVAL and the result is
 * untouched.
 */

/* Below 2^63. */
int amount_parse_size(const char *text, uint64_t *bytes);
/* In thousandths of a percent. */
int amount_parse_share(const char *text, uint64_t *thousandths);

#endif
