#ifndef CONFIG_KEYS_PROBE_H
#define CONFIG_KEYS_PROBE_H

/*
 * Values that say how it is found out whether a service is up or of use, into a struct
 * config_probe; as key.parse of keys.h.
 *
 *   none
 *   systemd, fd:N              notify only; N from 3 to 199
 *   port:8080                  on 127.0.0.1
 *   port:10.0.0.1:8080         port:[::1]:8080, port:localhost:8080
 *   http://127.0.0.1:8080/     the address as above; port 80 where there is none
 *   exec:COMMAND               split as a command is
 *
 * Addresses are numbers, or localhost, which is 127.0.0.1: a name would have to be looked up.
 */
int keys_parse_notify(const char *text, void *field, const char **why);
int keys_parse_health(const char *text, void *field, const char **why);

/* A duration that is not 0; how many failures. */
int keys_parse_period(const char *text, void *field, const char **why);
int keys_parse_failures(const char *text, void *field, const char **why);

#endif
