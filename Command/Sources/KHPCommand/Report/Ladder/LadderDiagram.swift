import KHPProtocol

/// The steps of a conversation as a sequence diagram needs them: what each connection was to, and what was said when.
///
/// Bounded: the first ``keptFirst`` steps and the last ``keptLast`` are kept, and those between are counted.
struct LadderDiagram {
    static let keptFirst = 1000
    static let keptLast = 200

    struct Step: Equatable {
        var seconds: Double
        var layer: Ladder.Layer
        var direction: Ladder.Direction
        var text: String
        /// A head, an entity: shown below the step.
        var detail: String?
        /// The server, and the proxy, of a connection that begins here.
        var peer: String?
    }

    enum Row: Equatable {
        case step(Step)
        /// So many steps are left out.
        case gap(Int)
    }

    private var first: [Step] = []
    /// A ring of the last ones; `next` is the oldest.
    private var last: [Step] = []
    private var next = 0
    private var leftOut = 0

    /// Takes what one event says.
    mutating func add(_ event: ConnectionEvent, at seconds: Double) {
        var peer: String?
        if case .connecting(let url, _, let proxy) = event {
            peer = url.authority + (proxy.map { " through \($0)" } ?? "")
        }
        for step in LadderStep.steps(of: event, trace: true) {
            self.add(
                Step(
                    seconds: seconds,
                    layer: step.layer,
                    direction: step.direction,
                    text: step.text,
                    detail: step.detail,
                    peer: peer
                )
            )
        }
    }

    mutating func add(_ step: Step) {
        if self.first.count < Self.keptFirst {
            self.first.append(step)
        } else if self.last.count < Self.keptLast {
            self.last.append(step)
        } else {
            self.last[self.next] = step
            self.next = (self.next + 1) % Self.keptLast
            self.leftOut += 1
        }
    }

    /// The rows to draw, in order.
    var rows: [Row] {
        let between: [Row] = self.leftOut > 0 ? [.gap(self.leftOut)] : []
        return self.first.map { .step($0) } + between
            + (self.last[self.next...] + self.last[..<self.next]).map { .step($0) }
    }
}
