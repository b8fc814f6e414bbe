import Foundation
import KHPProtocol
import NIOCore
import Testing

@testable import KHPCommand

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// `--save-ladder`: what is kept of a conversation, and the picture that becomes of it.
struct LadderDiagramTests {
    private static func step(_ number: Int, _ text: String? = nil, detail: String? = nil) -> LadderDiagram.Step {
        LadderDiagram.Step(
            seconds: Double(number),
            layer: .app,
            direction: .sent,
            text: text ?? "step \(number)",
            detail: detail
        )
    }

    private static func isXML(_ text: String) -> Bool {
        XMLParser(data: Data(text.utf8)).parse()
    }

    @Test("of very many steps the first and the last are kept, in order, and the others counted")
    func bounded() {
        var diagram = LadderDiagram()
        let kept = LadderDiagram.keptFirst + LadderDiagram.keptLast
        for number in 0..<kept { diagram.add(Self.step(number)) }
        #expect(diagram.rows == (0..<kept).map { .step(Self.step($0)) })
        for number in kept..<(kept + 250) { diagram.add(Self.step(number)) }
        let rows = diagram.rows
        #expect(rows.count == kept + 1)
        #expect(rows[LadderDiagram.keptFirst] == .gap(250))
        #expect(rows[LadderDiagram.keptFirst + 1] == .step(Self.step(LadderDiagram.keptFirst + 250)))
        #expect(rows.last == .step(Self.step(kept + 249)))
        #expect(LadderDrawing.svg(diagram, title: "t").contains("250 steps are left out"))
    }

    @Test("each connection has its band; heads stand below their arrows, without the line that the arrow has")
    func drawing() throws {
        var diagram = LadderDiagram()
        let url = try WebSocketURL("ws://desk.example/a")
        diagram.add(.connecting(url: url, attempt: 1, proxy: try Proxy("http://proxy:3128")), at: 0)
        diagram.add(.openingRequest(head: "GET /a HTTP/1.1\r\nHost: desk.example\r\n\r\n"), at: 0.001)
        diagram.add(.openingResponse(head: "HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n", status: 302), at: 0.25)
        diagram.add(.redirect(from: url, to: url, status: 302, layer: .opening), at: 0.25)
        diagram.add(.connecting(url: url, attempt: 2), at: 0.5)
        let svg = LadderDrawing.svg(diagram, title: "khp connect ws://desk.example/a")
        #expect(Self.isXML(svg))
        for text in [
            "desk.example through http://proxy:3128", "Location: /b", "redirect 302 to", "(attempt 2)", "0.250",
        ] {
            #expect(svg.contains(text), "\(text)")
        }
        #expect(svg.components(separatedBy: ">GET /a HTTP/1.1<").count == 2)
        // On hover the whole head is there.
        #expect(svg.contains("<title>GET /a HTTP/1.1\nHost: desk.example"))
        #expect(svg.contains("(prefers-color-scheme: dark)"))
        // Two lifelines for each connection.
        #expect(svg.components(separatedBy: "stroke=\"#b8c0cc\"").count == 5)
        let page = LadderDrawing.html(diagram, title: "<title>")
        #expect(page.hasPrefix("<!doctype html>") && page.contains("<title>&lt;title&gt;</title>"))
    }

    @Test(
        "peers' text cannot leave its place in the picture",
        arguments: [
            ("a <b> & \"c\"", "a &lt;b&gt; &amp; &quot;c&quot;"), ("</text><script>", "&lt;/text&gt;&lt;script&gt;"),
            ("\u{1B}[31m\n]]>", "\\x1b[31m\\n]]&gt;"), ("\u{FFFE}x\u{202E}", "\\u{fffe}x\\u{202e}"), ("😀é", "😀é"),
        ]
    )
    func escaping(text: String, escaped: String) {
        #expect(LadderDrawing.escaped(text) == escaped)
        var diagram = LadderDiagram()
        diagram.add(Self.step(1, text, detail: "head\n" + text))
        #expect(Self.isXML(LadderDrawing.svg(diagram, title: text)))
    }

    @Test("long texts take several rows, by the columns that they take, and end somewhere")
    func wrapping() {
        #expect(LadderDrawing.wrapped("abcdef", columns: 4) == ["abcd", "ef"])
        #expect(LadderDrawing.wrapped("世界世界", columns: 5) == ["世界", "世界"])
        #expect(LadderDrawing.wrapped("", columns: 4) == [""])
        let long = LadderDrawing.wrapped(String(repeating: "x", count: 1_000_000), columns: 100)
        #expect(long.count == 11 && long.last == "…")
        var diagram = LadderDiagram()
        diagram.add(Self.step(1, detail: String(repeating: "line\n", count: 5000)))
        #expect(LadderDrawing.svg(diagram, title: "t").contains("… 4940 more lines"))
    }
}
