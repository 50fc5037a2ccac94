/*
 * A service that watches for memory pressure in systemd's way, for the system tests.
 *
 *   watcher plain       by the bytes that systemd documents; says "told" for each event
 *   watcher sd-event    by sd_event_add_memory_pressure of libsystemd 254 or newer (of LIBSYSTEMD,
 *                       else as the loader finds it); says "told" for each event
 *
 * Says "watches PATH" when it has begun; "unable: PATH: WHY" and ends with 0 where it cannot.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void say(const char *word, const char *more)
{
	printf("%s%s\n", word, more);
	fflush(stdout);
}

static int unable(const char *why)
{
	const char *path = getenv("MEMORY_PRESSURE_WATCH");
	printf("unable: %s: %s\n", path != NULL ? path : "no MEMORY_PRESSURE_WATCH", why);
	return 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || strlen(path) >= sizeof address.sun_path)
		return -1;
	memcpy(address.sun_path, path, strlen(path));
	return connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

/* The trigger as it comes out of MEMORY_PRESSURE_WRITE, which names no other in these tests. */
static const char trigger[] = "some 200000 2000000";
static const char trigger_base64[] = "c29tZSAyMDAwMDAgMjAwMDAwMAA=";

static int run_plain(const char *path)
{
	struct stat status;
	const char *text = getenv("MEMORY_PRESSURE_WRITE");
	if (stat(path, &status) != 0)
		return unable(strerror(errno));
	bool is_file = S_ISREG(status.st_mode);
	int fd =
		is_file ? open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY) : connect_to(path);
	if (fd < 0)
		return unable(strerror(errno));
	if (text != NULL && strcmp(text, trigger_base64) != 0)
		return unable("MEMORY_PRESSURE_WRITE");
	if (text != NULL && write(fd, trigger, sizeof trigger) != sizeof trigger)
		return unable(strerror(errno));
	say("watches ", path);
	for (;;) {
		struct pollfd ready = {.fd = fd, .events = is_file ? POLLPRI : POLLIN};
		char dropped[256];
		if (poll(&ready, 1, -1) != 1 || (ready.revents & ready.events) == 0)
			return 3;
		if (!is_file && read(fd, dropped, sizeof dropped) == 0)
			return 4;
		say("told", "");
	}
}

static int on_pressure(void *source, void *userdata)
{
	(void)source;
	(void)userdata;
	say("told", "");
	return 0;
}

static int run_sd_event(const char *path)
{
	typedef int new_function(void **event);
	typedef int add_function(void *event, void **source,
		int (*callback)(void *source, void *userdata), void *userdata);
	typedef int loop_function(void *event);
	const char *name = getenv("LIBSYSTEMD");
	void *library = dlopen(name != NULL ? name : "libsystemd.so.0", RTLD_NOW);
	void *event = NULL;
	if (library == NULL)
		return unable("there is no libsystemd");
	new_function *new = (new_function *)dlsym(library, "sd_event_new");
	add_function *add = (add_function *)dlsym(library, "sd_event_add_memory_pressure");
	loop_function *loop = (loop_function *)dlsym(library, "sd_event_loop");
	if (new == NULL || add == NULL || loop == NULL)
		return unable("libsystemd is older than 254");
	int error = new (&event);
	if (error >= 0)
		error = add(event, NULL, on_pressure, NULL);
	if (error < 0)
		return unable(strerror(-error));
	say("watches ", path);
	return loop(event) < 0 ? 5 : 0;
}

int main(int argc, char **argv)
{
	const char *path = getenv("MEMORY_PRESSURE_WATCH");
	if (argc != 2)
		return 2;
	if (path == NULL)
		return unable("not set");
	return strcmp(argv[1], "sd-event") == 0 ? run_sd_event(path) : run_plain(path);
}
