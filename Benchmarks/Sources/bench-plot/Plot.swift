/// A table as bars, in SVG: a group for each row, in it a bar for each program.
///
/// Self-contained, and dark for a reader whose screen is. Each group has a scale of its own from nothing to its longest bar,
/// because rows differ a thousandfold: what is compared is programs.
struct Plot {
    // All in pixels. A monospaced font is 0.6 of its size wide, nearly whichever it is.
    private static let width = 860
    private static let margin = 16
    private static let bars = 170
    private static let longestBar = 520
    private static let barHeight = 14
    private static let barDistance = 19
    private static let columns = 108

    private var body = ""
    /// The bottom of what is drawn so far.
    private var y = 0

    /// The whole file.
    /// - Parameters:
    ///   - table: the measurements.
    ///   - origin: when, where and of which commit they are.
    static func svg(_ table: Table, origin: String) -> String {
        var plot = Plot()
        plot.draw(table, origin: origin)
        let font = "ui-monospace, Menlo, Consolas, &quot;DejaVu Sans Mono&quot;, monospace"
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(self.width)" height="\(plot.y)" \
            viewBox="0 0 \(self.width) \(plot.y)" role="img" font-family="\(font)">
            <title>\(Self.escaped(table.title))</title>
            <style>\(self.darkStyle)</style>
            <rect width="100%" height="100%" fill="#fff"/>
            \(plot.body)</svg>

            """
    }

    private mutating func draw(_ table: Table, origin: String) {
        self.y = Self.margin + 20
        let title = table.title.prefix(1).uppercased() + table.title.dropFirst()
        self.text(title, x: Self.margin, size: 17, colour: "#111", weight: "bold")
        self.y += 8
        for row in table.rows { self.draw(row, of: table.programs) }
        self.y += 30
        let note = "Less is better. Each group has a scale of its own, which begins at nothing."
        for line in [note] + Self.wrapped(origin, columns: Self.columns) {
            self.text(line, x: Self.margin, size: 12, colour: "#555")
            self.y += 17
        }
    }

    private mutating func draw(_ row: Table.Row, of programs: [String]) {
        let longest = row.values.compactMap { $0?.number }.max() ?? 0
        guard longest > 0 else { return }
        self.y += 26
        self.text(row.name, x: Self.margin, size: 13, colour: "#111", weight: "bold")
        self.y += 8
        for (program, value) in zip(programs, row.values) {
            guard let value else { continue }
            let length = max(1, Int((value.number / longest * Double(Self.longestBar)).rounded()))
            self.body +=
                "<rect x=\"\(Self.bars)\" y=\"\(self.y)\" width=\"\(length)\" height=\"\(Self.barHeight)\" rx=\"2\" "
                + "fill=\"\(Self.colour(program))\"/>\n"
            self.y += 11
            self.text(program, x: Self.bars - 10, size: 12, colour: "#444", anchor: "end")
            self.text(value.text, x: Self.bars + length + 8, size: 12, colour: "#111")
            self.y += Self.barDistance - 11
        }
    }

    // MARK: Elements

    private static func colour(_ program: String) -> String {
        switch program {
        case "khp, handler", "khp, group": "#1a7f4b"
        case "khp, async", "khp, serveHTTP": "#0b7285"
        case "NIOWebSocket", "NIOHTTP1", "NIOHTTP2", "uWebSockets": "#b26a00"
        case "plain TCP": "#8d95a1"
        default: "#3b6ea8"
        }
    }

    /// The colours for a dark screen in place of those that the elements name; the bars keep theirs.
    private static let darkStyle = """
        @media screen and (prefers-color-scheme: dark) { rect[fill='#fff'] { fill: #16181d } \
        [fill='#111'] { fill: #e8eaed } [fill='#444'] { fill: #c4c8cf } [fill='#555'] { fill: #8d95a1 } }
        """

    private mutating func text(
        _ text: some StringProtocol,
        x: Int,
        size: Int,
        colour: String,
        weight: String? = nil,
        anchor: String? = nil
    ) {
        let weight = weight.map { " font-weight=\"\($0)\"" } ?? ""
        let anchor = anchor.map { " text-anchor=\"\($0)\"" } ?? ""
        self.body +=
            "<text x=\"\(x)\" y=\"\(self.y)\" font-size=\"\(size)\" fill=\"\(colour)\"\(weight)\(anchor)>"
            + "\(Self.escaped(text))</text>\n"
    }

    private static func escaped(_ text: some StringProtocol) -> String {
        text.reduce(into: "") { escaped, character in
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            default: escaped.append(character)
            }
        }
    }

    private static func wrapped(_ text: String, columns: Int) -> [String] {
        text.split(separator: " ").reduce(into: [String]()) { lines, word in
            if let last = lines.last, last.count + 1 + word.count <= columns {
                lines[lines.count - 1] += " " + word
            } else {
                lines.append(String(word))
            }
        }
    }
}
