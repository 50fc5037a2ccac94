#ifndef CONFIG_TEXT_FILE_H
#define CONFIG_TEXT_FILE_H

#include <stddef.h>

#define TEXT_FILE_BYTES_MAX ((size_t)1024 * 1024)

/* All of the file, in memory that the caller frees.  0, -EFBIG, -ENOMEM, -ENOTSUP for what is no
 * regular file, which is not waited for, or another -errno. */
int text_file_read(const char *path, char **text, size_t *length);

#endif
