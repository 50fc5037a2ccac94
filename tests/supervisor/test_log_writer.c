#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "supervisor/base/log_writer.h"
#include "tests/support/patience.h"

/* Whoever reads the log, and has stopped. */
struct reader {
	int read_fd;
	int write_fd;
	struct log_writer *writer;
};

static size_t say_lost(char *line, size_t size, uint64_t count)
{
	return (size_t)snprintf(line, size, "<%llu lost>\n", (unsigned long long)count);
}

/* Until the descriptor takes no more; then it is blocking again. */
static void fill(int fd)
{
	static const char filler[512];
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (write(fd, filler, sizeof filler) > 0 || write(fd, filler, 1) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
}

static void open_pipe(struct reader *reader)
{
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*reader = (struct reader){.read_fd = ends[0], .write_fd = ends[1]};
}

static void open_socket(struct reader *reader)
{
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	*reader = (struct reader){.read_fd = ends[0], .write_fd = ends[1]};
}

/* A terminal after ^S. */
static void open_terminal(struct reader *reader)
{
	int unlock = 0;
	struct termios settings;
	reader->read_fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(reader->read_fd >= 0);
	assert_int_equal(ioctl(reader->read_fd, TIOCSPTLCK, &unlock), 0);
	reader->write_fd = ioctl(reader->read_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(reader->write_fd >= 0);
	assert_int_equal(tcgetattr(reader->write_fd, &settings), 0);
	settings.c_oflag &= ~(tcflag_t)OPOST;
	assert_int_equal(tcsetattr(reader->write_fd, TCSANOW, &settings), 0);
	assert_int_equal(tcflow(reader->write_fd, TCOOFF), 0);
}

static void put(struct log_writer *writer, const char *text)
{
	log_writer_put(writer, text, strlen(text));
}

/* Reads until the text has come; false: it never does.  What came before it is dropped. */
static bool reads(int fd, const char *wanted)
{
	static char text[1 << 20];
	size_t length = 0;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return WAIT_UNTIL(30, ({
		ssize_t got = read(fd, text + length, sizeof text - 1 - length);
		if (got > 0) {
			/* The filler is made of NULs. */
			for (ssize_t i = 0; i < got; i++)
				if (text[length + (size_t)i] == '\0')
					text[length + (size_t)i] = '.';
			length += (size_t)got;
		}
		text[length] = '\0';
		strstr(text, wanted) != NULL;
	}));
}

static void end(struct reader *reader)
{
	log_writer_close(reader->writer, 30000);
	if (reader->read_fd >= 0)
		close(reader->read_fd);
	close(reader->write_fd);
}

/* More than the buffer holds is put, by a caller that is never held up. */
static unsigned put_too_much(struct log_writer *writer)
{
	char line[LOG_WRITER_LINE_BYTES];
	unsigned count = 2 * LOG_WRITER_BYTES / LOG_WRITER_LINE_BYTES;
	memset(line, 'x', sizeof line - 1);
	line[sizeof line - 1] = '\n';
	for (unsigned i = 0; i < count; i++)
		log_writer_put(writer, line, sizeof line);
	return count;
}

static void check_stopped_reader(struct reader *reader)
{
	assert_int_equal(log_writer_open(reader->write_fd, say_lost, &reader->writer), 0);
	put(reader->writer, "first\n");
	put_too_much(reader->writer);
	put(reader->writer, "dropped\n");
	/* Ours alone is not what the services have. */
	assert_int_equal(fcntl(reader->write_fd, F_GETFL) & O_NONBLOCK, 0);
}

static void test_a_pipe_whose_reader_has_stopped_holds_nobody_up(void **state)
{
	(void)state;
	struct reader reader;
	open_pipe(&reader);
	fill(reader.write_fd);
	check_stopped_reader(&reader);
	assert_true(reads(reader.read_fd, " lost>\n"));
	put(reader.writer, "last\n");
	assert_true(reads(reader.read_fd, "last\n"));
	end(&reader);
}

static void test_nor_does_a_socket(void **state)
{
	(void)state;
	struct reader reader;
	open_socket(&reader);
	fill(reader.write_fd);
	check_stopped_reader(&reader);
	assert_true(reads(reader.read_fd, " lost>\n"));
	end(&reader);
}

static void test_nor_does_a_stopped_terminal(void **state)
{
	(void)state;
	struct reader reader;
	open_terminal(&reader);
	check_stopped_reader(&reader);
	assert_int_equal(tcflow(reader.write_fd, TCOON), 0);
	assert_true(reads(reader.read_fd, " lost>\n"));
	end(&reader);
}

/* Where the lines were lost, not somewhere after it. */
static void test_the_count_stands_where_the_lines_are_missing(void **state)
{
	(void)state;
	struct reader reader;
	char wanted[64];
	open_pipe(&reader);
	fill(reader.write_fd);
	assert_int_equal(log_writer_open(reader.write_fd, say_lost, &reader.writer), 0);
	unsigned count = put_too_much(reader.writer);
	unsigned kept = LOG_WRITER_BYTES / (LOG_WRITER_LINE_BYTES + 2 * sizeof(uint64_t));
	/* The thread may have taken one line already. */
	snprintf(wanted, sizeof wanted, "x\n<%u lost>\n", count - kept);
	char one_more[64];
	snprintf(one_more, sizeof one_more, "x\n<%u lost>\n", count - kept - 1);
	char text[8192] = "";
	assert_true(WAIT_UNTIL(30, ({
		ssize_t got;
		memmove(text, text + sizeof text / 2, sizeof text / 2);
		fcntl(reader.read_fd, F_SETFL, O_NONBLOCK);
		got = read(reader.read_fd, text + sizeof text / 2, sizeof text / 2 - 1);
		text[sizeof text / 2 + (size_t)(got > 0 ? got : 0)] = '\0';
		for (size_t i = 0; i < sizeof text / 2 + (size_t)(got > 0 ? got : 0); i++)
			if (text[i] == '\0')
				text[i] = '.';
		strstr(text, wanted) != NULL || strstr(text, one_more) != NULL;
	})));
	end(&reader);
}

static void test_lines_keep_their_order_around_the_ring(void **state)
{
	(void)state;
	struct reader reader;
	char line[512];
	open_pipe(&reader);
	assert_int_equal(log_writer_open(reader.write_fd, say_lost, &reader.writer), 0);
	for (unsigned i = 0; i < 2000; i++) {
		int length = snprintf(line, sizeof line, "%0*u\n", (int)(i % 400 + 1), i);
		log_writer_put(reader.writer, line, (size_t)length);
		char got[512];
		size_t have = 0;
		while (have < (size_t)length) {
			ssize_t part = read(reader.read_fd, got + have, (size_t)length - have);
			assert_true(part > 0);
			have += (size_t)part;
		}
		assert_memory_equal(got, line, (size_t)length);
	}
	end(&reader);
}

/* The thread has a pending SIGPIPE: it has met the end of the pipe. */
static bool thread_was_refused(void)
{
	char path[64];
	char line[128];
	bool pending = false;
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;
	while (tasks != NULL && (task = readdir(tasks)) != NULL) {
		snprintf(path, sizeof path, "/proc/self/task/%.20s/status", task->d_name);
		FILE *status = fopen(path, "re");
		while (status != NULL && fgets(line, sizeof line, status) != NULL)
			if (strncmp(line, "SigPnd:", 7) == 0)
				pending = pending || strtoull(line + 7, NULL, 16) != 0;
		if (status != NULL)
			fclose(status);
	}
	closedir(tasks);
	return pending;
}

static void test_a_reader_that_is_gone_kills_nobody_and_a_new_one_is_told(void **state)
{
	(void)state;
	struct reader reader;
	struct reader next;
	open_pipe(&reader);
	open_pipe(&next);
	close(reader.read_fd);
	assert_int_equal(log_writer_open(reader.write_fd, say_lost, &reader.writer), 0);
	put(reader.writer, "to nobody\n");
	assert_true(WAIT_UNTIL(30, thread_was_refused()));
	assert_int_equal(dup2(next.write_fd, reader.write_fd), reader.write_fd);
	close(next.write_fd);
	put(reader.writer, "here\n");
	reader.read_fd = next.read_fd;
	assert_true(reads(reader.read_fd, "here\n<1 lost>\n"));
	end(&reader);
}

/* The kernel's own disk that is always full. */
static void test_a_full_disk_holds_nobody_up(void **state)
{
	(void)state;
	struct reader reader = {.read_fd = -1};
	reader.write_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(reader.write_fd >= 0);
	assert_int_equal(log_writer_open(reader.write_fd, say_lost, &reader.writer), 0);
	put(reader.writer, "one\n");
	put_too_much(reader.writer);
	end(&reader);
}

/* The ending is not held up for ever, and what is left behind goes when the reader does. */
static void test_closing_gives_up_on_a_reader_that_takes_nothing(void **state)
{
	(void)state;
	struct reader reader;
	open_pipe(&reader);
	fill(reader.write_fd);
	assert_int_equal(log_writer_open(reader.write_fd, say_lost, &reader.writer), 0);
	put(reader.writer, "never\n");
	put_too_much(reader.writer);
	log_writer_close(reader.writer, 1);
	assert_true(reads(reader.read_fd, "."));
	close(reader.read_fd);
	close(reader.write_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pipe_whose_reader_has_stopped_holds_nobody_up),
		cmocka_unit_test(test_nor_does_a_socket),
		cmocka_unit_test(test_nor_does_a_stopped_terminal),
		cmocka_unit_test(test_the_count_stands_where_the_lines_are_missing),
		cmocka_unit_test(test_lines_keep_their_order_around_the_ring),
		cmocka_unit_test(test_a_reader_that_is_gone_kills_nobody_and_a_new_one_is_told),
		cmocka_unit_test(test_a_full_disk_holds_nobody_up),
		cmocka_unit_test(test_closing_gives_up_on_a_reader_that_takes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
