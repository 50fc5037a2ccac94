#include "tests/preload/check.h"

/* A daemon that closes everything, before and after the thread exists. */
int main(void)
{
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	check_churn(100, 100 * KIB);
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	check_churn(100, 100 * KIB);
	return access("/", F_OK);
}
