#ifndef TESTS_SUPPORT_CONFIG_WHOLE_H
#define TESTS_SUPPORT_CONFIG_WHOLE_H

#include "config/config.h"

/* What holds of every config that was loaded, and of the errors where none was.  NULL, or what
 * does not hold. */
const char *config_whole(const struct config *config);
const char *config_errors_whole(const struct config_errors *errors);

#endif
