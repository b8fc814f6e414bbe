// The application's side of an exchange: brings each of its calls to the event loop, and waits there.

import HTTPTypes
import KHPProtocol
import NIOCore

struct HTTPConversation: Sendable {
    /// The answer to a call: at once, or later.
    enum Reply<Value: Sendable>: Sendable {
        case now(Result<Value, HTTPExchangeError>)
        case later(HTTPWait<Value>)

        static func failed(_ error: HTTPExchangeError) -> Reply { .now(.failure(error)) }
    }

    private let bound: NIOLoopBound<(HTTPHandler, ServedHTTP)>

    init(_ handler: HTTPHandler, _ exchange: ServedHTTP, on eventLoop: any EventLoop) {
        self.bound = NIOLoopBound((handler, exchange), eventLoop: eventLoop)
    }

    func nextContent() async throws(HTTPExchangeError) -> ByteBuffer? {
        try await self.call { $0.nextContent(of: $1) }
    }

    func respond(_ response: HTTPResponse, _ content: ByteBuffer) async throws(HTTPExchangeError) {
        try await self.call { $0.respond(response, content, to: $1) }
    }

    func respond(_ response: HandshakeResponse) async throws(HTTPExchangeError) {
        try await self.call { $0.respond(response, to: $1) }
    }

    func begin(_ response: HTTPResponse) async throws(HTTPExchangeError) {
        try await self.call { $0.begin(response, to: $1) }
    }

    /// Waits for room until the piece can be written: where that throws, none of it has been.
    func write(_ piece: ByteBuffer) async throws(HTTPExchangeError) {
        while true {
            switch await self.reply({ $0.write(piece, to: $1) }) {
            case .now(let result): return try result.get()
            case .later(let room): try await room.value()
            }
        }
    }

    func end() async throws(HTTPExchangeError) {
        try await self.call { $0.endResponse(to: $1) }
    }

    /// Tells that the application is done with it.
    func ended(_ error: (any Error)?) {
        guard self.bound.eventLoop.inEventLoop else { return self.onLoop { $0.ended($1, error) } }
        let (handler, exchange) = self.bound.value
        handler.ended(exchange, error)
    }

    private func call<Value: Sendable>(
        _ body: @escaping @Sendable (HTTPHandler, ServedHTTP) -> Reply<Value>
    ) async throws(HTTPExchangeError) -> Value {
        switch await self.reply(body) {
        case .now(let result): return try result.get()
        case .later(let wait): return try await wait.value()
        }
    }

    private func reply<Value: Sendable>(
        _ body: @escaping @Sendable (HTTPHandler, ServedHTTP) -> Reply<Value>
    ) async -> Reply<Value> {
        let reply: Reply<Value>
        if self.bound.eventLoop.inEventLoop {
            let (handler, exchange) = self.bound.value
            reply = body(handler, exchange)
        } else {
            reply = await withCheckedContinuation { continuation in
                self.bound.eventLoop.execute {
                    let (handler, exchange) = self.bound.value
                    continuation.resume(returning: body(handler, exchange))
                } orElse: {
                    continuation.resume(returning: .failed(.clientGone))
                }
            }
        }
        return reply
    }

    private func onLoop(_ body: @escaping @Sendable (HTTPHandler, ServedHTTP) -> Void) {
        self.bound.eventLoop.execute {
            let (handler, exchange) = self.bound.value
            body(handler, exchange)
        }
    }
}
