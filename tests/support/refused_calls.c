/* The calls that refused.h counts. */

#include "tests/support/refused.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_asprintf(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
ssize_t __wrap_getline(char **line, size_t *size, FILE *file);
FILE *__wrap_fdopen(int fd, const char *mode);
DIR *__wrap_opendir(const char *path);
int __wrap_openat(int directory_fd, const char *path, int flags, ...);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_eventfd(unsigned count, int flags);
int __wrap_epoll_create1(int flags);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
ssize_t __real_getline(char **line, size_t *size, FILE *file);
FILE *__real_fdopen(int fd, const char *mode);
DIR *__real_opendir(const char *path);
int __real_openat(int directory_fd, const char *path, int flags, ...);
int __real_socket(int domain, int type, int protocol);
int __real_memfd_create(const char *name, unsigned flags);
int __real_eventfd(unsigned count, int flags);
int __real_epoll_create1(int flags);

static bool refuses_ours(void)
{
	return REFUSED_OURS_ONLY && refused_now(REFUSED_MEMORY);
}

void *__wrap_malloc(size_t size)
{
	return refuses_ours() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return refuses_ours() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
	return refuses_ours() ? NULL : __real_realloc(block, size);
}

char *__wrap_strdup(const char *text)
{
	return refuses_ours() ? NULL : __real_strdup(text);
}

int __wrap_asprintf(char **text, const char *format, ...)
{
	va_list arguments;
	if (refuses_ours())
		return -1;
	va_start(arguments, format);
	int length = vasprintf(text, format, arguments);
	va_end(arguments);
	return length;
}

/* It allocates a line, unless it is given one. */
ssize_t __wrap_getline(char **line, size_t *size, FILE *file)
{
	return *line == NULL && refuses_ours() ? -1 : __real_getline(line, size, file);
}

FILE *__wrap_fdopen(int fd, const char *mode)
{
	return refuses_ours() ? NULL : __real_fdopen(fd, mode);
}

DIR *__wrap_opendir(const char *path)
{
	if (refuses_ours() || refused_now(REFUSED_DESCRIPTORS))
		return NULL;
	return __real_opendir(path);
}

int __wrap_openat(int directory_fd, const char *path, int flags, ...)
{
	mode_t mode = 0;
	if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
		va_list arguments;
		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
	}
	return refused_now(REFUSED_DESCRIPTORS) ? -1
						: __real_openat(directory_fd, path, flags, mode);
}

int __wrap_socket(int domain, int type, int protocol)
{
	return refused_now(REFUSED_DESCRIPTORS) ? -1 : __real_socket(domain, type, protocol);
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
	return refused_now(REFUSED_DESCRIPTORS) ? -1 : __real_memfd_create(name, flags);
}

int __wrap_eventfd(unsigned count, int flags)
{
	return refused_now(REFUSED_DESCRIPTORS) ? -1 : __real_eventfd(count, flags);
}

int __wrap_epoll_create1(int flags)
{
	return refused_now(REFUSED_DESCRIPTORS) ? -1 : __real_epoll_create1(flags);
}
