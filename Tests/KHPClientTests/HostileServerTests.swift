// Hostile bytes as a server's answers, over real sockets: 1,000 strings at each stage through one client and one
// listener that live all the while. The 10,000 of each stage are in memory (HostilePeerTests); what is looked at here
// is what comes in addition with sockets: connects that never return, memory that grows, a client that is of no use
// after.

import Foundation
import HTTPTypes
import KHPClient
import KHPProtocol
import KHPServer
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@Suite("Hostile servers, over sockets", .serialized)
struct HostileServerTests {
    /// Where in a connection the strings come.
    enum Place: String, CaseIterable, CustomTestStringConvertible {
        case opening = "instead of the opening's answer"
        case plain = "as frames behind a plain 101"
        case between = "right behind the 101, before the extended request is answered"
        case extended = "as the extended response"
        case open = "after completion"

        var testDescription: String { self.rawValue }
    }

    static let count = 1000
    static let atOnce = 8

    /// The errors with which a connect, and the socket behind it, may end, whatever a server does.
    static let documented: Set<WebSocketError.Code> = [
        .timeout, .connectFailed, .openingRefused, .openingInvalid, .extendedRequired, .extendedRefused,
        .extendedInvalid,
        .closedDuringHandshake, .redirectRefused, .redirectMethod, .redirectLoop, .tooManyRedirects,
        .authenticationFailed, .proxyAuthenticationRequired, .protocolViolation, .messageTooBig, .limitExceeded,
        .closed,
    ]

    @Test("each ends in time and as documented; memory stays, and the client is of use", arguments: Place.allCases)
    func strings(_ place: Place) async throws {
        let server = try await HostileServer.start(place)
        var configuration = WebSocketClient.Configuration()
        configuration.timeouts.total = .seconds(20 * Sanitizer.patience)
        configuration.timeouts.close = .milliseconds(200)
        configuration.extensions = [NamedExtension("x-one"), PerMessageDeflate()]
        configuration.authentication.challengeHandler = LoginChallengeHandler(user: "joe", password: "welcome")
        // A spoiled Location may be anywhere.
        configuration.redirects.policy = .sameOrigin
        let client = WebSocketClient(configuration: configuration)

        // The first quarter warms up the allocator; the rest must not add to its memory.
        let before = try await self.play(client, server, count: Self.count / 4)
        let after = try await self.play(client, server, count: Self.count * 3 / 4)
        #expect(after.resident - before.resident < 8192, "from \(before.resident) to \(after.resident) KiB")
        #expect(before.failed + after.failed > Self.count / 4)
        #expect(server.connections >= Self.count)
        try await server.stop()

        // The same client still works.
        try await withServer {
            echo()
        } body: { port in
            let socket = try await client.connect(to: "ws://127.0.0.1:\(port)/echo")
            try await socket.send("are you there")
            var messages = socket.messages.makeAsyncIterator()
            #expect(try await messages.next() == .text("are you there"))
            try await socket.close()
        }
    }

    private struct Played {
        var failed = 0
        /// KiB; 0 where it cannot be told.
        var resident = 0
    }

    private func play(_ client: WebSocketClient, _ server: HostileServer, count: Int) async throws -> Played {
        let failed = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<Self.atOnce {
                group.addTask {
                    var failed = 0
                    for _ in stride(from: number, to: count, by: Self.atOnce) {
                        do {
                            let socket = try await client.connect(
                                to: "ws://127.0.0.1:\(server.port)/trades",
                                subprotocols: ["amqp"]
                            )
                            try? await socket.send("hello")
                            for try await _ in socket.messages {}
                            try await socket.close()
                        } catch let error as WebSocketError {
                            failed += 1
                            #expect(Self.documented.contains(error.code), "\(error)")
                        }
                    }
                    return failed
                }
            }
            return try await group.reduce(0, +)
        }
        return Played(failed: failed, resident: Self.residentKilobytes)
    }

    private static var residentKilobytes: Int {
        guard Sanitizer.leavesMemoryAlone,
            let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
        else { return 0 }
        return text.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 4 } ?? 0
    }
}

/// A listener whose every connection gets a string of its own at the same stage, and then the end of the stream.
private final class HostileServer: Sendable {
    private let channel: any Channel
    private let strings: HostileStrings
    let port: Int

    var connections: Int { self.strings.given }

    static func start(_ place: HostileServerTests.Place) async throws -> HostileServer {
        let strings = HostileStrings(place)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 64)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(HostileServerHandler(place, strings))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return HostileServer(channel: channel, strings: strings, port: channel.localAddress?.port ?? 0)
    }

    private init(channel: any Channel, strings: HostileStrings, port: Int) {
        self.channel = channel
        self.strings = strings
        self.port = port
    }

    func stop() async throws { try await self.channel.close() }
}

/// The strings of a stage, the same ones in each run, in the order in which they are asked for.
private final class HostileStrings: Sendable {
    private struct State {
        var random: UInt64
        var given = 0
    }

    private let place: HostileServerTests.Place
    private let state: Mutex<State>

    init(_ place: HostileServerTests.Place) {
        self.place = place
        self.state = Mutex(State(random: UInt64(place.rawValue.utf8.count)))
    }

    var given: Int { self.state.withLock { $0.given } }

    /// SplitMix64.
    private struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            self.state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = self.state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }

    /// - Parameter right: the right bytes for that place of this connection.
    func next(_ right: () -> [UInt8]) -> ByteBuffer {
        self.state.withLock { state in
            state.given += 1
            var generator = Generator(state: state.random)
            defer { state.random = generator.state }
            if Int.random(in: 0..<4, using: &generator) == 0 {
                let count = Int.random(in: 1...300, using: &generator)
                return ByteBuffer(bytes: (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) })
            }
            var bytes: [UInt8]
            switch self.place {
            case .opening:
                bytes = right()
            case .plain, .open:
                bytes = (0..<4).flatMap { _ in Self.frame(&generator) }
            case .between, .extended:
                let response = Self.responses.randomElement(using: &generator) ?? ""
                var payload = Array("HTTP/1.1 \(response)\r\n".utf8)
                let isSpoiledInside = Bool.random(using: &generator)
                if isSpoiledInside { Self.spoil(&payload, &generator) }
                bytes = HostileServerHandler.frame(2, payload)
                if isSpoiledInside { return ByteBuffer(bytes: bytes) }
            }
            Self.spoil(&bytes, &generator)
            return ByteBuffer(bytes: bytes)
        }
    }

    private static let responses = [
        "201 Created\r\nX-Which: second\r\n", "202 Accepted\r\n", "204 No Content\r\nSec-WebSocket-Protocol: amqp\r\n",
        "300 Multiple Choices\r\nLink: </target>; rel=\"alternate\"\r\nContent-Length: 2\r\n",
        "302 Found\r\nLocation: /target?a=b#c\r\n",
        "401 Unauthorized\r\nWWW-Authenticate: Digest realm=a, nonce=\"c\", qop=\"auth\", Basic realm=\"a \\\"b\\\"\"\r\n",
        "426 Upgrade Required\r\nUpgrade: TLS/1.2, HTTP/1.1\r\n", "205 Reset Content\r\nSet-Cookie: a=b; Path=/\r\n",
    ]

    private static func frame(_ generator: inout Generator) -> [UInt8] {
        let opcode: UInt8 = [0, 1, 2, 8, 9, 10].randomElement(using: &generator) ?? 1
        let count = Int.random(in: 0...140, using: &generator)
        let payload =
            opcode == 8 ? [3, 232] : (0..<count).map { _ in UInt8.random(in: 0x20...0x82, using: &generator) }
        return HostileServerHandler.frame(opcode, payload)
    }

    /// One to four things go wrong.
    private static func spoil(_ bytes: inout [UInt8], _ generator: inout Generator) {
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 2: bytes.remove(at: index)
            case 3: bytes.insert(contentsOf: bytes[index..<min(bytes.count, index + 40)], at: index)
            default: bytes.removeLast(Int.random(in: 0...bytes.count, using: &generator))
            }
        }
    }
}

/// Takes the client to the stage, sends the string and ends its stream.
private final class HostileServerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let place: HostileServerTests.Place
    private let strings: HostileStrings
    private var received = ByteBuffer()
    private var decoder = RequestHeadDecoder(limits: .opening)
    private var accept: String?
    private var isDone = false

    init(_ place: HostileServerTests.Place, _ strings: HostileStrings) {
        self.place = place
        self.strings = strings
    }

    static func frame(_ opcode: UInt8, _ payload: [UInt8]) -> [UInt8] {
        let length: [UInt8] =
            payload.count < 126
            ? [UInt8(payload.count)] : [126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        return [0x80 | opcode] + length + payload
    }

    private func acceptance(_ subprotocol: String) -> [UInt8] {
        Array(
            """
            HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(self.accept ?? "")\r\n\
            Sec-WebSocket-Protocol: \(subprotocol)\r\n\r\n
            """.utf8
        )
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        guard !self.isDone else { return }
        if self.accept == nil {
            guard let head = try? self.decoder.decode(&bytes) else { return }
            self.accept = AcceptKey.accept(for: head.fields.first("Sec-WebSocket-Key") ?? "")
            switch self.place {
            case .opening: self.strike(context, behind: []) { self.acceptance("x-kaazing-handshake") }
            case .plain: self.strike(context, behind: self.acceptance("amqp")) { [] }
            case .between: self.strike(context, behind: self.acceptance("x-kaazing-handshake")) { [] }
            case .extended, .open: self.write(context, self.acceptance("x-kaazing-handshake"))
            }
        }
        self.received.writeBuffer(&bytes)
        // The extended request, which is far below 64 KiB; its bytes are not needed.
        guard !self.isDone, self.received.readableBytes > 6 else { return }
        let accepted = Array(
            """
            HTTP/1.1 101 Fine\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: \(self.accept ?? "")\r\n\r\n
            """.utf8
        )
        self.strike(context, behind: self.place == .open ? Self.frame(2, accepted) : []) { [] }
    }

    private func strike(_ context: ChannelHandlerContext, behind start: [UInt8], _ right: () -> [UInt8]) {
        self.isDone = true
        self.write(context, start + self.strings.next(right).readableBytesView)
        context.close(mode: .output, promise: nil)
    }

    private func write(_ context: ChannelHandlerContext, _ bytes: [UInt8]) {
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
