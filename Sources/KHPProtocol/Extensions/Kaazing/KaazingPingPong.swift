// x-kaazing-ping-pong: pings and pongs as text messages, for applications whose WebSocket hides ping frames from them.

/// Kaazing's pings and pongs in text messages.
///
/// The server answers `x-kaazing-ping-pong; 01010102`: the four bytes that control messages begin with. A ping is then
/// the text `01 01 01 02 09 00`, its pong `01 01 01 02 0A 00`, and a text message of the application's that begins with
/// these four bytes is preceded by an escape message of just them. Applications see none of it. Ping frames are
/// answered with pong frames as ever.
///
/// The pings that ``KaazingIdleTimeout`` asks for go this way where both were negotiated. Messages are delivered and
/// sent whole while it is in force.
public struct KaazingPingPong: WebSocketExtension {
    /// `x-kaazing-ping-pong`.
    public let name = "x-kaazing-ping-pong"

    /// Server: the four bytes that control messages begin with, as one number; none of them above 0x7F.
    public var controlBytes: UInt32 = 0x0101_0102
    /// The handshakes in which it may be negotiated.
    public var layers: Set<HandshakeLayer> = [.opening, .extended]

    /// The extension with the bytes that Kaazing's gateway chooses.
    public init() {}

    /// Answers every offer with the control bytes.
    public func accept(_ offer: ExtensionParameters) -> ExtensionParameters? {
        EscapedControl.answer(self.controlBytes)
    }

    /// Takes eight hexadecimal digits.
    public func judge(_ answer: ExtensionParameters) -> Bool { EscapedControl(answer) != nil }

    /// Answers pings, escapes messages.
    public func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? {
        EscapedControl(parameters).map { Transform(control: $0) }
    }

    private struct Transform: MessageTransform {
        private static let ping: UInt8 = 0x09
        private static let pong: UInt8 = 0x0A

        var control: EscapedControl

        mutating func outbound(_ message: WebSocketMessage, _ scope: inout ExtensionScope) -> WebSocketMessage? {
            if self.control.needsEscape(message) { scope.send(self.control.escape) }
            return message
        }

        mutating func inbound(
            _ message: WebSocketMessage,
            _ scope: inout ExtensionScope
        ) throws -> WebSocketMessage? {
            guard case .text(let text) = message else { return message }
            switch self.control.receive(text.utf8) {
            case .application: return message
            case .escape: return nil
            case .control([Self.ping, 0]):
                scope.countControlMessage()
                scope.answerPing(with: self.control.message([Self.pong, 0]))
                return nil
            case .control([Self.pong, 0]):
                scope.countControlMessage()
                return nil
            case .control:
                throw WebSocketError(
                    .protocolViolation,
                    "The peer sent a control message that x-kaazing-ping-pong does not know.",
                    closeCode: .protocolError,
                    phase: .open
                )
            }
        }

        mutating func sendPing(_ scope: inout ExtensionScope) -> Bool {
            scope.send(self.control.message([Self.ping, 0]))
            return true
        }
    }
}
