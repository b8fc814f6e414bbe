// Names the platforms that this package compiles for, so that a build for another one fails with a sentence and not with
// headers that are missing.

#if !os(Linux) && !os(macOS)
    #error("swift-khp compiles for Linux and macOS: it uses the system's OpenSSL, which other platforms do not have.")
#endif
