#if Tracing
    import HTTPTypes
    import Instrumentation
    public import KHPClient
    public import KHPProtocol
    import Synchronization
    public import Tracing

    /// Traces the connects of a client with swift-distributed-tracing.
    ///
    /// ```swift
    /// configuration.instruments.append(ClientTracing())
    /// ```
    ///
    /// | span | kind | stands for |
    /// |---|---|---|
    /// | `WEBSOCKET CONNECT host` | client | the whole connect, a child of the caller's span; it ends when the socket opens |
    /// | `hop` | client | one connection of it; both handshakes' requests name it in `traceparent`, or what else the tracer writes |
    /// | `dns`, `tcp`, `tls` | internal | a step by which the hop gets its connection: the name, TCP to each address that is tried, the handshake of TLS |
    /// | `GET`, `khp GET` | internal | a request of a handshake, until its response; a challenge begins another |
    ///
    /// A redirect is an event of its hop. Requests to another origin than that of the URL which was given carry no trace
    /// context, unless that is asked for. The life of an open socket is no span, as it may last for days.
    public struct ClientTracing: ClientInstrument {
        private let tracer: (any Tracer)?
        private let injectsEverywhere: Bool

        /// - Parameters:
        ///   - tracer: the tracer; without one that of `InstrumentationSystem`, as it is now. A `NoOpTracer` switches tracing
        ///     off.
        ///   - injectsEverywhere: `true` to hand the trace context on to servers of other origins too, to which redirects lead.
        public init(tracer: (any Tracer)? = nil, injectsEverywhere: Bool = false) {
            let tracer = tracer ?? InstrumentationSystem.tracer
            self.tracer = tracer is NoOpTracer ? nil : tracer
            self.injectsEverywhere = injectsEverywhere
        }

        /// Begins to trace a connect, below the span of the caller's task.
        public func connecting(to url: WebSocketURL) -> (any ConnectInstrument)? {
            self.tracer.map { TracedConnect($0, url, injectsEverywhere: self.injectsEverywhere) }
        }
    }

    private final class TracedConnect: ConnectInstrument {
        private struct State {
            /// `nil` once the connect has ended.
            var connect: (any Span)?
            var hop: (any Span)?
            var request: (any Span)?
        }

        private let tracer: any Tracer
        private let injectsEverywhere: Bool
        private let state: Mutex<State>

        init(_ tracer: any Tracer, _ url: WebSocketURL, injectsEverywhere: Bool) {
            self.tracer = tracer
            self.injectsEverywhere = injectsEverywhere
            let span = tracer.startSpan(
                "WEBSOCKET CONNECT \(url.host)",
                context: ServiceContext.current ?? .topLevel,
                ofKind: .client
            )
            span.updateAttributes {
                $0["server.address"] = url.host
                $0["server.port"] = url.port
                $0["url.full"] = url.redacted
            }
            self.state = Mutex(State(connect: span))
        }

        func headers(for request: InstrumentedRequest) -> HTTPFields {
            self.state.withLock { state in
                if request.layer == .opening { self.beginHop(request, &state) }
                var fields = HTTPFields()
                guard let hop = state.hop, request.isAtOrigin || self.injectsEverywhere else { return fields }
                self.tracer.inject(hop.context, into: &fields, using: FieldsInjector())
                return fields
            }
        }

        func observe(_ event: ConnectionEvent, _ connection: ConnectionInfo) {
            self.state.withLock { self.observe(event, &$0) }
        }

        func begins(_ step: TransportStep) -> (@Sendable (WebSocketError?) -> Void)? {
            guard let hop = self.state.withLock({ $0.hop }) else { return nil }
            let span = self.tracer.startSpan(step.kind.rawValue, context: hop.context, ofKind: .internal)
            span.attributes[step.kind == .tcp ? "network.peer.address" : "server.address"] = step.name
            return { failure in
                if let failure { span.fail(failure) }
                span.end()
            }
        }

        private func observe(_ event: ConnectionEvent, _ state: inout State) {
            switch event {
            case .connected(let peer, let tls):
                state.hop?.attributes["network.peer.address"] = peer
                if let tls { state.hop?.attributes["tls.protocol.version"] = tls.version }
            case .openingRequest(let head): self.begin("", head, &state)
            case .extendedRequest(let head): self.begin("khp ", head, &state)
            case .openingResponse(_, let status):
                state.request?.answer(status)
                state.request?.end()
                state.request = nil
            case .extendedResponse(_, let status, let action, _):
                state.request?.attributes["khp.outcome"] = action.rawValue
                state.request?.answer(status)
                // Another response follows a 202.
                guard action != .wait else { return }
                state.request?.end()
                state.request = nil
            case .challenge(let scheme, _, let layer, let round):
                let attributes: SpanAttributes = [
                    "scheme": "\(scheme)", "layer": "\(layer)", "round": .int64(Int64(round)),
                ]
                state.hop?.addEvent(SpanEvent(name: "challenge", attributes: attributes))
            case .redirect(_, let target, let status, let layer):
                let attributes: SpanAttributes = [
                    "target": "\(target.redacted)", "layer": "\(layer)", "status": .int64(Int64(status)),
                ]
                state.hop?.addEvent(SpanEvent(name: "redirect", attributes: attributes))
            case .open(let summary):
                if let status = summary.status { state.connect?.attributes["http.response.status_code"] = status }
                if let subprotocol = summary.subprotocol {
                    state.connect?.attributes["websocket.subprotocol"] = subprotocol
                }
                self.end(nil, &state)
            case .failed(let error):
                self.end(error, &state)
            default:
                break
            }
        }

        private func beginHop(_ request: InstrumentedRequest, _ state: inout State) {
            state.request?.end()
            state.request = nil
            state.hop?.end()
            guard let connect = state.connect else { return }
            let hop = self.tracer.startSpan("hop", context: connect.context, ofKind: .client)
            hop.updateAttributes {
                $0["url.full"] = request.url.redacted
                $0["khp.attempt"] = request.attempt
            }
            state.hop = hop
        }

        private func begin(_ prefix: String, _ head: String, _ state: inout State) {
            state.request?.end()
            guard let hop = state.hop else { return }
            let method = String(RequestLine(head).method)
            let span = self.tracer.startSpan("\(prefix)\(method)", context: hop.context, ofKind: .internal)
            span.attributes["http.request.method"] = method
            state.request = span
        }

        /// The connect has ended, one way or the other.
        private func end(_ error: WebSocketError?, _ state: inout State) {
            for span in [state.request, state.hop, state.connect].compactMap({ $0 }) {
                if let error { span.fail(error) }
                span.end()
            }
            state = State()
        }
    }
#endif
