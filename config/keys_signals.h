#ifndef CONFIG_KEYS_SIGNALS_H
#define CONFIG_KEYS_SIGNALS_H

/* As key.parse of keys.h, into a struct config_supervisor. */
int keys_parse_pressure_signals(const char *text, void *field, const char **why);

#endif
