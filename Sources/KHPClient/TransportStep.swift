// The steps by which a hop gets its connection, as instruments see them.

import KHPProtocol
import KHPWebSocket

/// A step by which a connect gets a connection, before any request of a handshake: see
/// ``ConnectInstrument/begins(_:)``.
public struct TransportStep: Sendable, Hashable {
    /// The kinds of steps.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// A name is looked up. An address, which needs none, makes no step.
        case dns
        /// TCP, or a Unix domain socket, to one address. Where a host has several, they are raced: steps overlap, and those
        /// that lose end as cancelled.
        case tcp
        /// The handshake of TLS to the server, behind a proxy's tunnel where there is one.
        case tls
    }

    /// The step's kind.
    public let kind: Kind
    /// The host whose name is looked up or whose certificate is checked; for TCP the address, as `host:port`. A proxy's,
    /// where the connection is to that.
    public let name: String

    /// Creates the description of a step, as a test of an instrument does.
    public init(_ kind: Kind, _ name: String) {
        self.kind = kind
        self.name = name
    }
}

extension ConnectObserver {
    typealias End = @Sendable (WebSocketError?) -> Void

    /// Begins a step.
    /// - Returns: to be called with its end; `nil` without instruments.
    func begin(_ kind: TransportStep.Kind, _ name: @autoclosure () -> String) -> End? {
        guard !self.instruments.isEmpty else { return nil }
        let step = TransportStep(kind, name())
        let ends: [End] = self.instruments.compactMap { $0.begins(step) }
        if ends.isEmpty { return nil }
        return { failure in for end in ends { end(failure) } }
    }

    /// Takes a step.
    func around<Value>(
        _ kind: TransportStep.Kind,
        _ name: @autoclosure () -> String,
        _ body: () async throws -> Value
    ) async throws -> Value {
        guard let end = self.begin(kind, name()) else { return try await body() }
        do {
            let value = try await body()
            end(nil)
            return value
        } catch {
            end(Self.failure(of: error))
            throw error
        }
    }

    private static func failure(of error: any Error) -> WebSocketError {
        if let error = error as? WebSocketError { return error }
        if Task.isCancelled || error is CancellationError {
            return WebSocketError(.cancelled, "The connect was cancelled, or another address was faster.")
        }
        return TransportFailure.describe(error)
    }
}
