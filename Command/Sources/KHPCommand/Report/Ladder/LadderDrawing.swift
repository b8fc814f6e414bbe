/// A sequence diagram as SVG: the client on the left, the server on the right, time downwards, an arrow for what is said
/// and a box for what is found out. Every connection begins with a band that says whom it is to.
///
/// Self-contained: no script, no outside style sheet and no font of its own, so that it can be mailed, printed and shown in
/// a page. It is dark for a reader whose screen is, and a head is there on hover as well, whole.
struct LadderDrawing {
    // All in pixels. A monospaced font is 0.6 of its size wide, nearly whichever it is.
    private static let width = 1080
    private static let margin = 16
    private static let client = 250
    private static let server = 1040
    private static let textSize = 13
    private static let detailSize = 11
    private static let lineHeight = 18
    private static let detailHeight = 15
    /// Lines of a head or payload that are shown.
    private static let detailLines = 60
    /// Characters of one step or line that are shown, over several rows.
    private static let longestText = 1000

    private let title: String
    private var body = ""
    private var lifelines = ""
    /// The bottom of what is drawn so far.
    private var y = 0
    /// Where the lifelines of the present connection begin.
    private var begin: Int?
    private var lastSeconds: Double?

    private init(title: String) {
        self.title = title
    }

    /// The whole file.
    static func svg(_ diagram: LadderDiagram, title: String) -> String {
        var drawing = LadderDrawing(title: title)
        drawing.draw(diagram.rows)
        return drawing.file
    }

    /// The same as a page.
    static func html(_ diagram: LadderDiagram, title: String) -> String {
        let name = escaped(title)
        return """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width">
            <title>\(name)</title>
            <style>
            body { margin: 0; background: #fff }
            svg { display: block; margin: auto; max-width: 100%; height: auto }
            @media screen and (prefers-color-scheme: dark) { body { background: \(darkGround) } }
            </style>
            </head>
            <body>
            \(svg(diagram, title: title))</body>
            </html>

            """
    }

    // MARK: The parts

    private mutating func draw(_ rows: [LadderDiagram.Row]) {
        self.y = Self.margin + 22
        self.text(self.title, x: Self.margin, y: self.y, size: 17, colour: "#111", weight: "bold")
        self.y += 12
        self.legend()
        for row in rows {
            switch row {
            case .gap(let count): self.gap(count)
            case .step(let step) where step.peer != nil: self.band(step)
            case .step(let step): self.draw(step)
            }
        }
        self.endLifelines()
        if rows.isEmpty {
            self.y += 30
            self.text("Nothing was said.", x: Self.client, y: self.y, size: Self.textSize, colour: "#555")
        }
        self.y += Self.margin * 2
    }

    private mutating func legend() {
        let layers: [(Ladder.Layer, String)] = [
            (.tcp, "TCP"), (.proxy, "proxy"), (.tls, "TLS"), (.open, "opening handshake"),
            (.khp, "extended handshake"), (.app, "messages"),
        ]
        self.y += 18
        var x = Self.margin
        for (layer, name) in layers {
            self.rectangle(x: x, y: self.y - 10, width: 12, height: 12, fill: Self.colour(layer))
            self.text(name, x: x + 18, y: self.y, size: 12, colour: "#333")
            x += 18 + name.count * 8 + 18
        }
        self.y += 16
    }

    /// Where a connection begins.
    private mutating func band(_ step: LadderDiagram.Step) {
        self.endLifelines()
        self.y += 14
        let lines = Self.wrapped(step.text, columns: 118)
        let height = lines.count * Self.lineHeight + 10
        self.rectangle(x: Self.margin, y: self.y, width: Self.width - 2 * Self.margin, height: height, fill: "#e8edf4")
        for (index, line) in lines.enumerated() {
            self.text(
                line,
                x: Self.margin + 10,
                y: self.y + 18 + index * Self.lineHeight,
                size: Self.textSize,
                colour: "#111"
            )
        }
        self.y += height + 12
        self.head("client", x: Self.client, anchor: "middle")
        self.head(Self.cut(step.peer ?? "", 90), x: Self.server + Self.margin, anchor: "end")
        self.y += 26
        self.begin = self.y
        self.lastSeconds = step.seconds
        self.y += 4
    }

    private mutating func head(_ name: String, x: Int, anchor: String) {
        self.text(name, x: x, y: self.y + 14, size: Self.textSize, colour: "#111", weight: "bold", anchor: anchor)
    }

    private mutating func endLifelines() {
        guard let begin else { return }
        self.y += 10
        for x in [Self.client, Self.server] {
            self.lifelines +=
                "<line x1=\"\(x)\" y1=\"\(begin)\" x2=\"\(x)\" y2=\"\(self.y)\" stroke=\"#b8c0cc\" stroke-width=\"2\"/>\n"
        }
        self.begin = nil
    }

    private mutating func draw(_ step: LadderDiagram.Step) {
        self.begin = self.begin ?? self.y
        self.body += "<g>\n"
        defer { self.body += "</g>\n" }
        if let detail = step.detail {
            self.body += "<title>\(Self.tooltip(detail))</title>\n"
        }
        self.y += 8
        let lines = Self.wrapped(step.text, columns: 92)
        let top = self.y
        self.times(step.seconds, y: top + 13)
        self.tag(step.layer, y: top)
        switch step.direction {
        case .none: self.note(lines, step.layer)
        case .sent, .received: self.arrow(lines, step)
        }
        // The first line of a head stands on its arrow already.
        let begin = step.detail?.firstIndex { $0.isNewline } ?? step.detail?.endIndex
        let isSaid = begin.flatMap { end in step.detail.map { step.text.hasPrefix($0[..<end]) } } ?? false
        self.detail(
            isSaid ? step.detail.flatMap { text in begin.map { String(text[$0...].dropFirst()) } } : step.detail
        )
    }

    /// When it was, and how long after the step before.
    private mutating func times(_ seconds: Double, y: Int) {
        self.text(Ladder.fixed(seconds, digits: 3), x: 70, y: y, size: 12, colour: "#444", anchor: "end")
        let since = self.lastSeconds.map { Ladder.interval(max(0, seconds - $0)) } ?? ""
        self.text(since, x: 156, y: y, size: 12, colour: "#777", anchor: "end")
        self.lastSeconds = seconds
    }

    private mutating func tag(_ layer: Ladder.Layer, y: Int) {
        self.rectangle(x: 168, y: y, width: 50, height: 18, fill: Self.colour(layer))
        self.text(layer.rawValue, x: 193, y: y + 13, size: 12, colour: "#fff", anchor: "middle")
    }

    private mutating func arrow(_ lines: [String], _ step: LadderDiagram.Step) {
        for (index, line) in lines.enumerated() {
            self.text(
                line,
                x: Self.client + 14,
                y: self.y + 13 + index * Self.lineHeight,
                size: Self.textSize,
                colour: "#111"
            )
        }
        self.y += lines.count * Self.lineHeight + 5
        let colour = Self.colour(step.layer)
        let (from, to, back) =
            step.direction == .sent ? (Self.client, Self.server, -9) : (Self.server, Self.client, 9)
        self.body +=
            "<line x1=\"\(from)\" y1=\"\(self.y)\" x2=\"\(to + back)\" y2=\"\(self.y)\" stroke=\"\(colour)\" stroke-width=\"2\"/>\n"
        self.body += "<path d=\"M \(to) \(self.y) l \(back) -5 v 10 z\" fill=\"\(colour)\"/>\n"
        self.y += 6
    }

    private mutating func note(_ lines: [String], _ layer: Ladder.Layer) {
        let height = lines.count * Self.lineHeight + 6
        let width = Self.server - Self.client - 40
        self.body +=
            "<rect x=\"\(Self.client + 20)\" y=\"\(self.y - 3)\" width=\"\(width)\" height=\"\(height)\" rx=\"4\" fill=\"#fff\" "
            + "stroke=\"\(Self.colour(layer))\"/>\n"
        for (index, line) in lines.enumerated() {
            self.text(
                line,
                x: Self.client + 30,
                y: self.y + 13 + index * Self.lineHeight,
                size: Self.textSize,
                colour: "#111"
            )
        }
        self.y += height + 2
    }

    private mutating func detail(_ detail: String?) {
        guard let detail else { return }
        var lines = detail.split(omittingEmptySubsequences: false) { $0.isNewline }.flatMap {
            Self.wrapped(TerminalText.escaped($0), columns: 112)
        }
        while lines.last?.isEmpty == true { lines.removeLast() }
        let left = lines.count - Self.detailLines
        if left > 0 { lines = Array(lines.prefix(Self.detailLines)) + ["… \(left) more lines"] }
        guard !lines.isEmpty else { return }
        let height = lines.count * Self.detailHeight + 8
        self.rectangle(
            x: Self.client + 14,
            y: self.y,
            width: Self.server - Self.client - 28,
            height: height,
            fill: "#f5f6f8"
        )
        for (index, line) in lines.enumerated() {
            let bottom = self.y + 14 + index * Self.detailHeight
            self.text(line, x: Self.client + 22, y: bottom, size: Self.detailSize, colour: "#444")
        }
        self.y += height + 4
    }

    private mutating func gap(_ count: Int) {
        self.y += 20
        self.text(
            "… \(count) steps are left out …",
            x: Self.client + 14,
            y: self.y,
            size: Self.textSize,
            colour: "#777"
        )
        self.y += 8
    }

    // MARK: Elements

    /// The ground of a dark screen.
    private static let darkGround = "#16181d"

    /// The colours for a dark screen in place of those that the elements name; the layers keep theirs.
    private static let darkStyle = """
        @media screen and (prefers-color-scheme: dark) { rect[fill='#fff'] { fill: \(darkGround) } \
        [fill='#111'] { fill: #e8eaed } [fill='#333'], [fill='#444'] { fill: #c4c8cf } \
        [fill='#555'], [fill='#777'] { fill: #8d95a1 } [fill='#e8edf4'] { fill: #2a3140 } \
        [fill='#f5f6f8'] { fill: #20242c } [stroke='#b8c0cc'] { stroke: #4a5261 } }
        """

    private var file: String {
        let name = Self.escaped(self.title)
        let font = "ui-monospace, Menlo, Consolas, &quot;DejaVu Sans Mono&quot;, monospace"
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(Self.width)" height="\(self.y)" \
            viewBox="0 0 \(Self.width) \(self.y)" role="img" font-family="\(font)">
            <title>\(name)</title>
            <style>\(Self.darkStyle)</style>
            <rect width="100%" height="100%" fill="#fff"/>
            \(self.lifelines)\(self.body)</svg>

            """
    }

    private mutating func text(
        _ text: String,
        x: Int,
        y: Int,
        size: Int,
        colour: String,
        weight: String? = nil,
        anchor: String? = nil
    ) {
        guard !text.isEmpty else { return }
        let weight = weight.map { " font-weight=\"\($0)\"" } ?? ""
        let anchor = anchor.map { " text-anchor=\"\($0)\"" } ?? ""
        self.body +=
            "<text x=\"\(x)\" y=\"\(y)\" font-size=\"\(size)\" fill=\"\(colour)\"\(weight)\(anchor) "
            + "xml:space=\"preserve\">\(Self.escaped(text))</text>\n"
    }

    private mutating func rectangle(x: Int, y: Int, width: Int, height: Int, fill: String) {
        self.body +=
            "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(width)\" height=\"\(height)\" rx=\"3\" fill=\"\(fill)\"/>\n"
    }

    private static func colour(_ layer: Ladder.Layer) -> String {
        switch layer {
        case .tcp: "#3b6ea8"
        case .proxy: "#6a5acd"
        case .tls: "#a03b8a"
        case .open: "#9a6700"
        case .khp: "#1a7f4b"
        case .app: "#0b7285"
        }
    }

    // MARK: Text

    /// The rows that a text takes; what is beyond ``longestText`` is cut.
    static func wrapped(_ text: String, columns: Int) -> [String] {
        var rows: [String] = []
        var row = ""
        var used = 0
        for character in cut(text, longestText) {
            let width = TerminalText.columns(character)
            if used + width > columns {
                rows.append(row)
                row = ""
                used = 0
            }
            row.append(character)
            used += width
        }
        return rows + [row]
    }

    /// A head as it is shown on hover: whole, up to four times as long as a step.
    private static func tooltip(_ detail: String) -> String {
        self.cut(detail, 4 * self.longestText).split(omittingEmptySubsequences: false) { $0.isNewline }
            .map { self.escaped(String($0)) }
            .joined(separator: "\n")
    }

    private static func cut(_ text: String, _ limit: Int) -> String {
        let head = text.prefix(limit)
        return head.endIndex == text.endIndex ? text : head + "…"
    }

    /// As XML 1.0 holds text: control characters are written out, as on a terminal, and so are what it has no place for.
    static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in TerminalText.escaped(text).unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "\u{FFFE}", "\u{FFFF}": out += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
