// Metrics, traces and the like take part in a server's connections without being the application.

public import KHPProtocol

/// Measures or traces the connections of a server; see ``WebSocketServer/Configuration/instruments``.
public protocol ServerInstrument: Sendable {
    /// `true` to be told of frames too. `false` unless said otherwise: each message costs some hundred instructions more
    /// where somebody is told of it.
    var observesFrames: Bool { get }

    /// A connection has been accepted. Called on its event loop: must be quick and must not block.
    /// - Returns: the instrument of this connection, or `nil` to leave it alone.
    func accepted(_ connection: ConnectionInfo) -> (any ServerConnectionInstrument)?
}

extension ServerInstrument {
    /// No frames.
    public var observesFrames: Bool { false }
}

/// The part of an instrument that belongs to one connection.
public protocol ServerConnectionInstrument: Sendable {
    /// A step of the connection, in the order of the steps, on its event loop: must be quick and must not block.
    func observe(_ event: ConnectionEvent)

    /// Runs code of the application on behalf of the connection: authentication, `context:`, `respond`, the handler. For an
    /// instrument that sets task-local values around it; it has to call `body` once and hand on what that returns or
    /// throws. A ``KHPWebSocket/MessageHandler`` runs on the event loop, in no task, and so without this.
    nonisolated(nonsending) func run<Value>(
        _ body: nonisolated(nonsending) () async throws -> Value
    ) async rethrows -> Value
}

extension ServerConnectionInstrument {
    /// Runs it as it is.
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
