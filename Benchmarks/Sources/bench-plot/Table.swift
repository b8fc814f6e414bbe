// The tables that are drawn: a row for each thing that was measured, a column for each program that took part.

struct Table {
    struct Row {
        let name: String
        /// One for each program; `nil` for one that took no part.
        let values: [Value?]
    }

    struct Value {
        let number: Double
        /// As the table has it, with what stands behind the number.
        let text: String
    }

    /// The head of the first column, which says what the numbers count.
    let title: String
    let programs: [String]
    let rows: [Row]
    /// When, where and of which commit it was measured, as the last sentence above it that begins with "Of" says; empty
    /// without one.
    let origin: String

    /// Programs of others: a table without any of them compares nothing.
    private static let yardsticks: Set = ["NIOWebSocket", "NIOHTTP1", "NIOHTTP2", "uWebSockets"]

    /// The tables of a text in Markdown that have programs side by side, the first of each title.
    static func all(in text: String) -> [Table] {
        var tables: [Table] = []
        var lines: [[String]] = []
        var origin = ""
        // An empty line behind the last ends a table there.
        for line in (text + "\n\n").split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("|") {
                lines.append(Self.cells(line))
                continue
            }
            if let said = line.wholeMatch(of: /Of ([0-9].*release build)\..*/) { origin = String(said.1) }
            if let table = Table(lines, origin), !tables.contains(where: { $0.title == table.title }) {
                tables.append(table)
            }
            lines = []
        }
        return tables
    }

    private init?(_ lines: [[String]], _ origin: String) {
        // A head, a line of dashes, rows.
        guard lines.count > 2, !Self.yardsticks.isDisjoint(with: lines[0]), let title = lines[0].first, !title.isEmpty
        else { return nil }
        // Ratios of columns are no measurements; of a rate more is better, and latencies have another scale.
        let columns = lines[0].indices.dropFirst().filter { column in
            !lines[0][column].contains("÷") && !["a second", "in ms"].contains { lines[0][column].hasSuffix($0) }
        }
        self.title = title
        self.origin = origin
        self.programs = columns.map { lines[0][$0] }
        self.rows = lines.dropFirst(2).map { cells in
            Row(name: cells.first ?? "", values: columns.map { $0 < cells.count ? Value(cells[$0]) : nil })
        }
    }

    private static func cells(_ line: Substring) -> [String] {
        line.dropFirst().split(separator: "|", omittingEmptySubsequences: false).map { cell in
            let text = cell.drop { $0 == " " }
            return String(text.prefix(text.count - text.reversed().prefix { $0 == " " }.count))
        }
    }
}

extension Table.Value {
    /// A cell that begins with a number, such as `1,622,528`, `6.0 (6.0)` or `166,010 with zlib`.
    init?(_ cell: String) {
        let digits = cell.prefix { $0.isNumber || $0 == "," || $0 == "." }.filter { $0 != "," }
        guard let number = Double(digits) else { return nil }
        self.init(number: number, text: cell)
    }
}
