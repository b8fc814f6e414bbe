import KHPClient
import NIOCore

/// Prints received messages: one per line, or as JSON events. Waits until they are written, so that a slow reader of
/// the pipe slows the peer down and nothing piles up.
struct MessagePrinter: Sendable {
    let json: Bool
    let output: Output
    /// True where somebody types at a terminal.
    var isInteractive = false

    func print(_ message: WebSocketMessage) async {
        await output.written { bytes(message) }
    }

    private func bytes(_ message: WebSocketMessage) -> [UInt8] {
        if json { return Array((Events.message(message).line + "\n").utf8) }
        let isTerminal = output.isTerminal(.standardOutput)
        switch message {
        case .text(let text):
            return Array(((isTerminal ? mark + TerminalText.escaped(text) : text) + "\n").utf8)
        case .binary(let bytes):
            guard isTerminal else { return Array(bytes.readableBytesView) + [UInt8(ascii: "\n")] }
            let preview = TerminalText.preview(Array(bytes.readableBytesView.prefix(65)))
            return Array("\(mark)(binary, \(bytes.readableBytes) bytes) \(preview)\n".utf8)
        }
    }

    /// Tells received lines from typed ones, on a terminal.
    private var mark: String { Style(descriptor: Output.Stream.standardOutput.rawValue)("<", .dim) + " " }

    /// True where a person follows on a terminal what happens, and no pipe or script takes it.
    private var isWatched: Bool {
        !json && output.isTerminal(.standardError) && (isInteractive || output.isTerminal(.standardOutput))
    }

    /// The socket is open: where to and what was agreed on, for who watches; the content of a 201 for everyone.
    func opened(_ negotiation: HandshakeSummary) {
        if isWatched { note("connected to \(negotiation.url.redacted)\(LadderStep.summary(negotiation))") }
        guard !json, negotiation.status == 201, let content = negotiation.response?.body, content.readableBytes > 0
        else { return }
        note("khp: the server answered 201 with this content:")
        for line in ShownText(content).lines(forTerminal: output.isTerminal(.standardError)) { note(line) }
    }

    /// The end of a connection.
    func close(_ info: CloseInfo) {
        if json { output.inOrder { output.line(Events.close(info).line) } }
    }

    /// The peer has ended what a person may have been typing for.
    func ended(_ info: CloseInfo) {
        if isWatched, info.initiator == .peer { note(LadderStep.closing(info)) }
    }

    /// A line for the person at the prompt, or for nobody.
    func note(_ text: String) {
        output.line(text, to: .standardError)
    }
}
