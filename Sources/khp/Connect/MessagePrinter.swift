import KHPClient
import NIOCore

/// Prints received messages: one per line, or as JSON events. Waits until they are written, so that a slow reader of
/// the pipe slows the peer down and nothing piles up.
struct MessagePrinter: Sendable {
    let json: Bool
    let output: Output

    func print(_ message: WebSocketMessage) async {
        await output.written { bytes(message) }
    }

    private func bytes(_ message: WebSocketMessage) -> [UInt8] {
        if json { return Array((Events.message(message).line + "\n").utf8) }
        let isTerminal = output.isTerminal(.standardOutput)
        switch message {
        case .text(let text):
            return Array(((isTerminal ? TerminalText.escaped(text) : text) + "\n").utf8)
        case .binary(let bytes):
            guard isTerminal else { return Array(bytes.readableBytesView) + [UInt8(ascii: "\n")] }
            let preview = TerminalText.preview(Array(bytes.readableBytesView.prefix(65)))
            return Array("(binary, \(bytes.readableBytes) bytes) \(preview)\n".utf8)
        }
    }

    /// The end of a connection.
    func close(_ info: CloseInfo) {
        if json { output.inOrder { output.line(Events.close(info).line) } }
    }

    /// A line for the person at the prompt, or for nobody.
    func note(_ text: String) {
        output.line(text, to: .standardError)
    }
}
