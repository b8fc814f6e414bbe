// `-v` and `--trace`: the steps of each connection on standard error.

import KHPProtocol

struct LadderRenderer: Renderer {
    /// True where every head and frame is shown as well.
    let trace: Bool
    /// True where connections of a client share the output, as a server's do.
    let isShared: Bool
    private var ladder: Ladder
    /// The totals of the connections that are open. Frames of a handshake that failed have nobody to let their count go.
    private var totals: [UInt64: CompressionTotals] = [:]

    init(trace: Bool, style: Style, isShared: Bool = false) {
        self.trace = trace
        self.isShared = isShared
        self.ladder = Ladder(style: style)
    }

    mutating func lines(for report: Report, at time: Duration) -> [Line] {
        switch report {
        case .connection(let event, let info):
            let id = self.isShared || info.role == .server ? info.id : nil
            var lines: [String] = []
            if let summary = self.count(event, info) { lines.append(self.step(summary, id: id, at: time)) }
            for step in LadderStep.steps(of: event, role: info.role, trace: self.trace) {
                lines.append(self.ladder.step(step.layer, step.direction, step.text, at: time.seconds, id: id))
                if self.trace, let detail = step.detail { lines += self.ladder.detail(detail) }
            }
            return lines.map { Line($0, to: .standardError) }
        case .remark(let text): return [Line(self.step(text, id: nil, at: time), to: .standardError)]
        case .message, .closed, .listening, .accepting, .serving, .result, .note, .warning, .failure, .dropped:
            return []
        }
    }

    private mutating func step(_ text: String, id: UInt64?, at time: Duration) -> String {
        self.ladder.step(.app, .none, TerminalText.escaped(text), at: time.seconds, id: id)
    }

    /// Counts what compression saves.
    /// - Returns: the sentence about it, at the end of a connection.
    private mutating func count(_ event: ConnectionEvent, _ info: ConnectionInfo) -> String? {
        switch event {
        case .open: self.totals[info.id, default: CompressionTotals()].count(event)
        case .frameSent, .frameReceived: self.totals[info.id]?.count(event)
        case .closed: return self.totals.removeValue(forKey: info.id)?.summary
        default: break
        }
        return nil
    }
}
