// x-kaazing-idle-timeout: the server promises to be heard within a time, so that the client can tell a dead connection.

import NIOCore

/// Kaazing's promise to be heard within a time.
///
/// The server answers `x-kaazing-idle-timeout; timeout=<milliseconds>` and pings whenever it has sent nothing for half
/// of that; a client that hears nothing for the whole of it fails the connection with 1008.
public struct KaazingIdleTimeout: WebSocketExtension {
    /// `x-kaazing-idle-timeout`.
    public let name = "x-kaazing-idle-timeout"

    /// Server: the promised timeout, in whole milliseconds. `nil` declines offers.
    public var timeout: Duration?
    /// The handshakes in which it may be negotiated.
    public var layers: Set<HandshakeLayer> = [.opening, .extended]

    /// The extension; a client needs no timeout.
    public init(timeout: Duration? = nil) {
        self.timeout = timeout
    }

    /// About 24 days: the most that clients of this extension hold in an `int` of milliseconds.
    private static let longest: Int64 = 0x7FFF_FFFF

    private var milliseconds: Int64? {
        guard let timeout else { return nil }
        let (seconds, attoseconds) = timeout.components
        guard seconds >= 0, seconds < Self.longest / 1000 else { return seconds > 0 ? Self.longest : nil }
        let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        return milliseconds > 0 ? milliseconds : nil
    }

    private static func milliseconds(_ answer: ExtensionParameters) -> Int64? {
        guard answer.all.count == 1, let value = answer["timeout"], value.utf8.allSatisfy({ 0x30...0x39 ~= $0 }),
            let milliseconds = Int64(value), (1...Self.longest).contains(milliseconds)
        else { return nil }
        return milliseconds
    }

    /// Answers with the timeout, where there is one.
    public func accept(_ offer: ExtensionParameters) -> ExtensionParameters? {
        self.milliseconds.map { ["timeout": String($0)] }
    }

    /// Takes a timeout from 1 ms.
    public func judge(_ answer: ExtensionParameters) -> Bool { Self.milliseconds(answer) != nil }

    /// Watches the time.
    public func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? {
        Self.milliseconds(parameters).map { Transform(timeout: .milliseconds($0)) }
    }

    private struct Transform: MessageTransform {
        let timeout: TimeAmount

        var handlesMessages: Bool { false }

        mutating func opened(_ scope: inout ExtensionScope) {
            scope.deadline = scope.role == .client ? scope.lastReceived + self.timeout : scope.lastSent + self.half
        }

        mutating func deadlineReached(_ scope: inout ExtensionScope) throws {
            switch scope.role {
            case .client:
                scope.deadline = scope.lastReceived + self.timeout
                guard scope.lastReceived + self.timeout <= scope.now else { return }
                throw WebSocketError(
                    .timeout,
                    "The server was not heard for \(self.timeout.nanoseconds / 1_000_000) ms, which it promised to be.",
                    closeCode: .policyViolation,
                    phase: .open
                )
            case .server:
                if scope.lastSent + self.half <= scope.now {
                    scope.ping()
                    scope.deadline = scope.now + self.half
                } else {
                    scope.deadline = scope.lastSent + self.half
                }
            }
        }

        private var half: TimeAmount { .nanoseconds(max(self.timeout.nanoseconds / 2, 1_000_000)) }
    }
}
