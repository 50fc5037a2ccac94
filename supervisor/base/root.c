/* Opens what is named by an absolute path below another root. */
#include "supervisor/base/root.h"

#include <fcntl.h>

static const char *below(const char *path)
{
	while (*path == '/')
		path++;
	return *path != '\0' ? path : ".";
}

int root_open_directory(int root_fd, const char *path)
{
	return openat(root_fd, below(path), O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int root_open_file(int root_fd, const char *path)
{
	return openat(root_fd, below(path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}
