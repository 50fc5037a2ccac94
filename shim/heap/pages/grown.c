/* What the calling thread grew the heap by. */
#include "shim/heap/pages/grown.h"

__thread size_t grown_pages;
