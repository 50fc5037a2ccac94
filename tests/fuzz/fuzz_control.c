#include "tests/fuzz/fuzzer.h"
#include "tests/fuzz/targets.h"

FUZZER(control_bytes_play)
