import KHPProtocol
import NIOCore
import Testing

@testable import KHPServer

@Suite("An exchange of ordinary HTTP, as its connection sees it") struct ServedHTTPTests {
    private static func exchange() throws -> ServedHTTP {
        var head = RequestHead(method: "POST", target: "/")
        head.fields.append("Host", "a")
        let request = try CheckedRequest(head)
        return ServedHTTP(request, OrdinaryResponse(to: head, isKept: true), ServerInstruments())
    }

    /// The text of the next piece; `nil` at the end, an error's code in its place, `later` where it has not come.
    private static func next(_ exchange: ServedHTTP) -> String? {
        switch exchange.next() {
        case .now(.success(let piece)): piece.map { String(buffer: $0) }
        case .now(.failure(let error)): "\(error.code)"
        case .later: "later"
        }
    }

    private static func waiting(_ exchange: ServedHTTP) throws -> HTTPWait<ByteBuffer?> {
        guard case .later(let wait) = exchange.next() else { throw ChannelError.eof }
        return wait
    }

    @Test("content comes in its order, and its end, or its failure, behind it")
    func order() throws {
        for fails in [false, true] {
            let exchange = try Self.exchange()
            exchange.receive(ByteBuffer(string: "a"))
            exchange.receive(ByteBuffer(string: "b"))
            if fails { exchange.failContent(.stalled) } else { exchange.receiveEnd() }
            // The first end counts.
            exchange.failContent(.clientGone)
            #expect(
                (0..<4).map { _ in Self.next(exchange) } == ["a", "b"]
                    + (fails ? ["bodyStalled", "bodyStalled"] : [nil, nil])
            )
        }
    }

    @Test("a reader that waits gets the next piece; one that has gone loses none")
    func readers() async throws {
        let exchange = try Self.exchange()
        let waiting = try Self.waiting(exchange)
        exchange.receive(ByteBuffer(string: "a"))
        #expect(try await waiting.value() == ByteBuffer(string: "a"))
        #expect(!exchange.awaitsContent)
        let gone = try Self.waiting(exchange)
        gone.complete(.failure(.cancelled))
        exchange.receive(ByteBuffer(string: "b"))
        #expect(Self.next(exchange) == "b")
        let replaced = try Self.waiting(exchange)
        let last = try Self.waiting(exchange)
        await #expect(throws: HTTPExchangeError.cancelled) { try await replaced.value() }
        exchange.receiveEnd()
        #expect(try await last.value() == nil)
    }

    @Test("64 KiB that wait for the application are all that is kept")
    func bound() throws {
        let exchange = try Self.exchange()
        exchange.receive(ByteBuffer(repeating: 0, count: 65_535))
        #expect(!exchange.isFull)
        exchange.receive(ByteBuffer(repeating: 0, count: 1))
        #expect(exchange.isFull)
        _ = exchange.next()
        #expect(!exchange.isFull)
    }

    @Test("whoever waits is told of the end, in good order too", arguments: [false, true])
    func ends(isComplete: Bool) async throws {
        let exchange = try Self.exchange()
        let reader = try Self.waiting(exchange)
        guard case .later(let writer) = exchange.waitForRoom() else { throw ChannelError.eof }
        if isComplete { exchange.complete() } else { exchange.end() }
        let code: HTTPExchangeError = isComplete ? .alreadyAnswered : .clientGone
        await #expect(throws: code) { _ = try await reader.value() }
        await #expect(throws: code) { try await writer.value() }
        #expect(exchange.isOver)
        // The other end behind it changes nothing.
        exchange.end()
        #expect(Self.next(exchange) == "\(code.code)")
    }

    @Test("a wait ends once, with the first outcome, before somebody waits or meanwhile")
    func waits() async throws {
        let early = HTTPWait<Int>()
        #expect(early.complete(.success(1)))
        #expect(!early.complete(.success(2)))
        #expect(try await early.value() == 1)
        let late = HTTPWait<Int>()
        async let value = late.value()
        late.complete(.success(3))
        #expect(try await value == 3)
        #expect(!late.complete(.failure(.clientGone)))
    }
}
