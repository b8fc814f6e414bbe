// Text of a peer that the command shows, draws or writes, and files and lines that it reads, cost it no more than in
// proportion (threat I4).

import CommandTestSupport
import KHPProtocol
import NIOCore
import Testing

@testable import KHPCommand

@Suite("work grows in proportion to what the command shows and reads", .serialized)
struct ShownGrowthTests {
    struct Row: Sendable {
        var name: String
        /// The largest message by default, or what anybody would write into a file.
        var limit: Int
        var prepare: @Sendable (_ bytes: Int) -> () -> Void
    }

    private static func repeated(_ text: String, _ bytes: Int) -> String {
        String(repeating: text, count: max(1, bytes / text.utf8.count))
    }

    /// Shapes of a peer's text: letters, what is escaped, long characters, lines, words.
    private static let texts: [(shape: String, part: String)] = [
        ("letters", "a"), ("controls", "\u{1B}["), ("marks that turn the direction", "\u{202E}"),
        ("characters of four bytes", "\u{1F600}"), ("one character of many", "\u{301}"), ("lines", "a\n"),
        ("words", "ab <&>\" "),
    ]

    private static let shown: [Row] = Self.texts.flatMap { shape, part in
        [
            Row(name: "TerminalText: \(shape)", limit: 64 * 1024) { bytes in
                let text = Self.repeated(part, bytes)
                return { _ = TerminalText.escaped(text) }
            },
            Row(name: "ShownText: \(shape)", limit: 64 * 1024) { bytes in
                let buffer = ByteBuffer(string: Self.repeated(part, bytes))
                return {
                    let text = ShownText(buffer)
                    _ = text.lines(forTerminal: true)
                    _ = text.wordyLines
                }
            },
            Row(name: "LadderDrawing: \(shape)", limit: 32 * 1024) { bytes in
                let text = Self.repeated(part, bytes)
                var diagram = LadderDiagram()
                diagram.add(.init(seconds: 0, layer: .app, direction: .sent, text: text, detail: text))
                let drawn = diagram
                return { _ = LadderDrawing.svg(drawn, title: text) }
            },
            Row(name: "Events: \(shape)", limit: 64 * 1024) { bytes in
                let text = Self.repeated(part, bytes)
                return { _ = "\(Events.message(.text(text)))" }
            },
        ]
    }

    private static let read: [Row] = [
        Row(name: "Netrc: entries", limit: 64 * 1024) { bytes in
            let text = (0..<bytes / 40).map { "machine h\($0) login joe password p\n" }.joined()
            return { _ = try? Netrc(text, name: "n").entry(for: "none") }
        },
        Row(name: "Netrc: escapes", limit: 64 * 1024) { bytes in
            let text = "machine h login \"" + Self.repeated("\\\"", bytes) + "\" password p"
            return { _ = try? Netrc(text, name: "n") }
        },
        Row(name: "Netrc: a macro without an end", limit: 64 * 1024) { bytes in
            let text = Self.repeated("macdef m\n", bytes)
            return { _ = try? Netrc(text, name: "n") }
        },
        Row(name: "LineSplitter: short lines", limit: 64 * 1024) { bytes in
            let lines = [UInt8](repeating: 0x0A, count: bytes)
            return {
                var splitter = LineSplitter()
                _ = splitter.feed(lines)
            }
        },
        Row(name: "LineSplitter: one line, byte by byte", limit: 64 * 1024) { bytes in
            return {
                var splitter = LineSplitter()
                for _ in 0..<bytes { _ = splitter.feed([0x61]) }
                _ = splitter.finish()
            }
        },
    ]

    private static let all = Self.shown + Self.read

    @Test("four times the input costs nowhere near sixteen times the work", arguments: Self.all.map(\.name))
    func growth(_ name: String) throws {
        let row = try #require(Self.all.first { $0.name == name })
        #expect(Growth.fault(limit: row.limit, row.prepare) == nil)
    }
}
