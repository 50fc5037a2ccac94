#ifndef CONFIG_KEYS_PROCESS_H
#define CONFIG_KEYS_PROCESS_H

/* Values that are about a service's process and its life; as key.parse of keys.h. */
int keys_parse_exitcodes(const char *text, void *field, const char **why);
int keys_parse_retries(const char *text, void *field, const char **why);
int keys_parse_optional_path(const char *text, void *field, const char **why);
int keys_parse_names(const char *text, void *field, const char **why);
int keys_parse_order(const char *text, void *field, const char **why);
int keys_parse_logfile(const char *text, void *field, const char **why);
int keys_parse_log_bytes(const char *text, void *field, const char **why);
int keys_parse_log_backups(const char *text, void *field, const char **why);
int keys_parse_umask(const char *text, void *field, const char **why);

#endif
