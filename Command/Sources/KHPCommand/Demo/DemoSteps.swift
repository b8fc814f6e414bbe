// The demo's script: each step that it must come to, in order, as a transcript has them.

import KHPClient
import Synchronization

/// Prints the demo's steps as they happen, and compares each with the script.
final class DemoSteps: Sendable {
    /// A step of the script.
    struct Expected: Sendable {
        var layer: Ladder.Layer
        var direction: Ladder.Direction
        /// How the text begins; ports and times follow.
        var text: String

        init(_ layer: Ladder.Layer, _ direction: Ladder.Direction, _ text: String) {
            self.layer = layer
            self.direction = direction
            self.text = text
        }

        var description: String { "\(self.layer.rawValue) \(self.direction.rawValue) \(self.text)" }
    }

    /// The client's journey, then each dialect in short.
    static let script: [Expected] =
        [
            Expected(.tcp, .sent, "connecting to ws://127.0.0.1:"),
            Expected(.tcp, .received, "connected to 127.0.0.1:"),
            Expected(.open, .sent, "GET /old HTTP/1.1"), Expected(.open, .received, "HTTP/1.1 101 "),
            Expected(.khp, .sent, "GET /old HTTP/1.1"), Expected(.khp, .received, "HTTP/1.1 302 Found · redirect"),
            Expected(.khp, .none, "redirect 302 to wss://localhost:"),
            Expected(.tcp, .sent, "connecting to wss://localhost:"), Expected(.tcp, .received, "connected to "),
            Expected(.tls, .none, "TLSv1.3"), Expected(.open, .sent, "GET /echo HTTP/1.1"),
            Expected(.open, .received, "HTTP/1.1 101 "), Expected(.khp, .sent, "GET /echo HTTP/1.1"),
            Expected(.khp, .received, "HTTP/1.1 401 Unauthorized · challenge"),
            Expected(.khp, .none, "challenge Digest \"\(DemoServers.realm)\" (round 1)"),
            Expected(.khp, .sent, "GET /echo HTTP/1.1"), Expected(.khp, .received, "HTTP/1.1 101 "),
            Expected(.app, .none, "open: subprotocol \(DemoServers.subprotocol), extension \(DemoServers.application)"),
            Expected(.app, .received, "text 5 bytes, the same"),
            Expected(.app, .received, "binary 256 bytes, the same"),
            Expected(.app, .received, "binary 1048576 bytes, the same"), Expected(.app, .received, "pong after "),
            Expected(.app, .sent, "closed with 1000 by us, cleanly"),
        ]
        + Dialect.all.flatMap { dialect in
            [
                Expected(.khp, .received, "\(dialect): completed with 101"),
                Expected(.app, .received, "\(dialect): text 13 bytes, the same"),
                Expected(.app, .sent, "\(dialect): closed "),
            ]
        }

    private struct State {
        var ladder: Ladder
        var count = 0
        var difference: String?
    }

    private let script: [Expected]
    private let state: Mutex<State>
    private let trace: Bool
    private let console: Console

    init(trace: Bool, style: Style, console: Console, script: [Expected] = DemoSteps.script) {
        self.script = script
        self.state = Mutex(State(ladder: Ladder(style: style)))
        self.trace = trace
        self.console = console
    }

    /// Ends the demo.
    /// - Returns: the number of steps, all of which passed.
    /// - Throws: ``DemoFailure`` with the step that was expected where there was another one, or none.
    func finish() throws -> Int {
        try self.state.withLock { state in
            if let difference = state.difference { throw DemoFailure(difference) }
            guard state.count == self.script.count else {
                throw DemoFailure("it ended where `\(self.script[state.count].description)` was expected")
            }
            return state.count
        }
    }

    /// Takes an event of the client's observer.
    func observe(_ event: ConnectionEvent) {
        switch event {
        case .pong, .closed, .failed, .frameSent, .frameReceived: return
        default: break
        }
        for step in LadderStep.steps(of: event, trace: false) {
            self.print(step.layer, step.direction, step.text, detail: step.detail, isStep: true)
        }
    }

    /// A step that the demo has checked itself.
    func passed(_ layer: Ladder.Layer, _ direction: Ladder.Direction, _ text: String) {
        self.print(layer, direction, text, detail: nil, isStep: true)
    }

    /// A line that is half of a step.
    func note(_ layer: Ladder.Layer, _ direction: Ladder.Direction, _ text: String) {
        self.print(layer, direction, text, detail: nil, isStep: false)
    }

    private func print(
        _ layer: Ladder.Layer,
        _ direction: Ladder.Direction,
        _ text: String,
        detail: String?,
        isStep: Bool
    ) {
        let lines = self.state.withLock { state in
            if isStep { self.compare(layer, direction, text, &state) }
            let line = state.ladder.step(layer, direction, text, at: self.console.elapsed.seconds)
            guard self.trace, let detail else { return [line] }
            return [line] + state.ladder.detail(detail)
        }
        for line in lines { self.console.report(.result(line)) }
    }

    private func compare(
        _ layer: Ladder.Layer,
        _ direction: Ladder.Direction,
        _ text: String,
        _ state: inout State
    ) {
        guard state.difference == nil else { return }
        let expected = state.count < self.script.count ? self.script[state.count] : nil
        guard let expected, expected.layer == layer, expected.direction == direction, text.hasPrefix(expected.text)
        else {
            let came = Expected(layer, direction, text).description
            state.difference = "`\(came)` came where `\(expected?.description ?? "the end")` was expected"
            return
        }
        state.count += 1
    }
}
