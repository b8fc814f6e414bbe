// A client's set-up of HTTP/2 on a connection, over a channel in memory: what it tells the server, and what it makes of the
// server's settings.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import KHPClient
@testable import KHPHTTP2

/// A connection on which TLS has agreed on HTTP/2. Used on one thread, without an `await` in between.
private final class Opening {
    struct Made: Error {}

    private final class Seen: Sendable {
        let outcome = Mutex<String?>(nil)
        let shared = Mutex(0)
    }

    let channel = EmbeddedChannel()
    var loop: EmbeddedEventLoop { self.channel.embeddedEventLoop }
    private let seen = Seen()
    /// The outcome: `true`, `false`, `made` where the first stream's handler was made, or an error.
    var outcome: String? { self.seen.outcome.withLock { $0 } }
    /// How many connections were offered to others.
    var shared: Int { self.seen.shared.withLock { $0 } }

    init() throws {
        let seen = self.seen
        try self.channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        WebSocketClient.HTTP2(.preferred, sharesConnections: true).open(
            on: self.channel,
            limits: Limits(),
            within: .seconds(2),
            sharing: { _ in seen.shared.withLock { $0 += 1 } }
        ) { _ in
            throw Made()
        }.whenComplete { result in
            let outcome =
                switch result {
                case .success(let takes): "\(takes)"
                case .failure(is Made): "made"
                case .failure(let error as WebSocketError): "\(error.code)"
                case .failure(let error): "\(error)"
                }
            seen.outcome.withLock { $0 = outcome }
        }
    }

    deinit { _ = try? self.channel.finish(acceptAlreadyClosed: true) }

    /// The server's first settings.
    func receive(_ settings: [(UInt16, UInt32)]) throws {
        var frame = ByteBuffer(bytes: [0, 0, UInt8(6 * settings.count), 4, 0, 0, 0, 0, 0])
        for (parameter, value) in settings { frame.writeMultipleIntegers(parameter, value) }
        try self.channel.writeInbound(frame)
        self.loop.run()
    }

    /// The settings that the client has sent first.
    func sent() throws -> [UInt16: UInt32] {
        var bytes = ByteBuffer()
        while let part = try self.channel.readOutbound(as: IOData.self) {
            if case .byteBuffer(let part) = part { bytes.writeImmutableBuffer(part) }
        }
        #expect(bytes.readString(length: 24) == "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        guard let head = bytes.readInteger(as: UInt32.self), head & 0xFF == 4, bytes.readBytes(length: 5) != nil else {
            return [:]
        }
        var settings: [UInt16: UInt32] = [:]
        for _ in 0..<(head >> 8) / 6 {
            guard let (parameter, value) = bytes.readMultipleIntegers(as: (UInt16, UInt32).self) else { break }
            settings[parameter] = value
        }
        return settings
    }
}

/// SETTINGS_MAX_CONCURRENT_STREAMS and SETTINGS_ENABLE_CONNECT_PROTOCOL.
private let (streams, connect): (UInt16, UInt16) = (3, 8)

@Suite("A client's HTTP/2 on a connection (RFC 8441 section 3)") struct ClientHTTP2Tests {
    @Test("it is off where nobody asks for it, and a shared connection stays for half a minute")
    func defaults() {
        let http2 = WebSocketClient.Configuration().http2
        #expect(http2.use == .off && !http2.sharesConnections && http2.idleTime == .seconds(30))
        #expect(!http2.isOffered && !http2.isRequired)
        #expect(WebSocketClient.HTTP2.preferred.isOffered && !WebSocketClient.HTTP2.preferred.isRequired)
        #expect(WebSocketClient.HTTP2.required.isOffered && WebSocketClient.HTTP2.required.isRequired)
    }

    @Test("its settings: no pushes, the bound on heads, and 256 KiB before the application takes them (threat A21)")
    func settings() throws {
        #expect(try Opening().sent() == [2: 0, 6: UInt32(Limits().headBytes), 4: 262_144])
    }

    @Test(
        "a stream is made where the server takes WebSockets and has room for one",
        arguments: [
            ([(connect, 1)], "made", 1), ([(streams, 1), (connect, 1)], "made", 1), ([], "false", 0),
            ([(connect, 0)], "false", 0), ([(streams, 1)], "false", 0),
            ([(connect, 1), (streams, 0)], "\(WebSocketError.Code.connectFailed)", 1),
        ] as [([(UInt16, UInt32)], String, Int)]
    )
    func outcomes(settings: [(UInt16, UInt32)], outcome: String, shared: Int) throws {
        let opening = try Opening()
        #expect(opening.outcome == nil)
        try opening.receive(settings)
        #expect(opening.outcome == outcome)
        #expect(opening.shared == shared)
        // Later settings change nothing.
        opening.loop.advanceTime(by: .seconds(2))
        #expect(opening.outcome == outcome)
    }

    @Test("a server that does not say is waited for as long as may be, and the connection ends a second later")
    func silent() throws {
        let opening = try Opening()
        opening.loop.advanceTime(by: .milliseconds(1_999))
        #expect(opening.outcome == nil)
        opening.loop.advanceTime(by: .milliseconds(1))
        #expect(opening.outcome == "timeout")
        opening.loop.advanceTime(by: .milliseconds(999))
        #expect(opening.channel.isActive)
        opening.loop.advanceTime(by: .milliseconds(1))
        opening.loop.run()
        #expect(!opening.channel.isActive)
    }

    @Test(
        "a server that breaks the connection's rules loses it (RFC 9113 section 5.4.1, threat A19)",
        arguments: [
            // PING on a stream, and a window beyond all bounds.
            [0, 0, 8, 6, 0, 0, 0, 0, 1] + [UInt8](repeating: 0, count: 8),
            [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0xFF, 0xFF, 0xFF, 0xFF],
        ] as [[UInt8]]
    )
    func broken(frame: [UInt8]) throws {
        let opening = try Opening()
        try opening.receive([(connect, 1)])
        #expect(opening.channel.isActive)
        _ = try? opening.channel.writeInbound(ByteBuffer(bytes: frame))
        opening.loop.run()
        #expect(!opening.channel.isActive)
    }

    @Test("a connection that ends or fails before the settings is an error")
    func ends() throws {
        struct Broken: Error {}
        let closed = try Opening()
        closed.channel.close(promise: nil)
        closed.loop.run()
        #expect(closed.outcome == "\(WebSocketError.Code.closedDuringHandshake)")
        let failed = try Opening()
        failed.channel.pipeline.fireErrorCaught(Broken())
        failed.loop.run()
        #expect(failed.outcome == "\(WebSocketError.Code.closedDuringHandshake)")
    }
}
