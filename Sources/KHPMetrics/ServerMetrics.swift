#if Metrics
    public import CoreMetrics
    public import KHPProtocol
    public import KHPServer
    import Synchronization

    /// Measures the connections of a server with swift-metrics.
    ///
    /// ```swift
    /// configuration.instruments.append(ServerMetrics())
    /// ```
    ///
    /// | label | kind | dimensions |
    /// |---|---|---|
    /// | `websocket.server.connections` | counter: connections accepted | |
    /// | `websocket.server.rejected_connections` | counter: connections for which there was no place | `error.type`: the ``ConnectionRejection`` |
    /// | `websocket.server.pending_handshakes` | meter: connections in a handshake | |
    /// | `http.server.request.duration` | timer: each opening request until its response | `http.request.method`, `url.scheme`, `http.route`, `http.response.status_code` |
    /// | `khp.server.handshake.duration` | timer: each extended request until its response | `http.route`, `http.response.status_code`, `khp.outcome`, `khp.round` |
    /// | `websocket.server.active_connections` | meter: open sockets | `http.route`, `websocket.subprotocol` |
    /// | `websocket.server.connection.duration` | timer: the life of an open socket | `http.route`, `websocket.close.code`, `error.type` |
    /// | `websocket.server.failures` | counter: connections that broke off before they were open; refusals count by their status | `http.route`, `error.type` |
    /// | `websocket.server.messages`, `websocket.server.io` | counters: messages and their payload's bytes, with ``init(factory:countsMessages:)`` | `network.io.direction` |
    ///
    /// A route is the path of an endpoint as the application wrote it, such as `/rooms/{id}`, and `none` for a request that no
    /// endpoint takes; a subprotocol is one of those agreed on; a method that HTTP does not know is `_OTHER`; the scheme is
    /// `https` where the connection itself is TLS; rounds of a handshake are `1` to `3` and `more`; `error.type` is `none` for a
    /// socket that ended in good order. So nothing that a client sends makes a dimension grow.
    public struct ServerMetrics: ServerInstrument {
        private let instruments: Instruments
        /// True where messages are counted.
        public let observesFrames: Bool

        /// - Parameters:
        ///   - factory: the backend; without one that of `MetricsSystem`, as it is now.
        ///   - countsMessages: `true` to count messages, which costs each of them some hundred instructions.
        public init(factory: (any MetricsFactory)? = nil, countsMessages: Bool = false) {
            self.instruments = Instruments(factory ?? MetricsSystem.factory)
            self.observesFrames = countsMessages
        }

        /// Begins to measure a connection.
        public func accepted(_ connection: ConnectionInfo) -> (any ServerConnectionInstrument)? {
            MeasuredServerConnection(self.instruments, usesTLS: connection.usesTLS)
        }

        /// Counts a connection that gets no place.
        public func rejected(_ reason: ConnectionRejection, _ connection: ConnectionInfo) {
            self.instruments.counter("websocket.server.rejected_connections", [("error.type", reason.description)])
                .increment()
        }
    }

    private final class MeasuredServerConnection: ServerConnectionInstrument {
        private struct State {
            var isPending = false
            var method = "GET"
            var scheme = "http"
            var route = "none"
            var subprotocol = "none"
            var openingBegan: ContinuousClock.Instant?
            var extendedBegan: ContinuousClock.Instant?
            var rounds = 0
            var opened: ContinuousClock.Instant?
        }

        private let instruments: Instruments
        private let state: Mutex<State>

        init(_ instruments: Instruments, usesTLS: Bool) {
            self.instruments = instruments
            var state = State()
            if usesTLS { state.scheme = "https" }
            self.state = Mutex(state)
        }

        /// A connection that never says anything tells of no end.
        deinit {
            if self.state.withLock({ $0.isPending }) { self.pending.decrement() }
        }

        private var pending: Meter { self.instruments.meter("websocket.server.pending_handshakes", []) }

        func observe(_ event: ConnectionEvent) {
            if case .frameReceived(let frame) = event { return self.count(frame, "receive") }
            if case .frameSent(let frame) = event { return self.count(frame, "transmit") }
            self.state.withLock { self.observe(event, &$0) }
        }

        func servesHTTP() { self.state.withLock { self.leavePending(&$0) } }

        private func observe(_ event: ConnectionEvent, _ state: inout State) {
            switch event {
            case .connected(_, let tls):
                if tls != nil { state.scheme = "https" }
                self.instruments.counter("websocket.server.connections", []).increment()
                state.isPending = true
                self.pending.increment()
            case .openingRequest(let head):
                state.openingBegan = .now
                state.method = Dimension.method(head)
            case .routed(let endpoint):
                state.route = endpoint
            case .openingResponse(_, let status):
                let dimensions = [
                    ("http.request.method", state.method), ("url.scheme", state.scheme),
                    ("http.route", state.route), ("http.response.status_code", Dimension.status(status)),
                ]
                self.instruments.timer("http.server.request.duration", dimensions).record(since: state.openingBegan)
                state.openingBegan = nil
            case .extendedRequest:
                state.extendedBegan = .now
                state.rounds += 1
            case .extendedResponse(_, let status, let action, _):
                let dimensions = [
                    ("http.route", state.route), ("http.response.status_code", Dimension.status(status)),
                    ("khp.outcome", action.rawValue), ("khp.round", Dimension.round(state.rounds)),
                ]
                self.instruments.timer("khp.server.handshake.duration", dimensions).record(since: state.extendedBegan)
                // Another response follows a 202; it is measured from the request too.
                if action != .wait { state.extendedBegan = nil }
            case .open(let summary):
                self.leavePending(&state)
                state.opened = .now
                state.subprotocol = summary.subprotocol ?? "none"
                self.active(state).increment()
            case .closed(let info):
                guard state.opened != nil else { return }
                self.active(state).decrement()
                let dimensions = [
                    ("http.route", state.route), ("websocket.close.code", Dimension.closeCode(info.code)),
                    ("error.type", Dimension.error(info)),
                ]
                self.instruments.timer("websocket.server.connection.duration", dimensions).record(since: state.opened)
                state.opened = nil
            case .failed(let error):
                self.leavePending(&state)
                // An open socket tells of its end by itself.
                guard state.opened == nil else { return }
                let dimensions = [("http.route", state.route), ("error.type", "\(error.code)")]
                self.instruments.counter("websocket.server.failures", dimensions).increment()
            default:
                break
            }
        }

        private func leavePending(_ state: inout State) {
            guard state.isPending else { return }
            state.isPending = false
            self.pending.decrement()
        }

        private func active(_ state: State) -> Meter {
            self.instruments.meter(
                "websocket.server.active_connections",
                [("http.route", state.route), ("websocket.subprotocol", state.subprotocol)]
            )
        }

        private func count(_ frame: FrameInfo, _ direction: String) {
            self.instruments.count(frame, direction, "server")
        }
    }
#endif
