#include "tests/bench/simulate/recorded.h"

#include "shim/trace_format.h"
#include "tests/bench/simulate/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND_NS ((uint64_t)1000000000)
#define TIME_MAX_NS (SECOND_NS * 86400 * 31)
#define LIVE_MAX_BYTES ((uint64_t)64 << 30)
#define ALIGNMENT_LOG2_MAX 30U
#define FILE_BYTES_MAX ((off_t)8 << 30)
#define BLOCKS_FIRST ((size_t)1 << 16)

/* What is at an address of the recording. */
struct place {
	uint64_t address; /* 0: this place is free */
	uint64_t bytes;
	void *block; /* NULL: freed */
};

/* Open addressing, a power of two of places, at most half of them taken. */
static struct {
	struct place *places;
	size_t count;
	size_t taken;
	uint64_t live_bytes;
	uint64_t unknown;
} table;

static bool bad(const char *path, const char *why, uint64_t offset)
{
	fprintf(stderr, "simulate: %s: %s, at byte %llu\n", path, why, (unsigned long long)offset);
	return false;
}

/* Where an address is, or would be. */
static struct place *place_find(uint64_t address)
{
	size_t at = (size_t)(address * 0x9e3779b97f4a7c15U >> 20);

	for (;; at++) {
		struct place *place = &table.places[at & (table.count - 1)];

		if (place->address == address || place->address == 0)
			return place;
	}
}

static void *allocated(size_t count, size_t bytes)
{
	void *block = calloc(count, bytes);

	if (block == NULL) {
		fputs("simulate: out of memory\n", stderr);
		exit(1);
	}
	return block;
}

static void table_grow(void)
{
	struct place *before = table.places;
	size_t count = table.count;

	table.count = count == 0 ? BLOCKS_FIRST : count * 2;
	table.places = allocated(table.count, sizeof *table.places);
	for (size_t i = 0; i < count; i++)
		if (before[i].address != 0)
			*place_find(before[i].address) = before[i];
	free(before);
}

/* As place_find, and it is the address's from now on. */
static struct place *place_take(uint64_t address)
{
	struct place *place;

	if (table.taken * 2 >= table.count)
		table_grow();
	place = place_find(address);
	if (place->address == 0) {
		place->address = address;
		table.taken++;
	}
	return place;
}

/* The place of what a record makes, if it may be made. */
static const char *make_room(const struct trace_record *record, struct place **place)
{
	if (record->block == 0)
		return "a block at 0";
	*place = place_take(record->block);
	if ((*place)->block != NULL)
		return "a block is made where one is";
	if (record->bytes > LIVE_MAX_BYTES - table.live_bytes)
		return "more is live than 64 GiB";
	if (record->alignment_log2 > ALIGNMENT_LOG2_MAX)
		return "an alignment over 1 GiB";
	table.live_bytes += record->bytes;
	(*place)->bytes = record->bytes;
	return NULL;
}

static const char *make(const struct trace_record *record)
{
	struct place *place;
	const char *why = make_room(record, &place);

	if (why != NULL)
		return why;
	place->block = record->op == TRACE_MEMALIGN
			       ? replay_memalign((size_t)1 << record->alignment_log2, record->bytes)
			       : replay_malloc(record->bytes);
	return place->block == NULL ? "the heap has no more" : NULL;
}

/* The block that was at an address, which is free now; NULL: none known. */
static const char *forget(uint64_t address, void **block)
{
	struct place *place;

	*block = NULL;
	if (address == 0)
		return "a block at 0 is freed";
	/* It is from before the recording; from now on nothing is there. */
	place = place_find(address);
	if (place->address == 0) {
		place_take(address);
		table.unknown++;
		return NULL;
	}
	if (place->block == NULL)
		return "a block is freed twice";
	*block = place->block;
	place->block = NULL;
	table.live_bytes -= place->bytes;
	return NULL;
}

static const char *unmake(const struct trace_record *record)
{
	void *block;
	const char *why = forget(record->old, &block);

	if (why == NULL && block != NULL)
		replay_free(block);
	return why;
}

static const char *remake(const struct trace_record *record)
{
	struct place *place;
	void *block;
	const char *why = forget(record->old, &block);

	if (why != NULL || block == NULL)
		return why != NULL ? why : make(record);
	why = make_room(record, &place);
	if (why != NULL)
		return why;
	place->block = replay_realloc(block, record->bytes);
	return place->block == NULL ? "the heap has no more" : NULL;
}

static const char *play(const struct trace_record *record)
{
	replay_pass(record->gap_ns);
	switch (record->op) {
	case TRACE_MALLOC:
	case TRACE_CALLOC:
	case TRACE_MEMALIGN:
		return make(record);
	case TRACE_REALLOC:
		return remake(record);
	case TRACE_FREE:
		return unmake(record);
	case TRACE_THREAD:
	case TRACE_END:
	case TRACE_OPS:
		break;
	}
	return NULL;
}

/* All records to `each`, until one has something to say against it. */
static bool walk(const struct recorded *recorded, const char *(*each)(const struct trace_record *))
{
	const unsigned char *at = recorded->bytes + TRACE_HEADER_BYTES;
	const unsigned char *end = recorded->bytes + recorded->length;
	uint64_t before = 0;

	while (at < end) {
		uint64_t offset = (uint64_t)(at - recorded->bytes);
		struct trace_record record;
		const char *why;

		if (!trace_get(&at, end, &record, &before))
			return bad(recorded->path, "no record, or it breaks off", offset);
		if (record.op == TRACE_END && at < end)
			return bad(recorded->path, "the end is not at the end", offset);
		why = each(&record);
		if (why != NULL)
			return bad(recorded->path, why, offset);
	}
	return true;
}

static uint64_t total_ns;

static const char *sum(const struct trace_record *record)
{
	if (record->gap_ns > TIME_MAX_NS - total_ns)
		return "it lasts more than 31 days";
	total_ns += record->gap_ns;
	return NULL;
}

static bool read_all(int fd, struct recorded *recorded)
{
	size_t done = 0;

	while (done < recorded->length) {
		ssize_t more = read(fd, recorded->bytes + done, recorded->length - done);

		if (more < 0 && errno == EINTR)
			continue;
		if (more <= 0)
			return false;
		done += (size_t)more;
	}
	return true;
}

bool recorded_read(const char *path, struct recorded *recorded)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	bool whole;

	if (fd < 0 || fstat(fd, &status) != 0) {
		fprintf(stderr, "simulate: %s: %s\n", path, strerror(errno));
		return false;
	}
	if (!S_ISREG(status.st_mode) || status.st_size > FILE_BYTES_MAX) {
		close(fd);
		return bad(path, "not a file, or over 8 GiB", 0);
	}
	*recorded = (struct recorded){.path = path, .length = (size_t)status.st_size};
	recorded->bytes = allocated(recorded->length + 1, 1);
	whole = read_all(fd, recorded);
	close(fd);
	if (!whole || recorded->length < TRACE_HEADER_BYTES ||
		memcmp(recorded->bytes, TRACE_MAGIC, TRACE_HEADER_BYTES) != 0)
		return bad(path, "not a trace of version 1", 0);
	if (!walk(recorded, sum))
		return false;
	if (total_ns == 0)
		return bad(path, "it takes no time", 0);
	recorded->seconds = (double)total_ns / 1e9;
	return true;
}

bool recorded_play(const struct recorded *recorded)
{
	table_grow();
	if (!walk(recorded, play))
		return false;
	if (table.unknown != 0)
		fprintf(stderr,
			"simulate: %s: %llu blocks were freed that are from before it began\n",
			recorded->path, (unsigned long long)table.unknown);
	return true;
}
