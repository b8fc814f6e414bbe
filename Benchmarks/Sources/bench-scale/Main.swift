// Servers with very many connections, over their limits, or behind a network that breaks them.

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
struct BenchScale {
    static let usage = """
        usage: bench-scale serve PORT [--limit N]
               bench-scale proxy PORT --to PORT [--seed N]
               bench-scale hold PORT --pid PID [--levels N,N,…]
               bench-scale latency PORT [--connections N] [--rate N] [--seconds S]
               bench-scale shed PORT[,PORT] --pid PID [--connections N] [--flood N] [--nice N] [--rate N] [--seconds S]
               bench-scale flood PORT [--flood N] [--nice N]
               bench-scale pipes [--levels N,N,…]
               bench-scale chaos PORT,PORT,… --pid PID [--connections N] [--seconds S]

        serve    echoes at /, sends N messages and closes at /burst/{N}; SIGTERM drains it. N connections at the most
        proxy    a TCP proxy that splits, delays, stalls, cuts and resets what goes through it; about half of it passes
        hold     opens as many connections as each level says, has an echo from each of them, then stops the server
                 and waits for all of them to end; prints a row for each level
        latency  echoes at a fixed rate over all connections; prints percentiles, counted from when each was due
        shed     the latency of good connections alone, and while others ask a full server for a place without end, first
                 one at the second port, then theirs
        flood    the others of shed, in a process of their own that gives way to the rest (--nice 0: that does not): N
                 that ask, and ask again a second after a refusal, until standard input ends; prints how many were let
                 in, refused and lost
        pipes    connections in memory, both ends in this process; prints a row for each level
        chaos    connections that come, talk and go through proxies; prints what became of them and of the server

        """

    static func main() async throws {
        signal(SIGPIPE, SIG_IGN)
        guard let options = Options(CommandLine.arguments.dropFirst()) else { self.fail(self.usage, status: 64) }
        switch options.mode {
        case .serve: try await serve(options)
        case .proxy: try await FaultyProxy.run(options)
        case .hold: try hold(options)
        case .latency: try measureLatency(options)
        case .shed: try shed(options)
        case .flood: try flood(options)
        case .pipes: try await fillPipes(options)
        case .chaos: try await Chaos(options).run()
        }
    }

    static func fail(_ text: String, status: CInt = 1) -> Never {
        _ = write(2, text, text.utf8.count)
        exit(status)
    }

    /// Prints at once: others wait for these lines.
    static func say(_ line: String) {
        print(line)
        fflush(nil)
    }
}

struct Options {
    enum Mode: String {
        case serve, proxy, hold, latency, shed, flood, pipes, chaos
    }

    var mode: Mode
    var ports: [Int] = []
    var target = 0
    var pid = 0
    var seed: UInt64 = 1
    var limit = 20_000
    var levels: [Int] = []
    var connections = 100
    var flood = 0
    /// The flood's: 19 is last.
    var niceness = 19
    var rate = 2_000
    var seconds = 10.0

    var port: Int { self.ports.first ?? 0 }

    init?(_ arguments: ArraySlice<String>) {
        var rest = arguments
        guard let mode = rest.popFirst().flatMap(Mode.init(rawValue:)) else { return nil }
        self.mode = mode
        while let name = rest.popFirst() {
            guard name.hasPrefix("--") else {
                guard self.ports.isEmpty, let ports = Self.numbers(name) else { return nil }
                self.ports = ports
                continue
            }
            guard let text = rest.popFirst(), let values = Self.numbers(text), let value = values.first else {
                return nil
            }
            switch name {
            case "--limit": self.limit = value
            case "--to": self.target = value
            case "--pid": self.pid = value
            case "--seed": self.seed = UInt64(value)
            case "--levels": self.levels = values
            case "--connections": self.connections = value
            case "--flood": self.flood = value
            case "--nice": self.niceness = value
            case "--rate": self.rate = value
            case "--seconds": self.seconds = Double(value)
            default: return nil
            }
        }
        if self.ports.isEmpty != (mode == .pipes) { return nil }
    }

    /// Numbers with commas between; none is below zero.
    private static func numbers(_ text: String) -> [Int]? {
        let numbers = text.split(separator: ",").compactMap { Int($0) }.filter { $0 >= 0 }
        return numbers.count == text.split(separator: ",").count ? numbers : nil
    }
}
