// The lines for people and pipes: payload on standard output, everything else on standard error.

import KHPGateway
import KHPProtocol
import NIOCore

struct PlainRenderer: Renderer {
    /// False where the objects of `--json` have standard output.
    var showsMessages = true
    /// Which streams a person reads.
    var terminals = Console.Terminals()
    /// The style of standard output.
    var style = Style(isEnabled: false)

    func lines(for report: Report, at time: Duration) -> [Line] {
        switch report {
        case .message(let message): self.showsMessages ? [self.line(message)] : []
        case .listening(let host, let port, let isSecure):
            [
                Line(
                    "listening on \(isSecure ? "wss" : "ws")://\(host.contains(":") ? "[\(host)]" : host):\(port)",
                    to: .standardError
                )
            ]
        case .accepting(let address): [Line("listening on \(address)", to: .standardError)]
        case .serving(let listeners):
            // Objects of standard output say it otherwise, and standard error is the log alone.
            self.showsMessages
                ? [
                    Line(
                        "listening: " + listeners.map { "\($0.name) \($0.url)" }.joined(separator: ", "),
                        to: .standardOutput
                    )
                ] : []
        case .result(let text): [Line(text, to: .standardOutput)]
        case .note(let text): [Line(text, to: .standardError)]
        case .warning(let text): [Line("khp: warning: \(text)", to: .standardError)]
        case .failure(let failure): self.lines(failure)
        case .dropped(let count, from: .standardError):
            [Line("(\(count) lines dropped: nobody read them)", to: .standardError)]
        case .dropped, .connection, .closed, .remark: []
        }
    }

    /// One per line. On a terminal it is told from typed lines, and cannot do anything to the terminal.
    private func line(_ message: WebSocketMessage) -> Line {
        switch message {
        case .text(let text):
            return Line(self.terminals.output ? self.mark + TerminalText.escaped(text) : text, to: .standardOutput)
        case .binary(let bytes):
            guard self.terminals.output else {
                return Line(bytes: Array(bytes.readableBytesView) + [UInt8(ascii: "\n")], to: .standardOutput)
            }
            let preview = TerminalText.preview(Array(bytes.readableBytesView.prefix(65)))
            return Line("\(self.mark)(binary, \(bytes.readableBytes) bytes) \(preview)", to: .standardOutput)
        }
    }

    private var mark: String { self.style("<", .dim) + " " }

    /// The sentence, and the server's words below it where it does not hold all of them (KHP-E20).
    private func lines(_ failure: CommandFailure) -> [Line] {
        let entity = self.showsMessages ? failure.entity?.lines(forTerminal: self.terminals.errors) ?? [] : []
        return (["khp: \(failure.sentence)"] + entity).map { Line($0, to: .standardError) }
    }
}
