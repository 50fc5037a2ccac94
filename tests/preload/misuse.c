#include "tests/preload/check.h"

/* The library must stop this program with a line that says so. */
int main(int count, char **arguments)
{
	char *volatile block = malloc(100);
	char *volatile large = malloc(4 * MIB);
	char local[64];
	char *volatile foreign = local;
	const char *what = count > 1 ? arguments[1] : "";

	if (strcmp(what, "double") == 0) {
		free(block);
		free(block);
	} else if (strcmp(what, "double-large") == 0) {
		free(large);
		free(large);
	} else if (strcmp(what, "inside") == 0) {
		free(check_opaque(block + 16));
	} else if (strcmp(what, "inside-large") == 0) {
		free(check_opaque(large + 4096));
	} else if (strcmp(what, "stack") == 0) {
		free(foreign);
	} else if (strcmp(what, "foreign-realloc") == 0) {
		large = realloc(foreign, 10);
	}
	return 3;
}
