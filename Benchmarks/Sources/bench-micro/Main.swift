// The parts on their own, in memory, each beside what SwiftNIO or the standard library has for the same. A peer's
// figure includes what it cannot be used without, such as a channel; a ratio above 1 means that ours is faster.

@main
struct BenchMicro {
    static func main() throws {
        let names = CommandLine.arguments.dropFirst()
        print("| what | ns/op | GB/s | peer | ns/op | ratio |")
        print("|---|---:|---:|---|---:|---:|")
        let all = Framing.all + Text.all + Handshakes.all
        for comparison in all where names.isEmpty || names.contains(where: { comparison.name.contains($0) }) {
            comparison.run()
        }
    }
}

/// One row of the table.
struct Comparison {
    /// Work that is done many times over; it returns a number that depends on the work, so that none is left out.
    typealias Work = () -> Int

    let name: String
    /// Bytes that one operation handles; 0 where that says nothing.
    let bytes: Int
    private let peerName: String
    private let ours: Work
    private let peer: Work?

    init(
        name: String,
        bytes: Int = 0,
        peerName: String = "",
        ours: @escaping Work,
        peer: Work? = nil
    ) {
        self.name = name
        self.bytes = bytes
        self.peerName = peerName
        self.ours = ours
        self.peer = peer
    }

    func run() {
        let own = Clock.nanoseconds(self.ours)
        var row =
            "| \(self.name) | \(Clock.digits(own)) | \(self.bytes > 0 ? Clock.digits(Double(self.bytes) / own) : "") |"
        if let peer {
            let other = Clock.nanoseconds(peer)
            row += " \(self.peerName) | \(Clock.digits(other)) | \(Clock.digits(other / own)) |"
        } else {
            row += " | | |"
        }
        print(row)
    }
}

enum Clock {
    /// Nanoseconds that one call takes: the best of several rounds, since whatever disturbs only ever slows down.
    static func nanoseconds(_ work: Comparison.Work) -> Double {
        let clock = ContinuousClock()
        var calls = 1
        var sum = 0
        func round() -> Double {
            let time = clock.measure { for _ in 0..<calls { sum &+= work() } }
            return Double(time.components.seconds) * 1e9 + Double(time.components.attoseconds) / 1e9
        }
        while round() < 10_000_000 { calls *= 2 }
        let best = (0..<9).map { _ in round() }.min() ?? 0
        if sum == .min { print("") }
        return best / Double(calls)
    }

    /// Three digits that count.
    static func digits(_ value: Double) -> String {
        let decimals = value < 10 ? 100.0 : value < 100 ? 10 : 1
        let rounded = (value * decimals).rounded() / decimals
        return decimals == 1 ? "\(Int(rounded))" : "\(rounded)"
    }
}
