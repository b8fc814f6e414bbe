#include <zlib.h>

/* What zlib has as macros, for raw deflate. The library under test has its own; a benchmark shares nothing with it. */

static inline int bench_deflate_init(z_stream *stream, int level, int window_bits, int memory_level) {
    return deflateInit2(stream, level, Z_DEFLATED, -window_bits, memory_level, Z_DEFAULT_STRATEGY);
}

static inline int bench_inflate_init(z_stream *stream, int window_bits) {
    return inflateInit2(stream, -window_bits);
}
