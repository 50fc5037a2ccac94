#include "tests/fuzz/fuzzer.h"
#include "tests/fuzz/targets.h"

FUZZER(cgroup_bytes_play)
