// Instruments: metrics, traces and the like, which observe the connections of a server beside the application.

public import KHPProtocol
public import NIOCore

/// Measures or traces the connections of a server; see ``WebSocketServer/Configuration/instruments``.
public protocol ServerInstrument: Sendable {
    /// `true` to observe frames too; `false` by default. An observed message costs some hundred instructions more.
    var observesFrames: Bool { get }

    /// A connection has been accepted. Called on its event loop: must be quick and must not block.
    /// - Returns: the instrument of this connection, or `nil` to leave it alone.
    func accepted(_ connection: ConnectionInfo) -> (any ServerConnectionInstrument)?

    /// A connection, or a stream of HTTP/2, gets no place: it is answered with 503 at the most, and closed. Called on its
    /// event loop: must be quick and must not block, as there may be very many.
    /// - Parameters:
    ///   - reason: the bound that it has met.
    ///   - connection: has the peer's address, which is the client's where a trusted proxy has named that, and 0 for its
    ///     number.
    func rejected(_ reason: ConnectionRejection, _ connection: ConnectionInfo)
}

extension ServerInstrument {
    /// No frames.
    public var observesFrames: Bool { false }

    /// Does nothing.
    public func rejected(_ reason: ConnectionRejection, _ connection: ConnectionInfo) {}
}

/// The reason for which a server gives a connection no place. There may be more of them in later versions.
public struct ConnectionRejection: Sendable, Hashable, CustomStringConvertible {
    /// As metrics show it, such as `too-many-connections`.
    public let description: String

    private init(_ description: String) { self.description = description }

    /// There are as many as ``WebSocketServer/Limits/connections`` allows.
    public static let connections = Self("too-many-connections")
    /// There are as many handshakes under way as ``WebSocketServer/Limits/pendingHandshakes`` allows.
    public static let pendingHandshakes = Self("too-many-handshakes")
    /// There are as many handshakes of the same address under way as
    /// ``WebSocketServer/Limits/pendingHandshakesPerAddress`` allows.
    public static let address = Self("too-many-of-address")
    /// There are as many as ``WebSocketListener/Configuration/connections`` allows this listener.
    public static let listener = Self("too-many-of-listener")
    /// The server is about to end.
    public static let draining = Self("draining")
    /// It comes from none of the proxies that are trusted to name their client (``WebSocketListener``).
    public static let untrustedProxy = Self("untrusted-proxy")
    /// It does not begin with the header of such a proxy, or with a wrong one.
    public static let proxyHeader = Self("proxy-header")
}

/// The part of an instrument that belongs to one connection.
public protocol ServerConnectionInstrument: Sendable {
    /// A step of the connection, in the order of the steps, on its event loop: must be quick and must not block.
    func observe(_ event: ConnectionEvent)

    /// A trusted proxy has named the client: in a header before everything else, or in a field of the request that comes next.
    /// Called on the connection's event loop, ahead of the events of a request that is refused, too. Not called where
    /// the client is the peer.
    /// - Parameter client: the address that limits count by, as ``HandshakeRequest/client`` has it.
    func named(_ client: SocketAddress)

    /// The request is ordinary HTTP, which the application serves from here on: no handshake is under way, however long that
    /// takes. Called on the connection's event loop, after the event of the request.
    func servesHTTP()

    /// Runs code of the application on behalf of the connection: authentication, `context:`, `respond`, the handler. For an
    /// instrument that sets task-local values around it; it has to call `body` once and hand on what that returns or
    /// throws. A ``KHPWebSocket/MessageHandler`` runs on the event loop, in no task, and so without this.
    nonisolated(nonsending) func run<Value>(
        _ body: nonisolated(nonsending) () async throws -> Value
    ) async rethrows -> Value
}

extension ServerConnectionInstrument {
    /// Does nothing.
    public func named(_ client: SocketAddress) {}

    /// Does nothing.
    public func servesHTTP() {}

    /// Calls `body` and nothing else.
    nonisolated(nonsending) public func run<Value>(
        _ body: nonisolated(nonsending) () async throws -> Value
    ) async rethrows -> Value {
        try await body()
    }
}

/// The instruments of one connection; most have none.
struct ServerInstruments: Sendable {
    private let all: [any ServerConnectionInstrument]
    /// The instruments that are told of frames.
    private let observingFrames: [any ServerConnectionInstrument]

    init() {
        self.all = []
        self.observingFrames = []
    }

    init(_ instruments: [any ServerInstrument], _ connection: @autoclosure () -> ConnectionInfo) {
        if instruments.isEmpty {
            self.all = []
            self.observingFrames = []
        } else {
            let connection = connection()
            let made = instruments.map { ($0, $0.accepted(connection)) }
            self.all = made.compactMap(\.1)
            self.observingFrames = made.compactMap { $0.observesFrames ? $1 : nil }
        }
    }

    var isEmpty: Bool { self.all.isEmpty }

    func observe(_ event: ConnectionEvent) {
        guard !self.all.isEmpty else { return }
        for instrument in event.isFrame ? self.observingFrames : self.all { instrument.observe(event) }
    }

    func named(_ client: SocketAddress) {
        for instrument in self.all { instrument.named(client) }
    }

    func servesHTTP() {
        for instrument in self.all { instrument.servesHTTP() }
    }

    /// Runs code of the application inside all of them, the first outermost.
    nonisolated(nonsending) func run<Value>(
        _ body: nonisolated(nonsending) () async throws -> Value
    ) async rethrows -> Value {
        try await self.run(from: 0, body)
    }

    nonisolated(nonsending) private func run<Value>(
        from index: Int,
        _ body: nonisolated(nonsending) () async throws -> Value
    ) async rethrows -> Value {
        guard index < self.all.count else { return try await body() }
        return try await self.all[index].run { try await self.run(from: index + 1, body) }
    }
}
