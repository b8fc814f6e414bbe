// The calls of the application, on the event loop: each refers to one exchange, which may be over by now.

import HTTPTypes
import KHPProtocol
import KHPWebSocket
import NIOCore

extension HTTPHandler {
    typealias Reply = HTTPConversation.Reply

    func nextContent(of exchange: ServedHTTP) -> Reply<ByteBuffer?> {
        if exchange.mustContinue, !exchange.response.hasBegun, !exchange.isOver, let context {
            exchange.mustContinue = false
            let bytes = ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n")
            context.writeAndFlush(self.wrapOutboundOut(bytes), promise: nil)
        }
        let reply = exchange.next()
        if case .later = reply {
            self.deadlines.begin(.content, .now() + TimeAmount(self.site.limits.stalledBody))
        }
        self.advance()
        return reply
    }

    /// A response whose content is there as a whole.
    func respond(_ response: HTTPResponse, _ content: ByteBuffer, to exchange: ServedHTTP) -> Reply<Void> {
        let hasLength = response.headerFields.contains(.contentLength)
        let isWithoutContent = response.status == .noContent || response.status == .notModified
        // A response to HEAD without content may name the length of the content that GET would have.
        let isTold = exchange.request.head.method == "HEAD" && content.readableBytes == 0 && hasLength
        return self.attempt(exchange) { () throws(OrdinaryResponse.Fault) in
            try self.writeHead(
                status: response.status.code,
                reason: response.status.reasonPhrase,
                response.headerFields,
                length: isWithoutContent || isTold ? nil : content.readableBytes,
                exchange
            )
            if !isWithoutContent { try self.writePiece(content, exchange) }
            try self.writeEnd(exchange)
        }
    }

    /// Responds with a response of the kind that handshakes have.
    func respond(_ response: HandshakeResponse, to exchange: ServedHTTP) -> Reply<Void> {
        let content = response.content
        return self.attempt(exchange) { () throws(OrdinaryResponse.Fault) in
            if let fault = response.fault { throw .invalid(fault) }
            var fields = response.headers
            if content.readableBytes > 0, fields[.contentType] == nil {
                fields[.contentType] = "text/plain; charset=utf-8"
            }
            let isWithoutContent = response.status == 204 || response.status == 304
            try self.writeHead(
                status: response.status,
                reason: response.reason,
                fields,
                length: isWithoutContent ? nil : content.readableBytes,
                exchange
            )
            if !isWithoutContent { try self.writePiece(content, exchange) }
            try self.writeEnd(exchange)
        }
    }

    func begin(_ response: HTTPResponse, to exchange: ServedHTTP) -> Reply<Void> {
        self.attempt(exchange) { () throws(OrdinaryResponse.Fault) in
            try self.writeHead(
                status: response.status.code,
                reason: response.status.reasonPhrase,
                response.headerFields,
                length: nil,
                exchange
            )
        }
    }

    /// A piece leaves at once: what comes after it may take its time. Where there is no room it is not written, and is to be
    /// tried again behind the wait.
    func write(_ piece: ByteBuffer, to exchange: ServedHTTP) -> Reply<Void> {
        self.attempt(exchange, isPiece: true) { () throws(OrdinaryResponse.Fault) in
            try self.writePiece(piece, exchange)
        }
    }

    func endResponse(to exchange: ServedHTTP) -> Reply<Void> {
        self.attempt(exchange) { () throws(OrdinaryResponse.Fault) in try self.writeEnd(exchange) }
    }

    /// The application is done with an exchange.
    func ended(_ exchange: ServedHTTP, _ error: (any Error)?) {
        self.site.server.exchanges.end()
        // The exchange that ends is the current one: only its end lets the connection go on to the next.
        guard case .exchanging = self.phase else { return }
        if !exchange.response.hasBegun {
            self.tell(error)
            _ = self.respond(self.answer(to: error, exchange), to: exchange)
            // One that was thrown may be none that can be sent.
            if !exchange.response.hasBegun { _ = self.respond(HandshakeResponse(status: 500), to: exchange) }
        } else if !exchange.response.isOver {
            // The client must not take what it has for the whole.
            self.tell(error)
            return self.cut()
        }
        self.finish(exchange)
    }

    /// The client's doings are no failure of the application.
    private func tell(_ error: (any Error)?) {
        guard let error else { return }
        if let error = error as? HTTPExchangeError, error.isOfClient { return }
        self.site.server.closureFailed(error)
    }

    private func answer(to error: (any Error)?, _ exchange: ServedHTTP) -> HandshakeResponse {
        guard let error else { return self.site.server.table.endpoints.refusal(of: exchange.request).response }
        if let error = error as? HTTPExchangeError { return HandshakeResponse(of: error) }
        return HandshakeResponse(answering: error)
    }

    private func finish(_ exchange: ServedHTTP) {
        exchange.complete()
        self.deadlines.endAll()
        if !exchange.response.isKept {
            self.endConnection()
        } else if self.requests.isInsideContent {
            self.phase = .skipping(left: Self.mostSkipped)
            self.deadlines.begin(.content, .now() + TimeAmount(self.site.limits.stalledBody))
        } else {
            self.awaitNext()
        }
        self.advance()
    }

    /// The most bytes of content that are dropped where the application has not read them.
    private static let mostSkipped = 64 * 1024

    // MARK: Writing

    /// Writes a part of a response. A piece waits for room before it; the head, the end and a whole response behind them.
    private func attempt(
        _ exchange: ServedHTTP,
        isPiece: Bool = false,
        _ body: () throws(OrdinaryResponse.Fault) -> Void
    ) -> Reply<Void> {
        guard !exchange.isOver, let context else { return .failed(.clientGone) }
        if isPiece, !context.channel.isWritable {
            // The client's time goes on, however often the application tries.
            if !self.deadlines.has(.writing) { self.boundWriting(context) }
            self.settle()
            return exchange.waitForRoom()
        }
        do throws(OrdinaryResponse.Fault) {
            try body()
        } catch {
            self.flushSoon(context)
            return .failed(HTTPExchangeError(error))
        }
        if isPiece { self.flushNow(context) } else { self.flushSoon(context) }
        // A flush that fails closes the channel at once.
        guard !exchange.isOver else { return .failed(.clientGone) }
        guard !context.channel.isWritable else {
            self.boundHalfClosed()
            self.settle()
            return .now(.success(()))
        }
        self.boundWriting(context)
        self.settle()
        // It is written, whether its task is cancelled or not.
        return isPiece ? .now(.success(())) : exchange.waitForRoom(whenCancelled: .success(()))
    }

    private func writeHead(
        status: Int,
        reason: String,
        _ fields: HTTPFields,
        length: Int?,
        _ exchange: ServedHTTP
    ) throws(OrdinaryResponse.Fault) {
        // Content may come or not: the beginning of the next request is unknown.
        if exchange.mustContinue || self.isLeaving { exchange.response.endsConnection() }
        let bytes = try exchange.response.begin(
            status: status,
            reason: reason,
            fields: fields,
            length: length,
            date: DateHeader.now()
        )
        if self.site.server.isObserved {
            let head = Redaction.head(of: bytes)
            self.site.observe(.openingResponse(head: head, status: status), exchange.instruments)
        }
        self.context?.write(self.wrapOutboundOut(bytes), promise: nil)
    }

    private func writePiece(_ content: ByteBuffer, _ exchange: ServedHTTP) throws(OrdinaryResponse.Fault) {
        guard let piece = try exchange.response.write(content), let context else { return }
        for bytes in [piece.before, piece.content, piece.behind] where bytes.readableBytes > 0 {
            context.write(self.wrapOutboundOut(bytes), promise: nil)
        }
    }

    private func writeEnd(_ exchange: ServedHTTP) throws(OrdinaryResponse.Fault) {
        guard let bytes = try exchange.response.end() else { return }
        self.context?.write(self.wrapOutboundOut(bytes), promise: nil)
    }
}

extension HTTPExchangeError {
    init(_ fault: OrdinaryResponse.Fault) {
        switch fault {
        case .repeated: self = .alreadyAnswered
        case .invalid(let sentence): self.init(.invalidResponse, sentence)
        case .wrongLength:
            self.init(.wrongLength, "The body is not as long as its Content-Length, or the response is over.")
        }
    }
}

extension HandshakeResponse {
    /// The answer to the error that an exchange has ended with.
    init(of error: HTTPExchangeError) {
        if let status = error.status {
            self = Refusal(status, error.message).response
        } else if error.code == .clientGone {
            // It has ended its side within the body, and may still read.
            self = Refusal(400, "The request's body is cut short.").response
        } else {
            self.init(status: 500)
        }
    }

    /// The answer to an error that the application has thrown while it served an exchange.
    init(answering error: any Error) {
        self.init(thrown: error)
        if !(200...999 ~= self.status) { self = HandshakeResponse(status: 500) }
    }
}
