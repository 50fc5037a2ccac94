#include "tests/fuzz/fuzzer.h"
#include "tests/fuzz/targets.h"

FUZZER(config_bytes_play)
