#if Metrics
    public import CoreMetrics
    public import KHPClient
    public import KHPProtocol
    import Synchronization

    /// Measures the connects of a client with swift-metrics.
    ///
    /// ```swift
    /// configuration.instruments.append(ClientMetrics())
    /// ```
    ///
    /// | label | kind | dimensions |
    /// |---|---|---|
    /// | `websocket.client.connect.duration` | timer: a whole connect, redirects and challenges with it | `server.address`, `error.type` |
    /// | `websocket.client.pending_handshakes` | meter: connects under way | `server.address` |
    /// | `http.client.request.duration` | timer: each opening request until its response | `server.address`, `http.response.status_code` |
    /// | `khp.client.handshake.duration` | timer: each extended request until its response | `server.address`, `http.response.status_code`, `khp.outcome`, `khp.round` |
    /// | `websocket.client.active_connections` | meter: open sockets | `server.address`, `websocket.subprotocol` |
    /// | `websocket.client.connection.duration` | timer: the life of an open socket | `server.address`, `websocket.close.code`, `error.type` |
    /// | `khp.client.redirects`, `khp.client.challenges`, `websocket.client.reconnects` | counters | `server.address` |
    /// | `websocket.client.messages`, `websocket.client.io` | counters: messages and their payload's bytes, with ``init(factory:countsMessages:)`` | `network.io.direction` |
    ///
    /// The address is the host of the URL that the application gave; a redirect does not change it, so that no server makes a
    /// dimension grow. `error.type` is `none` for a connect that opened a socket, and for a socket that ended in good order;
    /// rounds of a handshake are `1` to `3` and `more`.
    public struct ClientMetrics: ClientInstrument {
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

        /// Begins to measure a connect.
        public func connecting(to url: WebSocketURL) -> (any ConnectInstrument)? {
            MeasuredConnect(self.instruments, host: url.host)
        }
    }

    private final class MeasuredConnect: ConnectInstrument {
        private struct State {
            var isConnecting = true
            var subprotocol = "none"
            var openingBegan: ContinuousClock.Instant?
            var extendedBegan: ContinuousClock.Instant?
            var rounds = 0
            var opened: ContinuousClock.Instant?
        }

        private let instruments: Instruments
        private let host: (String, String)
        private let began = ContinuousClock.now
        private let state = Mutex(State())

        init(_ instruments: Instruments, host: String) {
            self.instruments = instruments
            self.host = ("server.address", host)
            self.pending.increment()
        }

        /// A connect that was dropped tells of no end.
        deinit {
            if self.state.withLock({ $0.isConnecting }) { self.pending.decrement() }
        }

        private var pending: Meter { self.instruments.meter("websocket.client.pending_handshakes", [self.host]) }

        func observe(_ event: ConnectionEvent, _ connection: ConnectionInfo) {
            if case .frameReceived(let frame) = event { return self.instruments.count(frame, "receive", "client") }
            if case .frameSent(let frame) = event { return self.instruments.count(frame, "transmit", "client") }
            self.state.withLock { self.observe(event, &$0) }
        }

        private func observe(_ event: ConnectionEvent, _ state: inout State) {
            switch event {
            case .openingRequest:
                state.openingBegan = .now
                state.rounds = 0
            case .openingResponse(_, let status):
                let dimensions = [self.host, ("http.response.status_code", Dimension.status(status))]
                self.instruments.timer("http.client.request.duration", dimensions).record(since: state.openingBegan)
                state.openingBegan = nil
            case .extendedRequest:
                state.extendedBegan = .now
                state.rounds += 1
            case .extendedResponse(_, let status, let action, _):
                let dimensions = [
                    self.host, ("http.response.status_code", Dimension.status(status)),
                    ("khp.outcome", action.rawValue), ("khp.round", Dimension.round(state.rounds)),
                ]
                self.instruments.timer("khp.client.handshake.duration", dimensions).record(since: state.extendedBegan)
                if action != .wait { state.extendedBegan = nil }
            case .challenge:
                self.instruments.counter("khp.client.challenges", [self.host]).increment()
            case .redirect:
                self.instruments.counter("khp.client.redirects", [self.host]).increment()
            case .reconnecting:
                self.instruments.counter("websocket.client.reconnects", [self.host]).increment()
            case .open(let summary):
                self.end("none", &state)
                state.opened = .now
                state.subprotocol = summary.subprotocol ?? "none"
                self.active(state).increment()
            case .failed(let error):
                self.end("\(error.code)", &state)
            case .closed(let info):
                guard state.opened != nil else { return }
                self.active(state).decrement()
                let dimensions = [
                    self.host, ("websocket.close.code", Dimension.closeCode(info.code)),
                    ("error.type", Dimension.error(info)),
                ]
                self.instruments.timer("websocket.client.connection.duration", dimensions).record(since: state.opened)
                state.opened = nil
            default:
                break
            }
        }

        /// The connect has ended, one way or the other.
        private func end(_ error: String, _ state: inout State) {
            guard state.isConnecting else { return }
            state.isConnecting = false
            self.pending.decrement()
            self.instruments.timer("websocket.client.connect.duration", [self.host, ("error.type", error)])
                .record(since: self.began)
        }

        private func active(_ state: State) -> Meter {
            self.instruments.meter(
                "websocket.client.active_connections",
                [self.host, ("websocket.subprotocol", state.subprotocol)]
            )
        }
    }
#endif
