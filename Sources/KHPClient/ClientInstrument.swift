// Metrics, traces and the like take part in a client's connects without being the application.

public import HTTPTypes
public import KHPProtocol

/// Measures or traces the connects of a client; see ``WebSocketClient/Configuration/instruments``.
public protocol ClientInstrument: Sendable {
    /// `true` to observe frames too; `false` by default. An observed message costs some hundred instructions more.
    var observesFrames: Bool { get }

    /// A connect begins, in the caller's task: its task-local values are there.
    /// - Returns: the instrument of this connect, or `nil` to leave it alone.
    func connecting(to url: WebSocketURL) -> (any ConnectInstrument)?
}

extension ClientInstrument {
    /// No frames.
    public var observesFrames: Bool { false }
}

/// The part of an instrument that belongs to one connect, over all its hops, and to the socket that comes of it.
public protocol ConnectInstrument: Sendable {
    /// A step of the connect or of the socket, in the order of the steps of one connection: must be quick and must not
    /// block. The last one is `failed` for a connect that opens no socket, and otherwise `closed`, but for `reconnecting`.
    func observe(_ event: ConnectionEvent, _ connection: ConnectionInfo)

    /// Headers to add to a request of a handshake, such as `traceparent`. They are fields of the caller's as
    /// ``WebSocketClient/Configuration/headers`` are, and may hold what these may; but each request has those that are
    /// returned for it.
    func headers(for request: InstrumentedRequest) -> HTTPFields

    /// A step by which a hop gets its connection begins: a name is looked up, an address is connected to, TLS speaks. Called
    /// after ``headers(for:)`` of the hop's opening request, on any thread: must be quick and must not block.
    /// - Returns: called once with the step's end, on any thread, and with the error of one that fails; `nil` to be told of no
    ///   end. An address that another one was faster than, and a step of a connect that was cancelled, end with
    ///   ``KHPProtocol/WebSocketError/Code/cancelled``. Steps of a connect may end after its own end.
    func begins(_ step: TransportStep) -> (@Sendable (_ failure: WebSocketError?) -> Void)?
}

extension ConnectInstrument {
    /// Adds nothing.
    public func headers(for request: InstrumentedRequest) -> HTTPFields { HTTPFields() }

    /// Looks at no steps.
    public func begins(_ step: TransportStep) -> (@Sendable (_ failure: WebSocketError?) -> Void)? { nil }
}

/// A request that is about to be made, as an instrument sees it.
public struct InstrumentedRequest: Sendable {
    /// The handshake that it belongs to: opening or extended.
    public let layer: HandshakeLayer
    /// The URL of this hop.
    public let url: WebSocketURL
    /// Counts the hops from 1, over redirects and reconnects.
    public let attempt: Int
    /// `false` once a redirect has left the origin of the URL that was given: the servers from there on are not those that
    /// the caller chose.
    public let isAtOrigin: Bool

    /// Creates the description of a request, as a test of an instrument does.
    public init(layer: HandshakeLayer, url: WebSocketURL, attempt: Int, isAtOrigin: Bool) {
        self.layer = layer
        self.url = url
        self.attempt = attempt
        self.isAtOrigin = isAtOrigin
    }
}

/// The observer of a connect: the caller's own, and instruments.
struct ConnectObserver: Sendable {
    typealias Observer = @Sendable (ConnectionEvent, ConnectionInfo) -> Void

    private let observer: Observer?
    let instruments: [any ConnectInstrument]
    /// The instruments that are told of frames.
    private let observingFrames: [any ConnectInstrument]

    init(_ observer: Observer?, _ instruments: [any ClientInstrument], _ url: WebSocketURL) {
        self.observer = observer
        if instruments.isEmpty {
            self.instruments = []
            self.observingFrames = []
        } else {
            let made = instruments.map { ($0, $0.connecting(to: url)) }
            self.instruments = made.compactMap(\.1)
            self.observingFrames = made.compactMap { $0.observesFrames ? $1 : nil }
        }
    }

    /// The events that a connection has to tell of.
    var observation: Observation {
        if self.observer != nil || !self.observingFrames.isEmpty { return .everything }
        return self.instruments.isEmpty ? .nothing : .steps
    }

    func observe(_ event: ConnectionEvent, _ connection: ConnectionInfo) {
        self.observer?(event, connection)
        guard !self.instruments.isEmpty else { return }
        for instrument in event.isFrame ? self.observingFrames : self.instruments {
            instrument.observe(event, connection)
        }
    }

    /// Adds the instruments' headers to the requests of a hop.
    func prepare(_ plan: inout ClientPlan, attempt: Int, isAtOrigin: Bool) {
        guard !self.instruments.isEmpty else { return }
        func request(_ layer: HandshakeLayer) -> InstrumentedRequest {
            InstrumentedRequest(layer: layer, url: plan.url, attempt: attempt, isAtOrigin: isAtOrigin)
        }
        for instrument in self.instruments {
            plan.headers.append(contentsOf: instrument.headers(for: request(.opening)))
            plan.extended.headers.append(contentsOf: instrument.headers(for: request(.extended)))
        }
    }
}
