#include <zlib.h>

/* What zlib has as macros. Negative window bits: raw deflate, without zlib's header and checksum (RFC 7692 section 7.2). */

static inline int khp_deflate_init(z_stream *stream, int level, int window_bits, int memory_level) {
    return deflateInit2(stream, level, Z_DEFLATED, -window_bits, memory_level, Z_DEFAULT_STRATEGY);
}

static inline int khp_inflate_init(z_stream *stream, int window_bits) {
    return inflateInit2(stream, -window_bits);
}
