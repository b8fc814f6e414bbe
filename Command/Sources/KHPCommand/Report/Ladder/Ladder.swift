/// The ladder that `-v`, `--trace` and the demo print: one line per step, each with the layer that it belongs to, the
/// time since the start and the time since the step before.
///
/// ```
///    0.000      —    tcp   → connecting to ws://127.0.0.1:4000/old (attempt 1)
///    0.001  +0.9 ms  open  → GET /old HTTP/1.1
/// ```
struct Ladder: Sendable {
    /// The layers of the stack, from below.
    enum Layer: String, Sendable {
        case tcp
        /// A proxy on the way.
        case proxy
        case tls
        /// The opening handshake.
        case open
        /// The extended handshake, x-kaazing-handshake.
        case khp
        /// The application's messages.
        case app
    }

    enum Direction: String, Sendable {
        case sent = "→"
        case received = "←"
        case none = "·"
    }

    let style: Style
    private var last: Double?

    init(style: Style) {
        self.style = style
    }

    /// One step.
    mutating func step(_ layer: Layer, _ direction: Direction, _ text: String, at seconds: Double, id: UInt64? = nil)
        -> String
    {
        let elapsed = self.last.map { Self.interval(max(0, seconds - $0)) } ?? "—"
        self.last = seconds
        var line = self.style(Self.pad(Self.fixed(seconds, digits: 3), 8), .dim)
        line += self.style(Self.pad(elapsed, 10), .dim) + "  "
        if let id { line += self.style(Self.padRight("#\(id)", 5), .dim) }
        line += self.style(Self.padRight(layer.rawValue, 5), Self.colour(layer))
        return line + direction.rawValue + " " + text
    }

    /// The lines of a head or of a payload below a step.
    func detail(_ text: String) -> [String] {
        var lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }.map { TerminalText.escaped($0) }
        while lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { String(repeating: " ", count: 25) + self.style("│ ", .dim) + $0 }
    }

    private static func colour(_ layer: Layer) -> Style.Colour {
        switch layer {
        case .tcp, .proxy: .blue
        case .tls: .magenta
        case .open: .yellow
        case .khp: .green
        case .app: .cyan
        }
    }

    /// A span of time for a person: `+0.31 ms`, `+12.4 ms`, `+3.20 s`.
    static func interval(_ seconds: Double) -> String {
        let milliseconds = seconds * 1000
        return switch milliseconds {
        case ..<10: "+" + fixed(milliseconds, digits: 2) + " ms"
        case ..<1000: "+" + fixed(milliseconds, digits: 1) + " ms"
        default: "+" + fixed(seconds, digits: 2) + " s"
        }
    }

    /// A number with a fixed count of decimals.
    static func fixed(_ value: Double, digits: Int) -> String {
        var scale = 1
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int((min(value, 1e9) * Double(scale)).rounded())
        let fraction = String(scaled % scale)
        return "\(scaled / scale)." + String(repeating: "0", count: max(0, digits - fraction.count)) + fraction
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private static func padRight(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}
