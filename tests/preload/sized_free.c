#include "tests/preload/check.h"

#include <dlfcn.h>
#include <errno.h>

/*
 * C23 7.24.3.4 and 7.24.3.5: free_sized and free_aligned_sized are free for who
 * knows what was asked for.  A libc that has them frees with its own free, which
 * knows nothing of our blocks; so they must be the library's, also where libc is
 * too old to have them.
 */
int main(void)
{
	void (*free_sized)(void *block, size_t size);
	void (*free_aligned_sized)(void *block, size_t alignment, size_t size);

	*(void **)&free_sized = dlsym(RTLD_DEFAULT, "free_sized");
	*(void **)&free_aligned_sized = dlsym(RTLD_DEFAULT, "free_aligned_sized");
	CHECK(free_sized != NULL && free_aligned_sized != NULL);
	errno = EXDEV;
	free_sized(NULL, 100);
	free_aligned_sized(NULL, 64, 100);
	for (size_t size = 0; size < 10 * MIB; size += 1 + size * 3) {
		free_sized(check_opaque(malloc(size)), size);
		free_sized(check_opaque(calloc(size, 1)), size);
		free_aligned_sized(check_opaque(aligned_alloc(64, size)), 64, size);
	}
	CHECK(errno == EXDEV);
	return 0;
}
