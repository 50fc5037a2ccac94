#include "tests/fuzz/fuzzer.h"
#include "tests/fuzz/targets.h"

FUZZER(expand_bytes_play)
