#pragma once

/* The bytes in blocks that a program holds, as the C library counts them: what it keeps of memory that was given back to it
   is not among them. -1 where it does not tell. */
#if defined(__linux__)
#include <features.h>
#endif
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
#include <malloc.h>

static inline long long bench_live_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return (long long)(info.uordblks + info.hblkhd);
}
#else
static inline long long bench_live_bytes(void) { return -1; }
#endif
