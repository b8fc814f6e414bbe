// The load: a closed loop over plain POSIX sockets, so that it costs little beside the servers and no stack under test
// measures itself. Every byte that comes back is compared.

import BenchMeters

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

struct Options {
    var mode = ""
    var port: UInt16 = 0
    var size = 125
    var depth = 1
    var connections = 1
    var count = Int.max
    var seconds = 0.0
    var isRaw = false
    var isStream = false
    var isExtended = false
    var isCompressed = false
    var keepsContext = true
    var state = IdleState.open
    var kibibytes = 1
    var pid: Int?
    var log: String?
}

@main
struct BenchLoad {
    static let usage = """
        usage: bench-load echo PORT [--size BYTES] [--depth MESSAGES] [--raw | --stream] [common options]
               bench-load echo PORT --deflate [--no-context] [--size BYTES] [--raw] [common options]
               bench-load handshake PORT [--extended] [--raw] [common options]
               bench-load publish PORT [--deflate] [--size BYTES] [common options]
               bench-load idle PORT connected|head|extended|open|used [--kib N] [--size BYTES]
                          [--deflate [--no-context]] --connections N --pid PID [--log FILE]

        --stream takes the echo in frames of any size, as a relay to a server of plain TCP sends it.

        common options: --connections N   at the same time (1)
                        --count N         stop after that many messages or handshakes
                        --seconds S       or after that time
                        --pid PID         the server; its CPU time is told as well (Linux)

        Prints "OPERATIONS SECONDS SERVER-CPU-SECONDS"; idle prints the server's memory for a connection in bytes (Linux): what
        is in RAM, and what of it is in blocks that it holds, where FILE is what bench-server prints (0 otherwise).

        """

    static func main() {
        signal(SIGPIPE, SIG_IGN)
        let options = parse(Array(CommandLine.arguments.dropFirst()))
        let rounds: any Rounds
        switch options.mode {
        case "echo": rounds = options.isCompressed ? CompressedEchoLoad(options) : EchoLoad(options)
        case "publish": rounds = PublishLoad(options)
        case "handshake": rounds = HandshakeLoad(options)
        case "idle":
            let memory = IdleLoad(options).run()
            return print(memory.resident, memory.live)
        default: fail(usage)
        }
        // Connections, buffers and caches are warm before the clock starts, unless the operations are counted.
        if options.seconds > 0 { run(rounds, seconds: options.seconds / 4, count: .max) }
        let cpu = cpuSeconds(of: options.pid)
        let begin = monotonicSeconds()
        let operations = run(rounds, seconds: options.seconds, count: options.count)
        let seconds = monotonicSeconds() - begin
        print(operations, seconds, cpuSeconds(of: options.pid) - cpu)
    }

    @discardableResult
    private static func run(_ rounds: any Rounds, seconds: Double, count: Int) -> Int {
        let end = seconds > 0 ? monotonicSeconds() + seconds : .infinity
        var operations = 0
        while operations < count, monotonicSeconds() < end { operations += rounds.round() }
        return operations
    }

    private static func parse(_ arguments: [String]) -> Options {
        var options = Options()
        guard arguments.count >= 2, let port = UInt16(arguments[1]) else { fail(usage) }
        options.mode = arguments[0]
        options.port = port
        var rest = arguments.dropFirst(2)
        if options.mode == "idle" {
            guard let state = rest.popFirst().flatMap({ IdleState(rawValue: $0) }) else { fail(usage) }
            options.state = state
            options.isExtended = state == .extended
        }
        func number() -> Int {
            guard let text = rest.popFirst(), let value = Int(text), value > 0 else { fail(usage) }
            return value
        }
        while let name = rest.popFirst() {
            switch name {
            case "--size": options.size = number()
            case "--depth": options.depth = number()
            case "--connections": options.connections = number()
            case "--count": options.count = number()
            case "--seconds": options.seconds = rest.popFirst().flatMap { Double($0) } ?? 1
            case "--pid": options.pid = number()
            case "--log": options.log = rest.popFirst()
            case "--raw": options.isRaw = true
            case "--stream": options.isStream = true
            case "--extended": options.isExtended = true
            case "--deflate": options.isCompressed = true
            case "--no-context": options.keepsContext = false
            case "--kib": options.kibibytes = number()
            default: fail(usage)
            }
        }
        return options
    }

    static func fail(_ text: String) -> Never {
        _ = write(2, text, text.utf8.count)
        exit(1)
    }
}

/// A load that goes in rounds over all its connections.
protocol Rounds {
    /// Does one round.
    /// - Returns: how many operations it was.
    func round() -> Int
}
