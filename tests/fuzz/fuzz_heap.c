#include "tests/fuzz/fuzzer.h"
#include "tests/fuzz/heap_stream.h"

FUZZER(heap_stream_play)
