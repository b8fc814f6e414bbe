// The text exposition format of Prometheus, version 0.0.4, and OpenMetrics 1.0: families with their help, samples with labels.

struct MetricsText {
    enum Kind: String {
        case counter
        case gauge
        case histogram
    }

    typealias Labels = [(String, String)]

    enum Format: Sendable {
        case prometheus
        case openMetrics

        /// The one that a client asks for in Accept (RFC 9110 section 12.5.1).
        init(accept: String?) {
            let asked = (accept ?? "").lowercased().split(separator: ",").contains { range in
                let parts = range.split(separator: ";").map { $0.split(separator: " ").joined() }
                return parts.first == "application/openmetrics-text" && !parts.contains { $0 == "q=0" || $0 == "q=0.0" }
            }
            self = asked ? .openMetrics : .prometheus
        }

        var contentType: String {
            switch self {
            case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
            case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }

    private let format: Format
    private var text = ""
    private var families: Set<String> = []

    init(_ format: Format = .prometheus) {
        self.format = format
    }

    /// All families; nothing may come after them.
    var finished: String { self.format == .openMetrics ? self.text + "# EOF\n" : self.text }

    /// One family, with its samples.
    mutating func family(_ name: String, _ kind: Kind, _ help: String, _ samples: [(Labels, Double)]) {
        guard !samples.isEmpty else { return }
        self.head(name, kind, help)
        for (labels, value) in samples { self.sample(name, labels, value) }
    }

    /// One family without labels.
    mutating func value(_ name: String, _ kind: Kind, _ help: String, _ value: Double) {
        self.family(name, kind, help, [([], value)])
    }

    /// A histogram. `counts` has those of each bound and below, `all` is the number of values.
    struct Distribution {
        var labels: Labels
        var counts: [Int]
        var all: Int
        var sum: Double
    }

    mutating func histogram(_ name: String, _ help: String, bounds: [Double], _ samples: [Distribution]) {
        guard !samples.isEmpty else { return }
        self.head(name, .histogram, help)
        for sample in samples {
            for (bound, count) in zip(bounds, sample.counts) {
                self.sample(name + "_bucket", sample.labels + [("le", Self.number(bound))], Double(count))
            }
            self.sample(name + "_bucket", sample.labels + [("le", "+Inf")], Double(sample.all))
            self.sample(name + "_sum", sample.labels, sample.sum)
            self.sample(name + "_count", sample.labels, Double(sample.all))
        }
    }

    private mutating func head(_ name: String, _ kind: Kind, _ help: String) {
        // OpenMetrics names a family without the suffix of its samples, and once: where a gauge has that name already, the
        // counter is of the type that promises nothing.
        let suffix = "_total"
        var (family, type) = (name, kind.rawValue)
        if self.format == .openMetrics, kind == .counter, name.hasSuffix(suffix) {
            let short = String(name.dropLast(suffix.count))
            if self.families.contains(short) { type = "unknown" } else { family = short }
        }
        self.families.insert(family)
        self.text += "# HELP \(family) \(help)\n# TYPE \(family) \(type)\n"
    }

    private mutating func sample(_ name: String, _ labels: Labels, _ value: Double) {
        self.text += name
        if !labels.isEmpty {
            self.text += "{" + labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",") + "}"
        }
        self.text += " \(Self.number(value))\n"
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : "\(value)"
    }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}
