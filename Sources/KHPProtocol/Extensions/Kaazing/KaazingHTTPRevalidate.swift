// x-kaazing-http-revalidate: the server asks the client to prove over HTTP that its user is still who they were.

import NIOCore

/// Kaazing's re-validation of a session.
///
/// A server that grants it may send a control message with a path. The application then makes an HTTP request for that
/// path, with credentials, and answers a challenge if one comes; nothing of the WebSocket waits for it. What is done is
/// up to the closure, since cookies, credentials and an HTTP client are the application's.
///
/// ```swift
/// configuration.extensions = [
///     KaazingHTTPRevalidate { request in
///         let nonce = String(UInt64.random(in: 0..<UInt64.max))
///         let url = request.url(nonce: nonce)
///         Task { try await refresh(url) }
///     }
/// ]
/// ```
///
/// A server takes ``init()`` among the extensions of an endpoint. A handler on the event loop then asks by
/// `EventLoopSocket.askToRevalidate(path:)`, serves the request for that path, and gives the session another end.
public struct KaazingHTTPRevalidate: WebSocketExtension {
    /// A request of the server.
    public struct Request: Sendable, Equatable {
        /// Where the socket was opened.
        public let socket: WebSocketURL
        /// The path to get, as the server gave it.
        public let path: String

        /// Where to send the GET request: the socket's host, http for ws and https for wss.
        /// - Parameter nonce: a fresh random value that keeps caches from answering. It is put behind the path as
        ///   deployed clients put it: `&.krn=` and the value.
        public func url(nonce: String) -> String {
            let scheme = self.socket.isSecure ? "https" : "http"
            return "\(scheme)://\(self.socket.authority)\(self.path)&.krn=\(nonce)"
        }
    }

    /// `x-kaazing-http-revalidate`.
    public let name = "x-kaazing-http-revalidate"
    /// The handshakes in which it may be negotiated.
    public var layers: Set<HandshakeLayer> = [.opening, .extended]

    /// Server: the four bytes that control messages begin with, as one number; none of them above 0x7F.
    public var controlBytes: UInt32 = 0x0101_0103

    /// A client's part; `nil` for a server.
    private let revalidate: (@Sendable (Request) -> Void)?

    /// The extension for a server: granted to every client that asks for it.
    public init() {
        self.revalidate = nil
    }

    /// The extension for a client.
    /// - Parameter revalidate: called on the connection's event loop: begin what is to be done, and return.
    public init(_ revalidate: @escaping @Sendable (Request) -> Void) {
        self.revalidate = revalidate
    }

    /// Answers with the control bytes; declines where it was made for a client.
    public func accept(_ offer: ExtensionParameters) -> ExtensionParameters? {
        self.revalidate == nil ? EscapedControl.answer(self.controlBytes) : nil
    }

    /// Takes eight hexadecimal digits.
    public func judge(_ answer: ExtensionParameters) -> Bool { EscapedControl(answer) != nil }

    /// A client's takes control messages out of what is received, a server's sends them.
    public func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? {
        EscapedControl(parameters).map { Transform(control: $0, revalidate: self.revalidate) }
    }

    /// The first byte behind the four, as deployed gateways send it.
    private static let request: UInt8 = 0x01

    /// A path that may become part of a request line: the visible part of ASCII, and no host of its own (threat A7).
    private static func isPath(_ path: some Collection<UInt8>) -> Bool {
        path.first == UInt8(ascii: "/") && path.allSatisfy { 0x21...0x7E ~= $0 }
            && path.dropFirst().first != UInt8(ascii: "/")
    }

    private struct Transform: MessageTransform {
        var control: EscapedControl
        let revalidate: (@Sendable (Request) -> Void)?

        mutating func askToRevalidate(_ path: String, _ scope: inout ExtensionScope) throws -> Bool {
            guard scope.role == .server else { return false }
            guard KaazingHTTPRevalidate.isPath(path.utf8) else {
                throw WebSocketError(
                    .invalidArgument,
                    "A path to re-validate at begins with one slash and is visible ASCII.",
                    phase: .open
                )
            }
            scope.send(self.control.message([KaazingHTTPRevalidate.request] + Array(path.utf8)))
            return true
        }

        mutating func outbound(_ message: WebSocketMessage, _ scope: inout ExtensionScope) -> WebSocketMessage? {
            // A client takes control messages of either kind; a server looks for them among texts alone.
            if self.control.needsEscape(message, binary: scope.role == .server) { scope.send(self.control.escape) }
            return message
        }

        mutating func inbound(
            _ message: WebSocketMessage,
            _ scope: inout ExtensionScope
        ) throws -> WebSocketMessage? {
            let received: EscapedControl.Received
            switch message {
            case .text(let text): received = self.control.receive(text.utf8)
            // Clients do not escape binary messages: each is the application's.
            case .binary where scope.role == .server: return message
            case .binary(let bytes): received = self.control.receive(bytes.readableBytesView)
            }
            switch received {
            case .application: return message
            case .escape: return nil
            case .control(let content):
                // One byte that says what kind it is, then the path. No client has something to ask.
                let path = content.dropFirst()
                guard scope.role == .client, KaazingHTTPRevalidate.isPath(path) else {
                    throw WebSocketError(
                        .protocolViolation,
                        "The peer sent a control message of x-kaazing-http-revalidate without a path.",
                        closeCode: .protocolError,
                        phase: .open
                    )
                }
                scope.countControlMessage()
                self.revalidate?(Request(socket: scope.url, path: String(decoding: path, as: UTF8.self)))
                return nil
            }
        }
    }
}
