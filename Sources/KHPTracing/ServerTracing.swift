#if Tracing
    import Instrumentation
    public import KHPProtocol
    public import KHPServer
    import Synchronization
    public import Tracing

    /// Traces the handshakes of a server with swift-distributed-tracing.
    ///
    /// ```swift
    /// configuration.instruments.append(ServerTracing())
    /// ```
    ///
    /// A span of kind server stands for each request: `GET /rooms/{id}` for an opening one, `khp GET /rooms/{id}` for an
    /// extended one. The first is a child of the span that the request names (`traceparent`, or what else the tracer reads), the
    /// second one of the span that the extended request names, or else of the opening's. The application's code runs in the
    /// last of them, so that its own spans hang below: authentication, `context:`, `respond`, the handler. The life of an open
    /// socket is no span, as it may last for days.
    public struct ServerTracing: ServerInstrument {
        private let tracer: (any Tracer)?

        /// - Parameter tracer: the tracer; without one that of `InstrumentationSystem`, as it is now. A `NoOpTracer` switches
        ///   tracing off.
        public init(tracer: (any Tracer)? = nil) {
            let tracer = tracer ?? InstrumentationSystem.tracer
            self.tracer = tracer is NoOpTracer ? nil : tracer
        }

        /// Begins to trace a connection.
        public func accepted(_ connection: ConnectionInfo) -> (any ServerConnectionInstrument)? {
            self.tracer.map { TracedServerConnection($0, peer: connection.peer) }
        }
    }

    private final class TracedServerConnection: ServerConnectionInstrument {
        private struct State {
            var opening: (any Span)?
            var extended: (any Span)?
            /// The last span's, for the application's code.
            var context: ServiceContext?
            /// The opening's, for an extended request that names no span of its own.
            var openingContext: ServiceContext?
            var route: String?
        }

        private let tracer: any Tracer
        private let peer: String
        private let state = Mutex(State())

        init(_ tracer: any Tracer, peer: String) {
            self.tracer = tracer
            self.peer = peer
        }

        deinit {
            self.state.withLock { state in
                state.opening?.end()
                state.extended?.end()
            }
        }

        nonisolated(nonsending) func run<Value>(
            _ body: nonisolated(nonsending) () async throws -> Value
        ) async rethrows -> Value {
            guard let context = self.state.withLock({ $0.context }) else { return try await body() }
            return try await ServiceContext.$current.withValue(context) { try await body() }
        }

        func observe(_ event: ConnectionEvent) {
            self.state.withLock { self.observe(event, &$0) }
        }

        private func observe(_ event: ConnectionEvent, _ state: inout State) {
            switch event {
            case .openingRequest(let head):
                state.opening?.end()
                let span = self.start("", head, in: .topLevel)
                state.opening = span
                state.openingContext = span.context
                state.context = span.context
            case .routed(let endpoint):
                state.route = endpoint
                state.opening?.operationName = "GET \(endpoint)"
                state.opening?.attributes["http.route"] = endpoint
            case .openingResponse(_, let status):
                state.opening?.answer(status)
                state.opening?.end()
                state.opening = nil
            case .extendedRequest(let head):
                state.extended?.end()
                let span = self.start("khp ", head, in: state.openingContext ?? .topLevel)
                if let route = state.route {
                    span.operationName = "khp \(RequestLine(head).method) \(route)"
                    span.attributes["http.route"] = route
                }
                state.extended = span
                state.context = span.context
            case .extendedResponse(_, let status, let action, _):
                state.extended?.attributes["khp.outcome"] = action.rawValue
                state.extended?.answer(status)
                // Another response follows a 202.
                guard action != .wait else { return }
                state.extended?.end()
                state.extended = nil
            case .failed(let error):
                for span in [state.opening, state.extended].compactMap({ $0 }) {
                    span.fail(error)
                    span.end()
                }
                state.opening = nil
                state.extended = nil
            default:
                break
            }
        }

        private func start(_ prefix: String, _ head: String, in parent: ServiceContext) -> any Span {
            let line = RequestLine(head)
            var context = parent
            self.tracer.extract(head, into: &context, using: HeadExtractor())
            let span = self.tracer.startSpan("\(prefix)\(line.method)", context: context, ofKind: .server)
            span.updateAttributes {
                $0["http.request.method"] = String(line.method)
                $0["url.path"] = String(line.path)
                $0["network.peer.address"] = self.peer
            }
            return span
        }
    }

    extension Span {
        /// Notes the status of a response.
        func answer(_ status: Int) {
            self.attributes["http.response.status_code"] = status
            if status >= 500 { self.setStatus(SpanStatus(code: .error)) }
        }

        /// Notes an error by its code; its sentence may name what a peer sent. To be given up is no failure of one's own.
        func fail(_ error: WebSocketError) {
            self.attributes["error.type"] = "\(error.code)"
            if error.code != .cancelled { self.setStatus(SpanStatus(code: .error)) }
        }
    }
#endif
