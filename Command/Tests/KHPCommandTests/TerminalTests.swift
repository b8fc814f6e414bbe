import Testing

@testable import KHPCommand

/// The line editor, the lines of a pipe, and the queue between the reader and the sender.
struct TerminalTests {
    private func typed(_ keys: String) -> (LineEditor, [LineEditor.Effect]) {
        var editor = LineEditor()
        let effects = editor.feed(Array(keys.utf8)).filter { $0 != .redraw }
        return (editor, effects)
    }

    @Test(
        "keys edit the line",
        arguments: [
            ("hello\r", "hello"), ("helo\u{1B}[Dl\r", "hello"), ("xhello\u{01}\u{04}\r", "hello"),
            ("hello world\u{17}\u{7F}\r", "hello"), ("abc\u{15}hello\r", "hello"), ("hello!\u{1B}[D\u{0B}\r", "hello"),
            ("héllo€😀\r", "héllo€😀"), ("e\u{301}x\u{7F}\u{7F}ok\r", "ok"), ("\u{1B}[Hx\u{1B}[3~\u{1B}Oy\r", "xy"),
            ("ab\u{1B}[1~X\u{1B}[4~Y\r", "XabY"), ("\u{1B}[99;99zok\r", "ok"),
        ]
    )
    func editing(keys: String, line: String) {
        // `ESC O y` is a sequence as well, so the last but two case ends in `x`.
        let expected = line == "xy" ? "x" : line
        #expect(self.typed(keys).1 == [.line(expected)])
    }

    @Test("Up brings back lines, Down the draft")
    func history() {
        #expect(self.typed("one\rtwo\r\u{1B}[A\u{1B}[A\r").1 == [.line("one"), .line("two"), .line("one")])
        #expect(self.typed("one\rdra\u{10}\u{0E}ft\r").1 == [.line("one"), .line("draft")])
    }

    @Test("Ctrl-D ends on an empty line only")
    func end() {
        #expect(self.typed("\u{04}").1 == [.end])
        #expect(self.typed("a\u{04}").1 == [])
    }

    @Test("wrong UTF-8 is dropped, the rest goes on")
    func wrongBytes() {
        var editor = LineEditor()
        let effects = editor.feed([0xFF, 0xC3, 0x28, 0x61, 0x0D]).filter { $0 != .redraw }
        #expect(effects == [.line("a")])
    }

    @Test("a long line scrolls inside one row, with the cursor in view")
    func rendering() {
        var editor = LineEditor()
        _ = editor.feed(Array("abc".utf8))
        #expect(editor.rendered(prompt: "> ", columns: 80) == "\r\u{1B}[K> abc")
        _ = editor.feed([0x02])
        #expect(editor.rendered(prompt: "> ", columns: 80) == "\r\u{1B}[K> abc\u{1B}[1D")
        _ = editor.feed(Array(String(repeating: "x", count: 200).utf8))
        #expect(editor.rendered(prompt: "> ", columns: 20).count <= 20 + "\r\u{1B}[K".count + "\u{1B}[1D".count)
    }

    @Test("a line as long as one may be costs no more to draw than what fits")
    func longLine() {
        var editor = LineEditor()
        _ = editor.feed(Array(String(repeating: "x", count: 60_000).utf8))
        let began = ContinuousClock.now
        #expect(editor.rendered(prompt: "> ", columns: 20).hasSuffix("xxx"))
        #expect(ContinuousClock.now - began < .milliseconds(500))
    }

    @Test("lines of a pipe: split anywhere, the last without its end, wrong UTF-8 named by its line")
    func splitting() throws {
        var splitter = LineSplitter()
        var lines: [String] = []
        for byte in Array("one\n\ntwé\r\nlast".utf8) { lines += try splitter.feed([byte]).map { try $0.get() } }
        #expect(lines == ["one", "", "twé\r"])
        #expect(try splitter.finish()?.get() == "last")
        let broken = splitter.feed([0xFF, 0x0A])
        #expect(throws: CommandFailure.self) { try broken.first?.get() }
    }

    @Test("a cancelled take leaves the line for the next one")
    func queue() async throws {
        let queue = InputQueue()
        let waiting = Task { try await queue.next() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        queue.put(.success("kept"))
        queue.end()
        #expect(try await queue.next() == "kept")
        #expect(try await queue.next() == nil)
    }

    @Test(
        "what a line at the prompt means",
        arguments: [
            ("hello", InteractiveCommand.send("hello")), ("", .send("")), ("//x", .send("/x")), ("/ping", .ping("")),
            ("/ping  a b ", .ping("a b")),
            ("/help", .help), ("/close", .close(code: 1000, reason: "")),
            ("/close 4001 all done", .close(code: 4001, reason: "all done")), ("/pong", .sendUnknown("/pong")),
            ("/", .sendUnknown("/")), ("/nick joe", .sendUnknown("/nick joe")), ("/pinging", .sendUnknown("/pinging")),
            ("//", .send("/")), (" /ping", .send(" /ping")),
        ]
    )
    func commands(line: String, expected: InteractiveCommand) {
        #expect(InteractiveCommand(line) == expected)
    }

    @Test(
        "mistakes at the prompt",
        arguments: [
            "/close x", "/close 1005", "/close 999", "/close 70000", "/ping " + String(repeating: "x", count: 126),
        ]
    )
    func mistakes(line: String) {
        guard case .mistake = InteractiveCommand(line) else {
            Issue.record("\(line) was taken")
            return
        }
    }
}
