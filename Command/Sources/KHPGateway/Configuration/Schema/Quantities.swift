// Times and sizes with their units: a number alone says neither.

/// `500ms`, `30s`, `5m`, `1h`, `2d`.
enum TimeText {
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    /// `nil` for one without unit, sign or whole number.
    static func read(_ text: String) -> Duration? {
        let digits = text.utf8.prefix(while: \.isDigit)
        let unit = String(text.utf8.dropFirst(digits.count))
        guard !digits.isEmpty, let unit, let count = String(digits).flatMap({ Int64($0) }),
            let scale = Self.units.first(where: { $0.name == unit })?.milliseconds
        else { return nil }
        let (total, overflows) = count.multipliedReportingOverflow(by: scale)
        return overflows || total > 3_153_600_000_000 ? nil : .milliseconds(total)
    }

    /// In the largest unit that divides it.
    static func text(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        if milliseconds == 0 { return "0s" }
        let unit = Self.units.last { milliseconds % $0.milliseconds == 0 } ?? Self.units[0]
        return "\(milliseconds / unit.milliseconds)\(unit.name)"
    }
}

/// `512`, `64KiB`, `1MiB`, `10MB`.
enum ByteSize {
    private static let units: [(name: String, bytes: Int)] = [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000),
        ("B", 1), ("", 1),
    ]

    static func read(_ text: String) -> Int? {
        let digits = text.utf8.prefix(while: \.isDigit)
        guard !digits.isEmpty, let unit = String(text.utf8.dropFirst(digits.count)),
            let count = String(digits).flatMap({ Int($0) }),
            let scale = Self.units.first(where: { $0.name == unit })?.bytes
        else { return nil }
        let (total, overflows) = count.multipliedReportingOverflow(by: scale)
        return overflows ? nil : total
    }

    static func text(_ bytes: Int) -> String {
        let unit = Self.units.prefix(3).last { bytes != 0 && bytes % $0.bytes == 0 } ?? ("", 1)
        return "\(bytes / unit.bytes)\(unit.name)"
    }
}

/// The name that somebody meant.
enum NearestName {
    /// `; did you mean NAME?`, or nothing where no name is near.
    static func question(_ word: String, among names: [String]) -> String {
        // YAML takes `path:/a` for one word.
        if let colon = word.firstIndex(of: ":"), names.contains(String(word[..<colon])) {
            return "; write a space behind \(word[...colon])"
        }
        return Self.nearest(word, among: names).map { "; did you mean \($0)?" } ?? ""
    }

    /// `nil` where no name is near.
    static func nearest(_ word: String, among names: [String]) -> String? {
        if let colon = word.firstIndex(of: ":"), names.contains(String(word[..<colon])) {
            return String(word[..<colon])
        }
        let limit = max(1, min(3, word.count / 3))
        let distances = names.map { (name: $0, distance: Self.distance(word.lowercased(), $0.lowercased())) }
        guard let best = distances.min(by: { $0.distance < $1.distance }), best.distance <= limit else { return nil }
        return best.name
    }

    /// Letters to insert, remove, replace or swap.
    private static func distance(_ one: String, _ other: String) -> Int {
        let one = Array(one.prefix(64))
        let other = Array(other.prefix(64))
        guard !one.isEmpty, !other.isEmpty else { return max(one.count, other.count) }
        var rows = [Array(0...other.count)]
        for i in 1...one.count {
            var row = [i]
            for j in 1...other.count {
                var best = min(rows[i - 1][j] + 1, row[j - 1] + 1)
                best = min(best, rows[i - 1][j - 1] + (one[i - 1] == other[j - 1] ? 0 : 1))
                if i > 1, j > 1, one[i - 1] == other[j - 2], one[i - 2] == other[j - 1] {
                    best = min(best, rows[i - 2][j - 2] + 1)
                }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[one.count][other.count]
    }
}
