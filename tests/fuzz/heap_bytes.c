#include "tests/fuzz/heap_bytes.h"

#include "shim/heap/base/os.h"
#include "shim/heap/base/size_class.h"
#include "shim/heap/scavenge/scavenge.h"

unsigned heap_bytes_one(struct heap_bytes *bytes)
{
	return bytes->at < bytes->end ? *bytes->at++ : 0;
}

size_t heap_bytes_pair(struct heap_bytes *bytes)
{
	size_t low = heap_bytes_one(bytes);

	return low | (size_t)heap_bytes_one(bytes) << 8;
}

static size_t size_near_class(size_t value)
{
	size_t size = size_classes[value % (SIZE_CLASSES + 1)].bytes + (value >> 8) % 3;

	return size != 0 ? size - 1 : 0;
}

size_t heap_bytes_size(struct heap_bytes *bytes)
{
	unsigned kind = heap_bytes_one(bytes) % 8;
	size_t value = heap_bytes_pair(bytes);

	switch (kind) {
	case 0:
		return value % 64;
	case 1:
		return value % 1024;
	case 2:
		return value % 8192;
	case 3:
	case 4:
		return size_near_class(value);
	case 5:
		return value;
	case 6:
		return value * 16;
	default:
		return value * 256;
	}
}

/* Up to 8 MiB: for more the page heap would have to commit more than is sensible here. */
static size_t read_alignment(struct heap_bytes *bytes)
{
	unsigned shift = heap_bytes_one(bytes) % 64;

	return (size_t)1 << (shift < 24 ? shift : shift % 13);
}

static uint64_t read_moment(struct heap_bytes *bytes)
{
	static const uint64_t ago_ns[] = {0, 100000000U, 1000000000U, 10000000000U};
	unsigned kind = heap_bytes_one(bytes);

	return kind % 2 == 0 ? UINT64_MAX : os_now_ns() - ago_ns[kind / 2 % 4];
}

static struct heap_pass read_pass(struct heap_bytes *bytes)
{
	unsigned kind = heap_bytes_one(bytes);
	struct heap_pass pass = {.level = (enum heap_level)(kind % HEAP_LEVELS)};

	pass.max_bytes = (kind & 4) != 0 ? UINT64_MAX : heap_bytes_pair(bytes) * 64;
	pass.cushion_bytes = (kind & 8) != 0 ? heap_bytes_pair(bytes) * 256 : 0;
	pass.idle_before_ns = read_moment(bytes);
	pass.slabs_idle_before_ns = (kind & 16) != 0 ? read_moment(bytes) : 0;
	return pass;
}

/* Up to 1 GiB, or more than there can be. */
static struct heap_operation read_wide(struct heap_bytes *bytes)
{
	size_t which = heap_bytes_one(bytes);
	size_t wide_alignment = (size_t)1 << heap_bytes_one(bytes) % 64;
	size_t value = heap_bytes_pair(bytes);

	return (struct heap_operation){
		.call = HEAP_CALL_WIDE,
		.which = which,
		.alignment = wide_alignment < (size_t)64 << 20 ? wide_alignment : 16,
		.size = which < 64 ? value << 14 : SIZE_MAX - (value << which % 49),
	};
}

struct heap_operation heap_bytes_operation(struct heap_bytes *bytes, enum heap_call call)
{
	struct heap_operation operation = {.call = call};

	if (call == HEAP_CALL_WIDE)
		return read_wide(bytes);
	if (call == HEAP_CALL_CALLOC)
		operation.alignment = heap_bytes_one(bytes) % 64 + 1;
	else if (call == HEAP_CALL_MEMALIGN)
		operation.alignment = read_alignment(bytes);
	else if (call != HEAP_CALL_MALLOC)
		operation.which = heap_bytes_one(bytes);
	if (call == HEAP_CALL_SCAVENGE)
		operation.pass = read_pass(bytes);
	else if (call != HEAP_CALL_FREE && call != HEAP_CALL_USE)
		operation.size = heap_bytes_size(bytes);
	return operation;
}
