#ifndef CONFIG_UNITS_H
#define CONFIG_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

/*
 * Text of one value to a number with a unit, and back.
 *
 * Every parser reads the whole text and gives 0, -EINVAL for text that is not of
 * its kind, or -ERANGE for text that is but does not fit; the result is
 * untouched on failure.  Signs, blanks around the text, and empty text are
 * refused.  Arithmetic is on integers: "1.5G" is 1 * 2^30 + 5 * 2^30 / 10.
 *
 *   size      512M  1GiB  64K  1.5G  4096   K M G T are powers of 1024, with or
 *             without iB or B, in either case, as systemd and Docker read them;
 *             a fraction of a byte is dropped; up to 2^63 - 1
 *   share     80%  12.5%                    whole permille, up to 100%
 *   amount    a size, a share, or "off"     0 is off too
 *   cpus      1.5  50%  200%                processors, or a share of one; whole permille of one,
 *             up to 1000000 processors
 *   duration  250ms  2s  1m  1h  1.5s  10   whole milliseconds, up to 2^32 - 1;
 *             a bare number is seconds, as supervisord's ...secs keys have it
 *   psi       some 5% 2s  full 200ms 2s  off
 *             kind, share of the window or time within it, window
 *   signal    TERM  SIGTERM  15  RTMIN+3  RTMAX-1
 *   boolean   true false yes no on off 1 0
 *   integer   -17  0  4096                  decimal, within bounds; the one that may have a sign
 */

#define UNITS_TEXT_BYTES 48

int units_parse_size(const char *text, uint64_t *bytes);
int units_parse_share(const char *text, uint32_t *permille);
int units_parse_cpus(const char *text, uint32_t *permille);
int units_parse_amount(const char *text, struct config_amount *amount);
int units_parse_duration(const char *text, uint32_t *duration_ms);
int units_parse_psi(const char *text, struct config_psi *psi);
int units_parse_signal(const char *text, int *number);
int units_parse_boolean(const char *text, bool *value);
int units_parse_integer(const char *text, int least, int most, int *value);

/* Back to text that the parser reads as the same value; UNITS_TEXT_BYTES is enough. */
void units_format_amount(struct config_amount amount, char *text, size_t text_bytes);
void units_format_duration(uint32_t duration_ms, char *text, size_t text_bytes);
void units_format_psi(struct config_psi psi, char *text, size_t text_bytes);

#endif
