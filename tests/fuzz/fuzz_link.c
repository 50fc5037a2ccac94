#include "tests/fuzz/fuzzer.h"
#include "tests/fuzz/targets.h"

FUZZER(link_bytes_play)
