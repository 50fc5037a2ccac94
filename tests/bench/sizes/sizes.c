/* What sizes programs ask for, and what the size classes lose of that; times nothing. */
#include "shim/heap/base/size_class.h"
#include "shim/trace_format.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * sizes TRACE...: of each recording (SPILLWAY_TRACE) the blocks in classes that were live when
 * these had the most bytes, by class.  A block costs its slot and a part of its group's tail.
 *
 * The programs for which the classes were looked at, on Debian 12, with the share of bytes of the
 * classes that lost the most, and what was lost there in percent of all bytes:
 *
 *			MiB	cost	loss
 *	gcc -O2		3.6	1.015	2048: 4 % of bytes, 0.3
 *	git log		6.4	1.042	10240: 7 %, 0.4; 15360: 7 %, 0.3
 *	nginx		0.6	1.000	none
 *	node		126	1.050	2816: 14 %, 0.6; 2560: 12 %, 0.6; 3072: 10 %, 0.6
 *	perl		80	1.039	16: 5 %, 1.8; 48: 7 %, 0.9; 4096: 52 %, 0.2
 *	php		2.0	1.063	144: 24 %, 1.8; 32: 8 %, 1.5; 48: 9 %, 1.2
 *	postgres	1.9	1.015	45056: 8 %, 0.8; 53248: 5 %, 0.4
 *	python3		26	1.043	2560: 12 %, 0.6; 3072: 13 %, 0.6
 *	redis		142	1.027	6144: 40 %, 0.9; 3072: 39 %, 0.9
 *	sqlite3		15	1.001	none; 1.055 where 4368 bytes cost 4608
 */

#define PLACES_FIRST ((size_t)1 << 16)

struct place {
	uint64_t address; /* 0: this place is free */
	uint64_t bytes;   /* 0: nothing lives here */
};

static struct {
	struct place *places; /* open addressing, a power of two, at most half of them taken */
	size_t count;
	size_t taken;
	uint64_t live_bytes;
	uint64_t most_bytes;
	uint64_t most_at; /* the record after which they lived */
} table;

static struct place *place_of(uint64_t address)
{
	size_t at = (size_t)(address * 0x9e3779b97f4a7c15U >> 20);

	while (table.places[at & (table.count - 1)].address != address &&
		table.places[at & (table.count - 1)].address != 0)
		at++;
	return &table.places[at & (table.count - 1)];
}

static void table_grow(void)
{
	struct place *before = table.places;
	size_t count = table.count;

	table.count = count == 0 ? PLACES_FIRST : 2 * count;
	table.places = calloc(table.count, sizeof *table.places);
	if (table.places == NULL)
		abort();
	for (size_t i = 0; i < count; i++)
		if (before[i].address != 0)
			*place_of(before[i].address) = before[i];
	free(before);
}

static void set(uint64_t address, uint64_t bytes, uint64_t record)
{
	struct place *place;

	if (table.taken * 2 >= table.count)
		table_grow();
	place = place_of(address);
	table.taken += place->address == 0;
	table.live_bytes -= place->bytes;
	*place = (struct place){address, bytes <= SIZE_CLASS_MAX_BYTES ? bytes : 0};
	table.live_bytes += place->bytes;
	if (table.live_bytes > table.most_bytes) {
		table.most_bytes = table.live_bytes;
		table.most_at = record;
	}
}

/* Plays up to so many records. */
static void play(const unsigned char *trace, size_t length, uint64_t records)
{
	const unsigned char *at = trace + TRACE_HEADER_BYTES;
	struct trace_record record;
	uint64_t before = 0;

	memset(table.places, 0, table.count * sizeof *table.places);
	table.taken = 0;
	table.live_bytes = 0;
	for (uint64_t i = 1; i <= records && trace_get(&at, trace + length, &record, &before);
		i++) {
		if (record.old != 0)
			set(record.old, 0, i);
		if (record.block != 0)
			set(record.block, record.bytes == 0 ? 1 : record.bytes, i);
	}
}

static void tell(const char *name)
{
	struct {
		uint64_t bytes;
		double cost;
	} classes[SIZE_CLASSES + 1] = {{0}};
	double total = (double)table.live_bytes;
	double cost = 0;

	for (size_t i = 0; i < table.count; i++) {
		const struct size_class *class;
		unsigned c;

		if (table.places[i].bytes == 0)
			continue;
		c = size_class_of(table.places[i].bytes);
		class = &size_classes[c];
		classes[c].bytes += table.places[i].bytes;
		classes[c].cost += (double)class->pages * PAGE_BYTES / class->slots;
	}
	for (unsigned c = 1; c <= SIZE_CLASSES; c++)
		cost += classes[c].cost;
	printf("%s: %.1f MiB, cost %.3f\n", name, total / (1 << 20), cost / total);
	for (unsigned c = 1; c <= SIZE_CLASSES; c++)
		if ((double)classes[c].bytes * 100 >= total)
			printf("%8u %5.1f %% of bytes, lost %4.1f\n", size_classes[c].bytes,
				(double)classes[c].bytes * 100 / total,
				(classes[c].cost - (double)classes[c].bytes) * 100 / total);
}

static bool look(const char *name)
{
	FILE *file = fopen(name, "rb");
	unsigned char *trace = NULL;
	size_t length = 0;
	size_t got = 0;

	if (file == NULL)
		return false;
	do {
		length += got;
		trace = realloc(trace, length + (1 << 20));
		if (trace == NULL)
			abort();
		got = fread(trace + length, 1, 1 << 20, file);
	} while (got != 0);
	fclose(file);
	if (length < TRACE_HEADER_BYTES || memcmp(trace, TRACE_MAGIC, TRACE_HEADER_BYTES) != 0) {
		free(trace);
		return false;
	}
	table.most_bytes = 0;
	table.most_at = 0;
	play(trace, length, UINT64_MAX);
	play(trace, length, table.most_at);
	free(trace);
	if (table.live_bytes != 0)
		tell(name);
	return true;
}

int main(int argc, char **argv)
{
	table_grow();
	for (int i = 1; i < argc; i++) {
		if (look(argv[i]))
			continue;
		fprintf(stderr, "sizes: %s: not a trace\n", argv[i]);
		return 1;
	}
	free(table.places);
	return 0;
}
