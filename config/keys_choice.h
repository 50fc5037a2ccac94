#ifndef CONFIG_KEYS_CHOICE_H
#define CONFIG_KEYS_CHOICE_H

#include "config/config.h"

/* As the key has it, such as "java". */
const char *keys_runtime_name(enum config_runtime runtime);

/* Values that are one of a few names; as key.parse of keys.h. */
int keys_parse_level(const char *text, void *field, const char **why);
int keys_parse_last_resort(const char *text, void *field, const char **why);
int keys_parse_freeze(const char *text, void *field, const char **why);
int keys_parse_type(const char *text, void *field, const char **why);
int keys_parse_runtime(const char *text, void *field, const char **why);
int keys_parse_on_exit(const char *text, void *field, const char **why);
int keys_parse_allocator(const char *text, void *field, const char **why);
int keys_parse_scavenge(const char *text, void *field, const char **why);
int keys_parse_madvise(const char *text, void *field, const char **why);

#endif
