// The bounds that a run is held to; times are of an idle machine.

enum Bound {
    /// Seconds for a drain of all connections.
    static let drain = 2.0
    /// The memory of a connection among many, as a multiple of one among few.
    static let memory = 1.2
    /// Its processor time. Among many its state is not in the processor's cache.
    static let processorTime = 1.5
    /// The p99 of good connections beside a flood, as a multiple of theirs alone.
    static let p99 = 2.0
    /// Bytes that a server may grow by in a flood: twice what as many open connections as it holds take.
    static let flood = 500 * 2 * 12 * 1024
    /// The server's memory in a soak, as a multiple of what it is when warm.
    static let soak = 1.1
    /// The part of a soak's conversations that must end in order. The proxies leave some three quarters of them whole.
    static let inOrder = 0.5
    /// The part of a soak's connections that must be open at one time.
    static let together = 0.9
}

/// The cost of one connection of so many.
struct Level: CustomStringConvertible {
    var connections: Int
    var kibibytes: Double
    /// Seconds of processor time.
    var opening: Double
    var echo: Double

    var description: String {
        "| \(self.connections) | \(tenths(self.kibibytes)) | \(tenths(self.opening * 1e6)) | \(tenths(self.echo * 1e6)) |"
    }

    /// Fails where one among many costs more than one among few.
    static func check(_ rows: [Level]) {
        guard let few = rows.first, let many = rows.last else { return }
        if many.kibibytes > few.kibibytes * Bound.memory {
            BenchScale.fail("bench-scale: a connection among many takes more than \(Bound.memory) times the memory\n")
        }
        if many.opening > few.opening * Bound.processorTime || many.echo > few.echo * Bound.processorTime {
            BenchScale.fail(
                "bench-scale: a connection among many costs more than \(Bound.processorTime) times as much\n"
            )
        }
    }
}
