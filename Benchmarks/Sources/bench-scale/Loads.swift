// Loads on a server that is a process of its own: connections that stay, latency at a rate, a flood over the limits.

import BenchMeters
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

/// The bounds that a run is held to; times are of this machine, at rest.
private enum Bound {
    /// Seconds for a drain of all connections.
    static let drain = 2.0
    /// The memory of a connection among many, as a multiple of one among few.
    static let memory = 1.2
    /// Its processor time. Among many its state is not in the processor's cache.
    static let processorTime = 1.75
    /// The p99 of good connections beside a flood, as a multiple of theirs alone.
    static let p99 = 2.0
    /// Bytes that a server may grow by in a flood: twice what as many open connections as it holds take.
    static let flood = 500 * 2 * 12 * 1024
}

/// Opens connections level by level and has an echo from each; then the server drains.
func hold(_ options: Options) throws {
    let fleet = Fleet(port: options.port, on: MultiThreadedEventLoopGroup(numberOfThreads: 1).next())
    let levels = options.levels.isEmpty ? [1_000, 4_000, 18_000] : options.levels
    // The server's one-time memory is there when the counting begins.
    try fleet.grow(to: 100)
    try fleet.echoOnAll()
    var before = (count: 100, bytes: residentBytes(of: options.pid))
    let first = before
    var rows: [(memory: Double, opening: Double, echo: Double)] = []
    for level in levels {
        var cpu = cpuSeconds(of: options.pid)
        try fleet.grow(to: level)
        let opening = (cpuSeconds(of: options.pid) - cpu) / Double(level - before.count)
        cpu = cpuSeconds(of: options.pid)
        try fleet.echoOnAll()
        let echo = (cpuSeconds(of: options.pid) - cpu) / Double(level)
        // A connection gives back the memory that it has used some seconds later.
        usleep(5_000_000)
        let bytes = residentBytes(of: options.pid)
        let kibibytes = Double(bytes - first.bytes) / Double(level - first.count) / 1024
        rows.append((kibibytes, opening, echo))
        BenchScale.say("| \(level) | \(tenths(kibibytes)) | \(tenths(opening * 1e6)) | \(tenths(echo * 1e6)) |")
        before = (level, bytes)
    }
    let begin = monotonicSeconds()
    kill(pid_t(options.pid), SIGTERM)
    let ends = try fleet.untilAllHaveEnded()
    let seconds = monotonicSeconds() - begin
    let clean = ends.count { $0 == .closed(1001) }
    BenchScale.say("drained \(clean) of \(ends.count) with 1001 in \(tenths(seconds * 1000)) ms")
    if clean != ends.count { BenchScale.fail("bench-scale: connections were lost in the drain\n") }
    if seconds > Bound.drain { BenchScale.fail("bench-scale: the drain took longer than \(Bound.drain) s\n") }
    guard let few = rows.first, let many = rows.last else { return }
    if many.memory > few.memory * Bound.memory {
        BenchScale.fail("bench-scale: a connection among many takes more than \(Bound.memory) times the memory\n")
    }
    if many.opening > few.opening * Bound.processorTime || many.echo > few.echo * Bound.processorTime {
        BenchScale.fail("bench-scale: a connection among many costs more than \(Bound.processorTime) times as much\n")
    }
}

func measureLatency(_ options: Options) throws {
    let fleet = Fleet(port: options.port, on: MultiThreadedEventLoopGroup(numberOfThreads: 1).next())
    try fleet.grow(to: options.connections)
    try fleet.echoOnAll()
    BenchScale.say("\(Percentiles(try fleet.latencies(rate: options.rate, seconds: options.seconds)))")
}

/// The latency of good connections alone, then beside a flood; the server's memory at both times.
func shed(_ options: Options) throws {
    let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let fleet = Fleet(port: options.port, on: loops.next())
    try fleet.grow(to: options.connections)
    try fleet.echoOnAll()
    let alone = Percentiles(try fleet.latencies(rate: options.rate, seconds: options.seconds))
    let before = residentBytes(of: options.pid)
    let flood = Flood(port: options.port, on: loops.next())
    try flood.begin(options.flood)
    let beside = Percentiles(try fleet.latencies(rate: options.rate, seconds: options.seconds))
    let after = residentBytes(of: options.pid)
    let counts = try flood.end()
    BenchScale.say("| alone | \(alone) | \(before / 1024) | |")
    BenchScale.say("| beside the flood | \(beside) | \(after / 1024) | \(counts) |")
    if Double(beside.p99) > Double(alone.p99) * Bound.p99 {
        BenchScale.fail("bench-scale: the flood makes good connections wait more than \(Bound.p99) times as long\n")
    }
    if after - before > Bound.flood { BenchScale.fail("bench-scale: the flood takes more memory than it may\n") }
}

func tenths(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

/// Connections that ask for a place, and ask again a second after a refusal. Unchecked: touched on its event loop only.
final class Flood: WireLoad, @unchecked Sendable {
    private let port: Int
    private let eventLoop: any EventLoop
    private var isOver = false
    private var held: [WireClient] = []
    private var refused = 0
    private var lost = 0

    init(port: Int, on eventLoop: any EventLoop) {
        self.port = port
        self.eventLoop = eventLoop
    }

    /// Begins with so many, a thousand of them a second.
    func begin(_ count: Int) throws {
        try self.eventLoop.submit {
            for index in 0..<count {
                self.eventLoop.scheduleTask(in: .milliseconds(Int64(index))) { self.connect() }
            }
        }
        .wait()
    }

    /// - Returns: how many were let in, refused and lost.
    func end() throws -> String {
        try self.eventLoop.submit {
            self.isOver = true
            for client in self.held { client.close() }
            return "\(self.held.count) let in, \(self.refused) refused, \(self.lost) lost"
        }
        .wait()
    }

    private func connect() {
        guard !self.isOver else { return }
        ClientBootstrap(group: self.eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(WireClient(load: self))
                }
            }
            .connect(host: "127.0.0.1", port: self.port)
            .whenFailure { _ in
                self.lost += 1
                self.connectAgain()
            }
    }

    private func connectAgain() {
        self.eventLoop.scheduleTask(in: .seconds(1)) { self.connect() }
    }

    func opened(_ client: WireClient) { self.held.append(client) }

    func echoed(_ client: WireClient, due: NIODeadline) {}

    func ended(_ client: WireClient, _ end: WireEnd) {
        guard !self.isOver else { return }
        if case .refused(503) = end { self.refused += 1 } else { self.lost += 1 }
        self.connectAgain()
    }
}
