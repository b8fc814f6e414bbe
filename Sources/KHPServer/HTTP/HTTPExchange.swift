public import HTTPTypes
public import KHPProtocol
public import Logging
public import NIOCore
public import NIOSSL

/// An ordinary HTTP request on the port of the endpoints, and its response; both are streamed.
///
/// ```swift
/// configuration.serveHTTP = { exchange in
///     try await exchange.respond(.init(status: .ok), "hello\n")
/// }
/// ```
///
/// Exchanges run over HTTP/1.1, where a connection is kept for more requests and each waits for the response before it, and
/// on the streams of HTTP/2. The task that serves an exchange is cancelled when its client has gone.
///
/// - An exchange whose closure returns without a response gets the server's own 404, 405 or 426.
/// - A closure that throws before it has responded has the error answered: a ``KHPProtocol/HandshakeResponse`` is sent, an
///   ``HTTPExchangeError`` has its own status, everything else becomes 500. One that throws in the middle of the body
///   ends the connection, so that the client sees that something is missing.
/// - A body that the closure has not read is thrown away, up to 64 KiB of it; beyond that the connection ends.
public struct HTTPExchange: Sendable {
    /// The request's method, target and fields. HTTP has nothing against them (RFC 9112 sections 3.2 and 6.3), and the host
    /// is one of the `allowedHosts`, where these are set.
    public let request: HTTPRequest
    /// The peer's address; `nil` for one that has none.
    public let peer: SocketAddress?
    /// The address of the client: the one that a trusted proxy has named, otherwise the peer's. See
    /// ``WebSocketServer/ClientAddress``.
    public let client: SocketAddress?
    /// The server's own address that the peer has connected to; `nil` for a connection that has none.
    public let local: SocketAddress?
    /// The name of the listener that the connection has come in by; `nil` where another server has accepted it.
    public let listener: String?
    /// The certificate that the client proved to hold, where TLS asked for one.
    public let clientCertificate: NIOSSLCertificate?
    /// `true` where the client has come by TLS, perhaps only up to a proxy.
    public let isSecure: Bool
    /// The server's logger with `khp.connection.id` and `peer` as metadata, and with `request-id` where the request has
    /// X-Request-Id, of which 128 characters count. Logs nothing where the server has none.
    public let logger: Logger
    /// The connection's event loop. Must not be blocked.
    public var eventLoop: any EventLoop { self.loop.value }

    let loop: UnseenEventLoop
    let door: Door
    let conversation: HTTPConversation

    /// The body of the request, as it comes: no more is read than has been taken. A client that has asked for 100 gets it
    /// when the first piece is waited for.
    public var body: Body { Body(conversation: self.conversation) }

    /// Responds with a body that is there as a whole. For HEAD the body is counted and not sent.
    ///
    /// Date, Content-Length, Transfer-Encoding and Connection are the server's; a Date that is set stays.
    ///
    /// Returns once the client has taken so much that more may be sent, or the task is cancelled: the response is sent in
    /// either case.
    /// - Parameters:
    ///   - response: the status, the reason where the usual one will not do, and the fields.
    ///   - body: the body, which 204 and 304 do not have.
    /// - Throws: ``HTTPExchangeError`` where there is a response already, where it cannot be sent, or the client has gone.
    public func respond(
        _ response: HTTPResponse,
        _ body: ByteBuffer = ByteBuffer()
    ) async throws(HTTPExchangeError) {
        try await self.conversation.respond(response, body)
    }

    /// Responds with a text, as it is: its media type is among the fields.
    /// - Throws: as for a buffer.
    public func respond(_ response: HTTPResponse, _ body: String) async throws(HTTPExchangeError) {
        try await self.conversation.respond(response, ByteBuffer(string: body))
    }

    /// Responds as `respondToHTTP` and handshakes do: `.text("fine\n")`, `.refuse(403)`, `.redirect(to: "/new")`.
    /// - Throws: as for a buffer.
    public func respond(_ response: HandshakeResponse) async throws(HTTPExchangeError) {
        try await self.conversation.respond(response)
    }

    /// Responds with the response that the simple form returns; without one the request is left to the server.
    func respond(by form: @Sendable (HTTPRequest) async throws -> HandshakeResponse?) async throws {
        guard let response = try await form(self.request) else { return }
        try await self.respond(response)
    }

    /// Responds with a body that is made piece by piece, and ends it when `write` returns.
    ///
    /// With a Content-Length among the fields the body must be as long; without one it is sent in chunks, or ends with the
    /// connection for a client of HTTP/1.0.
    ///
    /// For HEAD `write` is called too, and nothing of what it writes is sent; it may look at `request.method`.
    ///
    /// The head and the end of the body are sent even where the task is cancelled; the pieces wait for room.
    /// - Returns: the result of `write`.
    /// - Throws: ``HTTPExchangeError``, and what `write` throws.
    public func respond<Result>(
        _ response: HTTPResponse,
        _ write: (Writer) async throws -> Result
    ) async throws -> Result {
        try await self.conversation.begin(response)
        let result = try await write(Writer(conversation: self.conversation))
        try await self.conversation.end()
        return result
    }

    /// The body of a response.
    public struct Writer: Sendable {
        let conversation: HTTPConversation

        /// Sends a piece once there is room for it: no more than `Limits.sendBufferHighMark` and one piece waits for a client
        /// that is slow to read.
        /// - Throws: ``HTTPExchangeError`` where the client has gone, the body becomes longer than the Content-Length, or
        ///   the task is cancelled while there is no room. A piece for which ``HTTPExchangeError/Code/cancelled`` is thrown
        ///   has not been sent, and may be written again.
        public func write(_ piece: ByteBuffer) async throws(HTTPExchangeError) {
            try await self.conversation.write(piece)
        }

        /// Sends a text.
        /// - Throws: as for a buffer.
        public func write(_ piece: String) async throws(HTTPExchangeError) {
            try await self.conversation.write(ByteBuffer(string: piece))
        }
    }

    /// The body of a request, for one reader.
    public struct Body: AsyncSequence, Sendable {
        /// A piece of the body.
        public typealias Element = ByteBuffer
        /// The error of a body that does not come to its end.
        public typealias Failure = HTTPExchangeError

        let conversation: HTTPConversation

        /// Reads on where another iterator has stopped.
        public func makeAsyncIterator() -> Iterator { Iterator(conversation: self.conversation) }

        /// Collects the whole body.
        /// - Parameter limit: the most bytes.
        /// - Throws: ``HTTPExchangeError/Code/bodyTooLarge`` where there are more, which becomes 413 unless it is caught; and
        ///   as the iterator does.
        public func collect(upTo limit: Int) async throws(HTTPExchangeError) -> ByteBuffer {
            var all = ByteBuffer()
            while let piece = try await self.conversation.nextContent() {
                guard all.readableBytes + piece.readableBytes <= limit else {
                    throw HTTPExchangeError(.bodyTooLarge, "The body is longer than \(limit) bytes.")
                }
                if all.readableBytes == 0 { all = piece } else { all.writeImmutableBuffer(piece) }
            }
            return all
        }

        /// Takes the pieces as they come.
        public struct Iterator: AsyncIteratorProtocol {
            let conversation: HTTPConversation

            /// The next piece, of one byte at least; `nil` at the end.
            /// - Throws: ``HTTPExchangeError`` where the body does not come, is too long, or cannot be read.
            public mutating func next() async throws(HTTPExchangeError) -> ByteBuffer? {
                try await self.conversation.nextContent()
            }

            /// The next piece, of one byte at least; `nil` at the end.
            /// - Throws: ``HTTPExchangeError`` where the body does not come, is too long, or cannot be read.
            public mutating func next(
                isolation actor: isolated (any Actor)?
            ) async throws(HTTPExchangeError) -> ByteBuffer? {
                try await self.conversation.nextContent()
            }
        }
    }
}

extension HTTPExchange: CustomReflectable {
    /// The request line's parts. From the rest one would come to every connection of the process.
    public var customMirror: Mirror {
        Mirror(self, children: ["method": self.request.method.rawValue, "peer": self.peer?.description ?? ""])
    }
}
