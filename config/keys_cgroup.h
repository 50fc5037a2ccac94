#ifndef CONFIG_KEYS_CGROUP_H
#define CONFIG_KEYS_CGROUP_H

/* Values that are about a service's share of processors and disks; as key.parse of keys.h. */
int keys_parse_cpu_max(const char *text, void *field, const char **why);
int keys_parse_weight(const char *text, void *field, const char **why);

/* Into the service: both the list and its length. */
int keys_parse_io_max(const char *text, void *field, const char **why);

#endif
