#ifndef TESTS_FUZZ_TARGETS_H
#define TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

/*
 * What comes from outside, as bytes for a fuzzer: a target for each kind.
 *
 *   config    a configuration file, both dialects, through config_load_text()
 *   expand    a value with supervisord's %(NAME)s in it
 *   cgroup    the text of a cgroup's file, or of /proc/meminfo, through every parser
 *   link      what hostile processes write into a link's slots, between the supervisor's readings
 *   control   what a client sends over the control socket of a whole fleet
 *
 * A target takes any bytes, keeps nothing from one call to the next, and returns NULL or the
 * promise that was broken.  The sanitizers see the rest.
 *
 * tests/fuzz/seeds/NAME/ holds valid input for each.  fuzz_NAME is libFuzzer's program (make fuzz
 * WHAT=NAME); test_seeds plays every seed, and some thousand changed ones that are the same in
 * every run.
 */

const char *config_bytes_play(const uint8_t *bytes, size_t count);
const char *expand_bytes_play(const uint8_t *bytes, size_t count);
const char *cgroup_bytes_play(const uint8_t *bytes, size_t count);
const char *link_bytes_play(const uint8_t *bytes, size_t count);
const char *control_bytes_play(const uint8_t *bytes, size_t count);

#endif
