// Notes about the connection, beside its messages, for a person at a terminal.

import KHPClient
import NIOCore

struct Watcher: Sendable {
    let console: Console
    let json: Bool
    /// True where somebody types at a terminal.
    let isInteractive: Bool

    /// True where a person follows on a terminal what happens, and no pipe or script takes it.
    private var isWatched: Bool {
        !self.json && self.console.terminals.errors && (self.isInteractive || self.console.terminals.output)
    }

    /// The socket is open: where to and what was agreed on, for who watches; the content of a 201 for everyone.
    func opened(_ negotiation: HandshakeSummary) {
        if self.isWatched {
            self.note("connected to \(negotiation.url.redacted)\(LadderStep.summary(negotiation))")
        }
        guard !self.json, negotiation.status == 201, let content = negotiation.response?.body,
            content.readableBytes > 0
        else { return }
        self.note("khp: the server answered 201 with this content:")
        for line in ShownText(content).lines(forTerminal: self.console.terminals.errors) { self.note(line) }
    }

    /// The peer has ended what a person may have been typing for.
    func ended(_ info: CloseInfo) {
        if self.isWatched, info.initiator == .peer { self.note(LadderStep.closing(info)) }
    }

    /// A line for the person at the prompt, or for nobody.
    func note(_ text: String) {
        self.console.report(.note(text))
    }
}
