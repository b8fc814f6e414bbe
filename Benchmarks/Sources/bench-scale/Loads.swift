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

/// Opens connections level by level and has an echo from each; then the server drains.
func hold(_ options: Options) throws {
    let fleet = Fleet(port: options.port, on: MultiThreadedEventLoopGroup(numberOfThreads: 1).next())
    let levels = options.levels.isEmpty ? [1_000, 4_000, 18_000] : options.levels
    // The server's one-time memory is there when the counting begins.
    try fleet.grow(to: 100)
    try fleet.echoOnAll()
    var before = (count: 100, bytes: residentBytes(of: options.pid))
    let first = before
    var rows: [Level] = []
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
        rows.append(Level(connections: level, kibibytes: kibibytes, opening: opening, echo: echo))
        BenchScale.say("\(rows[rows.endIndex - 1])")
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
    Level.check(rows)
}

func measureLatency(_ options: Options) throws {
    let fleet = Fleet(port: options.port, on: MultiThreadedEventLoopGroup(numberOfThreads: 1).next())
    try fleet.grow(to: options.connections)
    try fleet.echoOnAll()
    BenchScale.say("\(Percentiles(try fleet.latencies(rate: options.rate, seconds: options.seconds)))")
}

/// The latency of good connections alone, beside a flood at another server of this machine, and beside one at theirs; the
/// memory of theirs at each time. The second tells what the machine makes of a flood that is not at our server at all.
func shed(_ options: Options) throws {
    let fleet = Fleet(port: options.port, on: MultiThreadedEventLoopGroup(numberOfThreads: 1).next())
    try fleet.grow(to: options.connections)
    try fleet.echoOnAll()
    func row(_ name: String, flooded port: Int?) throws -> (p99: Double, bytes: Int) {
        let flood = try port.map { try FloodProcess(at: $0, options) }
        let cpu = cpuSeconds(of: options.pid)
        let percentiles = Percentiles(try fleet.latencies(rate: options.rate, seconds: options.seconds))
        let share = (cpuSeconds(of: options.pid) - cpu) / options.seconds
        let bytes = residentBytes(of: options.pid)
        let counts = flood?.end() ?? ""
        BenchScale.say("| \(name) | \(percentiles) | \(Int(share * 100)) % | \(bytes / 1024) | \(counts) |")
        return (percentiles.p99, bytes)
    }
    let alone = try row("alone", flooded: nil)
    if options.ports.count > 1 { _ = try row("a flood at another server", flooded: options.ports[1]) }
    let beside = try row("a flood at this server", flooded: options.port)
    if beside.p99 > alone.p99 * Bound.p99 {
        BenchScale.fail("bench-scale: the flood makes good connections wait more than \(Bound.p99) times as long\n")
    }
    if beside.bytes - alone.bytes > Bound.flood {
        BenchScale.fail("bench-scale: the flood takes more memory than it may\n")
    }
}

func tenths(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
