// The handler of a connection of ordinary HTTP, over a channel in memory: its states, its deadlines, its bounds.

import HTTPTypes
import KHPProtocol
import KHPWebSocket
import Logging
import NIOCore
import NIOEmbedded
import NIOSSL
import Synchronization
import TestSupport
import Testing

@testable import KHPServer

/// A connection of ordinary HTTP in memory, and the tasks of its exchanges on its loop. Used on one thread, without an
/// `await` in between.
final class MemoryHTTP {
    let log = CollectingLog()
    let wire = MemoryWire()
    let state: ServerState
    let handler: HTTPHandler
    let channel: EmbeddedChannel
    var loop: EmbeddedEventLoop { self.channel.embeddedEventLoop }

    init(
        _ transport: Transport = .socket,
        _ serve: @escaping HTTPSite.Serve = { _ in await MemoryHTTP.parked() },
        configure: (inout WebSocketMount.Configuration) -> Void = { _ in }
    ) throws {
        var configuration = WebSocketMount.Configuration()
        let log = self.log
        configuration.logger = Logger(label: "khp") { _ in log }
        configuration.timeouts.opening = .seconds(10)
        configure(&configuration)
        let state = try ServerState(configuration: configuration, endpoints: [echo()])
        let channel = EmbeddedChannel()
        let site = HTTPSite(
            server: state,
            entry: try #require(state.enter(nil)),
            serve: serve,
            answerTime: nil,
            channel: channel,
            transport: transport,
            isSecure: false,
            named: nil,
            namedCertificate: nil,
            certificate: nil
        )
        self.state = state
        self.channel = channel
        self.handler = HTTPHandler(site)
        try channel.pipeline.syncOperations.addHandlers([self.wire, self.handler])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    /// Whatever waits is told that it is over.
    deinit {
        self.wire.isStuck = false
        self.channel.pipeline.flush()
        _ = try? self.channel.finish(acceptAlreadyClosed: true)
    }

    /// An application that does not come back until its client has gone.
    static func parked() async {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        for await _ in stream {}
        withExtendedLifetime(continuation) {}
    }

    func receive(_ text: String) throws { try self.channel.receive(text) }

    func written() throws -> String { try self.channel.written() }

    /// The exchange that goes on.
    func exchange() throws -> ServedHTTP {
        guard case .exchanging(let exchange) = self.handler.phase else { throw ChannelError.eof }
        return exchange
    }

    /// `waiting`, `exchanging`, ...
    var phase: String { String("\(self.handler.phase)".prefix { $0 != "(" }) }

    func has(_ kind: HTTPDeadlines.Kind) -> Bool { self.handler.deadlines.has(kind) }
}

/// The code of a call's failure; `later` for one that waits, `nil` for one that succeeds.
private func failure<Value: Sendable>(_ reply: HTTPConversation.Reply<Value>) -> String? {
    switch reply {
    case .now(.success): nil
    case .now(.failure(let error)): "\(error.code)"
    case .later: "later"
    }
}

private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
private func post(_ length: Int, _ fields: String = "") -> String {
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n\(fields)\r\n"
}

@Suite("The handler of ordinary HTTP") struct HTTPHandlerTests {
    private struct Unknown: Error {}

    // MARK: Bursts

    @Test("requests of one read are answered at its end, with one flush, and a read without a request needs none")
    func burst() throws {
        let http = try MemoryHTTP { try await $0.respond(.text("fine")) }
        for round in 1...2 {
            http.channel.pipeline.fireChannelRead(ByteBuffer(string: get + get))
            http.loop.run()
            #expect(try http.written() == "" && http.wire.flushes == round - 1)
            http.channel.pipeline.fireChannelReadComplete()
            #expect(try http.written().ranges(of: "200 OK").count == 2)
            #expect(http.wire.flushes == round)
        }
        try http.receive(String(get.prefix(9)))
        http.channel.pipeline.fireChannelReadComplete()
        http.loop.run()
        #expect(http.wire.flushes == 2)
    }

    @Test("the first requests of a connection, read before, are answered with one flush and told to observers once")
    func begins() throws {
        let witness = Witness()
        let http = try MemoryHTTP {
            try await $0.respond(.text("fine"))
        } configure: {
            $0.instruments = [witness]
        }
        let instruments = ServerInstruments([witness], ConnectionInfo(id: 7, role: .server, peer: ""))
        var head = RequestHead(method: "GET", target: "/")
        head.fields.append("Host", "a")
        http.handler.begin(try CheckedRequest(head), unread: ByteBuffer(string: get), instruments, hasInputEnded: false)
        http.loop.run()
        #expect(try http.written().ranges(of: "200 OK").count == 2)
        #expect(http.wire.flushes == 1)
        // The first had been told of before.
        #expect(witness.accepted == 2)
        #expect(witness.events == ["HTTP", "openingResponse", "openingRequest", "HTTP", "openingResponse"])
        let unseen = try MemoryHTTP { try await $0.respond(.text("fine")) }
        try unseen.receive(get)
        #expect(try unseen.written().contains("200 OK"))
    }

    private final class Witness: ServerInstrument, ServerConnectionInstrument {
        private let seen = Mutex<(accepted: Int, events: [String])>((0, []))

        var accepted: Int { self.seen.withLock { $0.accepted } }
        var events: [String] { self.seen.withLock { $0.events } }

        func accepted(_ connection: ConnectionInfo) -> (any ServerConnectionInstrument)? {
            self.seen.withLock { $0.accepted += 1 }
            return self
        }

        func observe(_ event: ConnectionEvent) {
            self.seen.withLock { $0.events.append(String("\(event)".prefix { $0 != "(" })) }
        }

        func servesHTTP() { self.seen.withLock { $0.events.append("HTTP") } }
    }

    // MARK: Deadlines

    @Test("an alarm that rings too early stays, and one that would ring too late is moved")
    func alarm() throws {
        let http = try MemoryHTTP { try await $0.respond(.text("fine")) }
        try http.receive(String(get.prefix(9)))
        let head = try #require(http.handler.alarm?.time)
        #expect(http.has(.head) && !http.has(.idle))
        try http.receive(String(get.dropFirst(9)))
        #expect(!http.has(.head) && http.has(.idle))
        #expect(http.handler.alarm?.time == head)
        let other = try MemoryHTTP { try await $0.respond(.text("fine")) }
        try other.receive(get)
        let idle = try #require(other.handler.alarm?.time)
        try other.receive(String(get.prefix(9)))
        #expect(try #require(other.handler.alarm?.time) < idle)
    }

    @Test("content that is waited for has a time, until it has come")
    func contentTime() throws {
        let http = try MemoryHTTP()
        try http.receive(post(6))
        #expect(!http.has(.content))
        let exchange = try http.exchange()
        for piece in ["abc", "def"] {
            #expect(failure(http.handler.nextContent(of: exchange)) == "later")
            #expect(http.has(.content))
            try http.receive(piece)
            #expect(!http.has(.content))
        }
        #expect(failure(http.handler.nextContent(of: exchange)) == nil)
    }

    @Test("content that nobody waits for any more is not late", arguments: [false, true])
    func contentGivenUp(isGivenUp: Bool) throws {
        let http = try MemoryHTTP(configure: { $0.httpLimits.stalledBody = .zero })
        try http.receive(post(6))
        let exchange = try http.exchange()
        guard case .later(let wait) = http.handler.nextContent(of: exchange) else { throw ChannelError.eof }
        if isGivenUp { wait.complete(.failure(.cancelled)) }
        // The loop has its own clock, and the deadline is by the machine's.
        http.loop.advanceTime(to: .now())
        #expect(!http.has(.content))
        let next = failure(http.handler.nextContent(of: exchange))
        #expect(next == (isGivenUp ? "later" : "bodyStalled"))
        #expect(exchange.response.isKept == isGivenUp)
    }

    // MARK: The end of the client's bytes

    @Test("a client that ends its side between requests, or within content that nobody reads, ends the connection")
    func inputEnds() throws {
        let waiting = try MemoryHTTP { try await $0.respond(.text("fine")) }
        try waiting.receive(get)
        waiting.channel.endInput()
        #expect(!waiting.channel.isActive)
        let skipping = try MemoryHTTP { try await $0.respond(.text("fine")) }
        try skipping.receive(post(9))
        #expect(skipping.phase == "skipping")
        skipping.channel.endInput()
        #expect(!skipping.channel.isActive)
    }

    @Test("one that is owed a response gets it, within a time that a second end does not prolong")
    func halfClosed() throws {
        for isTold in [false, true] {
            let http = try MemoryHTTP()
            try http.receive(get)
            if isTold {
                // As TLS does where its peer only drops TCP.
                http.channel.pipeline.fireErrorCaught(NIOSSLError.uncleanShutdown)
            } else {
                http.channel.endInput()
            }
            #expect(http.channel.isActive && http.has(.halfClosed))
            let end = http.handler.deadlines.next
            http.channel.endInput()
            #expect(http.handler.deadlines.next == end)
            #expect(failure(http.handler.respond(.text("fine"), to: try http.exchange())) == nil)
            #expect(try http.written().hasSuffix("\r\n\r\nfine"))
        }
    }

    @Test("an error of the channel's closes it")
    func error() throws {
        let http = try MemoryHTTP()
        try http.receive(get)
        http.channel.pipeline.fireErrorCaught(Unknown())
        #expect(!http.channel.isActive)
    }

    // MARK: The end of the connection

    @Test("behind the last response the client is listened to for a moment; a stream waits by itself")
    func lastResponse() throws {
        let close = get.replacing("Host: a", with: "Host: a\r\nConnection: close")
        let socket = try MemoryHTTP { try await $0.respond(.text("fine")) }
        try socket.receive(close)
        #expect(socket.wire.hasEndedOutput && socket.channel.isActive && socket.has(.lingering))
        // Nothing is kept of what comes.
        try socket.receive(get)
        #expect(socket.handler.requests.unreadBytes == 0 && socket.phase == "ending")
        socket.channel.endInput()
        #expect(!socket.channel.isActive)
        let stream = try MemoryHTTP(.stream) { try await $0.respond(.text("fine")) }
        try stream.receive(get)
        #expect(try stream.written().hasSuffix("\r\n\r\nfine"))
        #expect(!stream.wire.hasEndedOutput && !stream.channel.isActive)
    }

    @Test("a connection that is cut while its last bytes leave does not linger, and one that is over stays so")
    func cutMeanwhile() throws {
        let http = try MemoryHTTP()
        http.wire.isStuck = true
        http.handler.endConnection()
        #expect(http.phase == "ending")
        http.handler.endConnection()
        http.handler.abort()
        http.wire.isStuck = false
        http.channel.pipeline.flush()
        #expect(!http.has(.lingering) && !http.wire.hasEndedOutput)
        http.handler.endConnection()
        http.handler.goAway()
        #expect(http.phase == "over")
    }

    @Test("a drain ends connections that wait, and makes a response the last")
    func drains() throws {
        let waiting = try MemoryHTTP { try await $0.respond(.text("fine")) }
        try waiting.receive(get)
        waiting.handler.goAway()
        #expect(waiting.wire.hasEndedOutput)
        let skipping = try MemoryHTTP { try await $0.respond(.text("fine")) }
        try skipping.receive(post(9))
        skipping.handler.goAway()
        #expect(skipping.wire.hasEndedOutput)
        for hasBegun in [false, true] {
            let (held, application) = AsyncStream.makeStream(of: Void.self)
            let busy = try MemoryHTTP { _ in for await _ in held {} }
            try busy.receive(get)
            let exchange = try busy.exchange()
            if hasBegun { #expect(failure(busy.handler.begin(.init(status: .ok), to: exchange)) == nil) }
            busy.handler.goAway()
            if !hasBegun { #expect(failure(busy.handler.begin(.init(status: .ok), to: exchange)) == nil) }
            #expect(failure(busy.handler.endResponse(to: exchange)) == nil)
            #expect(try busy.written().contains("Connection: close") == !hasBegun)
            application.finish()
            busy.loop.run()
            #expect(busy.phase == "ending")
        }
    }

    // MARK: Responses

    @Test("one response to an exchange, and one that can be sent")
    func responses() throws {
        let http = try MemoryHTTP()
        try http.receive(get)
        let exchange = try http.exchange()
        for response in [HandshakeResponse.redirect(to: "/a\r\nb"), .challenge("Basic\r\nX: y")] {
            #expect(failure(http.handler.respond(response, to: exchange)) == "invalidResponse")
        }
        #expect(failure(http.handler.begin(.init(status: .init(code: 101)), to: exchange)) == "invalidResponse")
        #expect(try http.written() == "")
        #expect(failure(http.handler.respond(.text("fine"), to: exchange)) == nil)
        #expect(failure(http.handler.respond(.text("again"), to: exchange)) == "alreadyAnswered")
        #expect(failure(http.handler.begin(.init(status: .ok), to: exchange)) == "alreadyAnswered")
        #expect(failure(http.handler.write(ByteBuffer(string: "again"), to: exchange)) == "wrongLength")
        #expect(try http.written().hasSuffix("\r\n\r\nfine"))
    }

    @Test("nothing is sent for an exchange that is over, or whose client turns out to be gone")
    func gone() throws {
        let ended = try MemoryHTTP()
        try ended.receive(get)
        let exchange = try ended.exchange()
        ended.handler.endConnection()
        _ = try ended.written()
        #expect(failure(ended.handler.respond(.text("late"), to: exchange)) == "clientGone")
        #expect(failure(ended.handler.nextContent(of: exchange)) == nil)
        #expect(try ended.written() == "")
        // Its task ends, which changes nothing any more.
        ended.loop.run()
        #expect(ended.phase == "ending" && ended.log.text.isEmpty)
        let broken = try MemoryHTTP()
        try broken.receive(get)
        broken.wire.isBroken = true
        #expect(failure(broken.handler.respond(.text("lost"), to: try broken.exchange())) == "clientGone")
    }

    @Test("a writer waits while the client takes nothing, and goes on when there is room, or when all is over")
    func room() throws {
        for ends in [false, true] {
            let (held, application) = AsyncStream.makeStream(of: Void.self)
            let http = try MemoryHTTP { _ in for await _ in held {} }
            try http.receive(get)
            let exchange = try http.exchange()
            #expect(failure(http.handler.begin(.init(status: .ok), to: exchange)) == nil)
            http.channel.isWritable = false
            guard case .later(let wait) = http.handler.write(ByteBuffer(string: "a"), to: exchange) else {
                Issue.record("there is no room")
                return
            }
            #expect(http.has(.writing))
            http.channel.pipeline.fireChannelWritabilityChanged()
            #expect(http.has(.writing))
            if ends {
                #expect(failure(http.handler.endResponse(to: exchange)) == "later")
                application.finish()
                http.loop.run()
            } else {
                http.channel.isWritable = true
                http.channel.pipeline.fireChannelWritabilityChanged()
                #expect(!http.has(.writing))
            }
            // It has been told.
            #expect(!wait.complete(.success(())))
        }
    }

    @Test("an error that ends an exchange becomes the response, and is logged where it is the application's")
    func thrown() throws {
        for code in HTTPExchangeError.Code.allCases {
            let http = try MemoryHTTP { _ in throw HTTPExchangeError(code, "The sentence.") }
            try http.receive(get)
            let status = [.bodyTooLarge: 413, .bodyStalled: 408, .bodyMalformed: 400, .clientGone: 400][code] ?? 500
            #expect(try http.written().hasPrefix("HTTP/1.1 \(status) "), "\(code)")
            let isOfClient = status != 500 || code == .cancelled
            #expect(http.log.text.isEmpty == isOfClient, "\(code)")
        }
        let unknown = try MemoryHTTP { _ in throw Unknown() }
        try unknown.receive(get)
        #expect(try unknown.written().hasPrefix("HTTP/1.1 500 "))
        #expect(unknown.log.text.contains("closure"))
        let response = try MemoryHTTP { _ in throw HandshakeResponse.refuse(403) }
        try response.receive(get)
        #expect(try response.written().hasPrefix("HTTP/1.1 403 "))
        #expect(response.log.text.isEmpty)
    }

    @Test("a response that its closure leaves unfinished cuts the connection; one that it finishes keeps it")
    func unfinished() throws {
        for isWhole in [false, true] {
            let http = try MemoryHTTP { exchange in
                if isWhole { return try await exchange.respond(.init(status: .ok)) { try await $0.write("ab") } }
                try await exchange.respond(.init(status: .ok)) { writer in
                    try await writer.write("ab")
                    throw Unknown()
                }
            }
            try http.receive(get)
            #expect(http.phase == (isWhole ? "waiting" : "over"))
            #expect(http.channel.isActive == isWhole)
            #expect(try http.written().hasSuffix("0\r\n\r\n") == isWhole)
        }
    }

    // MARK: Bounds

    @Test("content that nobody reads is skipped up to 64 KiB (threat A23)")
    func skips() throws {
        for isExact in [true, false] {
            let http = try MemoryHTTP { try await $0.respond(.text("fine")) }
            try http.receive(post(isExact ? 65_536 : 65_537))
            #expect(http.phase == "skipping" && http.has(.content))
            try http.receive(String(repeating: "x", count: 65_536))
            #expect(http.phase == (isExact ? "waiting" : "skipping"))
            if !isExact { try http.receive("x") }
            #expect(http.phase == (isExact ? "waiting" : "ending"))
        }
    }

    @Test("no more is read than 64 KiB of content that waits for the application, or of requests behind (threat A23)")
    func reads() throws {
        for isContent in [false, true] {
            let http = try MemoryHTTP()
            try http.receive(isContent ? post(200_000) : get)
            func reads() -> Int {
                let before = http.wire.reads
                http.channel.read()
                return http.wire.reads - before
            }
            try http.receive(String(repeating: "x", count: 65_535))
            #expect(reads() == 1)
            try http.receive("x")
            #expect(reads() == 0)
            http.handler.settle()
            #expect(http.wire.reads == 1)
            guard isContent else { continue }
            // One piece is taken, and there is room again.
            #expect(failure(http.handler.nextContent(of: try http.exchange())) == nil)
            #expect(http.wire.reads == 2)
            http.handler.settle()
            #expect(http.wire.reads == 2)
        }
    }

    @Test("content is collected up to its bound", arguments: [4, 5, 6])
    func collects(_ length: Int) throws {
        let http = try MemoryHTTP { exchange in
            let content = try await exchange.body.collect(upTo: 5)
            try await exchange.respond(.text(String(buffer: content)))
        }
        try http.receive(post(length) + "ab")
        try http.receive(String(repeating: "c", count: length - 2))
        let answer = try http.written()
        #expect(answer.hasPrefix(length > 5 ? "HTTP/1.1 413 " : "HTTP/1.1 200 "))
        #expect(answer.contains("\r\n\r\nabc") == (length <= 5))
    }

    @Test("of exchanges there are as many as may be at a time; one more gets 503 (threat A23)")
    func exchanges() throws {
        let count = HTTPExchangeCount()
        #expect(count.begin(most: 2) && count.begin(most: 2) && !count.begin(most: 2) && !count.begin(most: 2))
        count.end()
        #expect(count.begin(most: 2) && !count.begin(most: 2))
        let http = try MemoryHTTP(configure: { $0.httpLimits.exchanges = 1 })
        #expect(http.state.exchanges.begin(most: 1))
        try http.receive(get)
        #expect(try http.written().hasPrefix("HTTP/1.1 503 "))
    }

    @Test("the bounds that hold where nobody sets any are those that are documented (threat A23)")
    func defaults() {
        let limits = WebSocketServer.HTTPLimits()
        #expect(limits.bodyBytes == 1_048_576 && limits.exchanges == 1_000)
        #expect(limits.idleTime == .seconds(60) && limits.stalledBody == .seconds(30))
        #expect(limits.halfClosedTime == .seconds(10))
    }
}
