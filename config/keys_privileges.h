#ifndef CONFIG_KEYS_PRIVILEGES_H
#define CONFIG_KEYS_PRIVILEGES_H

/* What a service may do at most; as key.parse of keys.h.  Into a struct config_privileges. */
int keys_parse_capabilities(const char *text, void *field, const char **why);

#endif
