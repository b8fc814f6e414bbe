import Foundation

/// Reads standard input on a thread of its own, because a blocked `read` must hold neither an event loop nor a thread
/// of the concurrency pool. Lines come out of an ``InputQueue``.
enum StandardInput {
    /// Longest line of a pipe or file that is taken as one message.
    static let maximumLineBytes = 64 << 20

    /// Lines of a pipe or file.
    static func readLines(into queue: InputQueue) {
        Thread.detachNewThread {
            var splitter = LineSplitter()
            while let chunk = read(0) {
                for line in splitter.feed(chunk) { queue.put(line) }
                if splitter.isOverLimit {
                    queue.put(.failure(.usage("a line of standard input is longer than 64 MiB")))
                    break
                }
            }
            if let rest = splitter.finish() { queue.put(rest) }
            queue.end()
        }
    }

    /// Lines that a person edits at the terminal; the prompt is drawn through the console.
    static func editLines(into queue: InputQueue, prompt: String, console: Console, terminal: TerminalMode) {
        guard terminal.enterKeyByKey(0) else { return self.readLines(into: queue) }
        Thread.detachNewThread {
            var editor = LineEditor()
            console.setPrompt(editor.rendered(prompt: prompt, columns: console.columns))
            reading: while let chunk = self.read(0) {
                for effect in editor.feed(chunk) {
                    switch effect {
                    case .redraw: break
                    case .line(let line):
                        console.keepTyped(prompt + TerminalText.escaped(line))
                        queue.put(.success(line))
                    case .end: break reading
                    }
                }
                console.setPrompt(editor.rendered(prompt: prompt, columns: console.columns))
            }
            console.setPrompt(nil)
            queue.end()
        }
    }

    private static func read(_ descriptor: Int32) -> [UInt8]? {
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Foundation.read(descriptor, &chunk, chunk.count)
            if count > 0 { return Array(chunk.prefix(count)) }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN {
                var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                poll(&wait, 1, -1)
                continue
            }
            return nil
        }
    }
}

/// Cuts bytes into lines and checks that they are text.
struct LineSplitter {
    private var partial: [UInt8] = []
    private var number = 0

    /// `true` when the line so far is too long.
    var isOverLimit: Bool { self.partial.count > StandardInput.maximumLineBytes }

    /// The lines that are complete, without their line ends.
    mutating func feed(_ bytes: [UInt8]) -> [Result<String, CommandFailure>] {
        var lines: [Result<String, CommandFailure>] = []
        var rest = bytes[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            self.partial += rest[..<end]
            lines.append(self.take())
            rest = rest[(end + 1)...]
        }
        self.partial += rest
        return lines
    }

    /// The last line, when it had no line end.
    mutating func finish() -> Result<String, CommandFailure>? {
        self.partial.isEmpty ? nil : self.take()
    }

    private mutating func take() -> Result<String, CommandFailure> {
        self.number += 1
        defer { self.partial = [] }
        guard let text = String(validating: self.partial, as: UTF8.self) else {
            return .failure(
                .usage(
                    "line \(self.number) of standard input is not UTF-8, so it cannot be a text message; use --binary FILE"
                )
            )
        }
        return .success(text)
    }
}
