// Echo servers that do the same work on different stacks, one event loop by default, so that what differs is the stack.
//
// Nothing here uses the concurrency runtime's own pool of threads: with it, valgrind could not count instructions.

import CBenchMemory
import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

@main
struct BenchServer {
    static let usage = """
        usage: bench-server khp-sync|khp-async|khp-steps|khp-frames|khp-group|khp-group-deflate|nio-websocket|tcp-echo|
                            tcp-deflate|khp-http|nio-http PORT [--threads N]

        Listens on 127.0.0.1:PORT (0: a free port), prints "listening PORT" and echoes until it is stopped. On SIGUSR1 it
        prints "live BYTES", the bytes in the blocks that it holds, and -1 where the C library does not tell. khp-steps is
        khp-sync with an instrument that does nothing, khp-frames with one that is told of frames too. The groups
        send a message that comes at /publish to all who have opened /group. The servers of HTTP have /, /large and
        /upload.

        """

    static func main() throws {
        var arguments = Array(CommandLine.arguments.dropFirst())
        var threads = 1
        if let index = arguments.firstIndex(of: "--threads"), index + 1 < arguments.count {
            threads = Int(arguments[index + 1]) ?? 1
            arguments.removeSubrange(index...(index + 1))
        }
        guard arguments.count == 2, let port = Int(arguments[1]) else {
            fail(usage)
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        switch arguments[0] {
        case "khp-sync": serveKHP(.handler, port: port, on: group)
        case "khp-async": serveKHP(.sequence, port: port, on: group)
        case "khp-steps": serveKHP(.handler, port: port, on: group, instruments: [IdleInstrument()])
        case "khp-frames":
            serveKHP(.handler, port: port, on: group, instruments: [IdleInstrument(observesFrames: true)])
        case "khp-group": serveGroup(isCompressed: false, port: port, on: group)
        case "khp-group-deflate": serveGroup(isCompressed: true, port: port, on: group)
        case "khp-http": serveKHPHTTP(port: port, on: group)
        case "nio-http": try announce(serveNIOHTTP(port: port, on: group))
        case "nio-websocket": try announce(serveNIOWebSocket(port: port, on: group))
        case "tcp-deflate": try announce(serveTCPDeflate(port: port, on: group))
        case "tcp-echo": try announce(serveTCPEcho(port: port, on: group))
        default: fail(usage)
        }
        signal(SIGUSR1) { _ in }
        // The event loops serve; a signal ends the process, or asks.
        while true {
            pause()
            print("live \(bench_live_bytes())")
            fflush(nil)
        }
    }

    static func announce(_ address: SocketAddress?) {
        print("listening \(address?.port ?? 0)")
        fflush(nil)
    }

    static func fail(_ text: String) -> Never {
        _ = write(2, text, text.utf8.count)
        exit(64)
    }
}
