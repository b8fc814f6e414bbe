// The text exposition format of Prometheus, version 0.0.4: families with their help, samples with labels.

struct MetricsText {
    enum Kind: String {
        case counter
        case gauge
        case histogram
    }

    typealias Labels = [(String, String)]

    private(set) var text = ""

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
        self.text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
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
