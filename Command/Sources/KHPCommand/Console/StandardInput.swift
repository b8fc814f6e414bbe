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
            while let chunk = self.read(0), !chunk.isEmpty {
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
        guard terminal.enterKeyByKey(0, redraw: { console.redrawPrompt() }) else { return self.readLines(into: queue) }
        Thread.detachNewThread {
            var editor = LineEditor()
            console.setPrompt(editor.rendered(prompt: prompt, columns: console.columns))
            reading: while let chunk = self.read(0), !chunk.isEmpty {
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

    /// Longest line that is a name or a password.
    static let maximumAnswerBytes = 1 << 16

    /// The next line of a pipe or file, which holds a name or a password, without its line end; `nil` at the end. Blocking,
    /// and takes nothing of what stands behind the line.
    /// - Throws: ``CommandFailure`` for one that is too long or is not UTF-8: repaired, it would be another.
    static func answer(at descriptor: Int32 = 0) throws(CommandFailure) -> String? {
        var line: [UInt8] = []
        while true {
            guard let byte = self.read(descriptor, upTo: 1)?.first else {
                if line.isEmpty { return nil }
                break
            }
            if byte == UInt8(ascii: "\n") { break }
            guard line.count < self.maximumAnswerBytes else {
                throw .usage("a line of standard input is longer than 64 KiB")
            }
            line.append(byte)
        }
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        guard let text = String(validating: line, as: UTF8.self) else {
            throw .usage("a line of standard input is not UTF-8, so it is neither a name nor a password")
        }
        return text
    }

    /// Some bytes of a descriptor, once there are any: none at its end, and `nil` where it cannot be read.
    static func read(_ descriptor: Int32, upTo most: Int = 1 << 16) -> [UInt8]? {
        var chunk = [UInt8](repeating: 0, count: most)
        while true {
            let count = Foundation.read(descriptor, &chunk, chunk.count)
            if count >= 0 { return Array(chunk.prefix(count)) }
            if errno == EINTR { continue }
            guard errno == EAGAIN else { return nil }
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            poll(&wait, 1, -1)
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
