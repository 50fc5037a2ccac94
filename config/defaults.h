#ifndef CONFIG_DEFAULTS_H
#define CONFIG_DEFAULTS_H

#include "config/config.h"

/* What a section has where the file says nothing else. */

extern const struct config_supervisor default_supervisor;
extern const struct config_service default_service; /* has no name and no command */
extern const struct config_policy default_policy;   /* is named "default" */

#endif
