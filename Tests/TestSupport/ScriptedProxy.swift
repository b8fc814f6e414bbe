// Proxies for tests: on a free loopback port, alive exactly as long as the body runs, and as right or wrong as their
// script. Every name is this machine to them, so that names which nobody else can resolve show who does.

import NIOCore
import NIOPosix
package import NIOSSL
import Synchronization

/// The requests that a scripted proxy has seen.
package final class ProxyLog: Sendable {
    private struct State {
        var connections = 0
        var asked: [String] = []
        var tunnelled = ByteBuffer()
    }

    private let state = Mutex(State())

    /// How many connections came.
    package var connections: Int { self.state.withLock { $0.connections } }
    /// The heads of HTTP and the targets of SOCKS, in order.
    package var asked: [String] { self.state.withLock { $0.asked } }
    /// All that clients sent through tunnels.
    package var tunnelled: String { self.state.withLock { String(buffer: $0.tunnelled) } }

    func connected() { self.state.withLock { $0.connections += 1 } }
    package func asked(_ text: String) { self.state.withLock { $0.asked.append(text) } }
    func tunnelled(_ bytes: ByteBuffer) { _ = self.state.withLock { $0.tunnelled.writeImmutableBuffer(bytes) } }
}

/// A client's connection, as a proxy's script has it.
package struct ProxyClient {
    package struct Ended: Error {}

    package let log: ProxyLog
    /// Which connection of the proxy this is, from 1.
    package let number: Int
    private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private var buffer = ByteBuffer()

    fileprivate init(
        log: ProxyLog,
        inbound: NIOAsyncChannelInboundStream<ByteBuffer>,
        outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) {
        self.log = log
        self.number = log.connections
        self.inbound = inbound.makeAsyncIterator()
        self.outbound = outbound
    }

    // MARK: Bytes

    package mutating func read(_ count: Int) async throws -> [UInt8] {
        while true {
            if let bytes = self.buffer.readBytes(length: count) { return bytes }
            guard let more = try await self.inbound.next() else { throw Ended() }
            self.buffer.writeImmutableBuffer(more)
        }
    }

    package mutating func readUntilZero() async throws -> String {
        var bytes: [UInt8] = []
        while true {
            let byte = try await self.read(1)[0]
            if byte == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
        }
    }

    /// A head of HTTP with its blank line.
    package mutating func readHead() async throws -> String {
        var head = ""
        while !head.hasSuffix("\r\n\r\n") {
            head += String(decoding: try await self.read(1), as: UTF8.self)
        }
        self.log.asked(head)
        return head
    }

    package func write(_ text: String) async throws { try await self.write(Array(text.utf8)) }

    package func write(_ bytes: [UInt8]) async throws {
        try Task.checkCancellation()
        try await self.outbound.write(ByteBuffer(bytes: bytes))
    }

    /// Nothing more happens until the client ends it.
    package mutating func waitForEnd() async throws {
        while try await self.inbound.next() != nil {}
    }

    // MARK: Tunnels

    /// Relays to a port of this machine until both have ended.
    /// - Parameter first: said to that port before anything of the client's.
    package mutating func tunnel(to port: Int, host: String = "127.0.0.1", first: [UInt8] = []) async throws {
        let server = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: true)
                    )
                }
            }
        let toClient = self.outbound
        try await server.executeThenClose { fromServer, toServer in
            async let back: Void = {
                for try await bytes in fromServer { try await toClient.write(bytes) }
                toClient.finish()
            }()
            if !first.isEmpty { try await toServer.write(ByteBuffer(bytes: first)) }
            if self.buffer.readableBytes > 0 {
                self.log.tunnelled(self.buffer)
                try await toServer.write(self.buffer)
            }
            while let bytes = try await self.inbound.next() {
                self.log.tunnelled(bytes)
                try await toServer.write(bytes)
            }
            toServer.finish()
            try await back
        }
    }

    /// Answers a CONNECT properly. With `credentials` (the value of Proxy-Authorization) it asks for them first, on a
    /// connection that it keeps open.
    package mutating func serveConnect(credentials: String? = nil) async throws {
        while true {
            let head = try await self.readHead()
            if let credentials, !head.contains("\r\nProxy-Authorization: \(credentials)\r\n") {
                try await self.write(
                    "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"gate\"\r\n"
                        + "Content-Length: 5\r\n\r\nlogin"
                )
                continue
            }
            try await self.write("HTTP/1.1 200 Connection established\r\n\r\n")
            return try await self.tunnel(to: Self.port(of: head), host: Self.address(of: head))
        }
    }

    /// The host of a CONNECT's target, if it is an address of this machine; the tests' names stand for this machine
    /// too.
    private static func address(of head: String) -> String {
        let target = head.split(separator: " ").dropFirst().first ?? ""
        let host = target.split(separator: ":").first ?? ""
        return host.hasPrefix("127.") ? String(host) : "127.0.0.1"
    }

    /// The port of a CONNECT's target.
    package static func port(of head: String) -> Int {
        let target = head.split(separator: " ").dropFirst().first ?? ""
        return Int(target.split(separator: ":").last ?? "") ?? 0
    }

    /// Answers SOCKS 5 properly; with `login` (`user:password`) it takes nothing else.
    package mutating func serveSocks5(login: String? = nil) async throws {
        let methods = try await self.read(Int(try await self.read(2)[1]))
        guard methods.contains(login == nil ? 0 : 2) else { return try await self.write([5, 0xFF]) }
        try await self.write([5, login == nil ? 0 : 2])
        if let login {
            let user = try await self.read(Int(try await self.read(2)[1]))
            let password = try await self.read(Int(try await self.read(1)[0]))
            let isRight = user + [0x3A] + password == Array(login.utf8)
            try await self.write([1, isRight ? 0 : 1])
            guard isRight else { return }
        }
        let kind = try await self.read(4)[3]
        let host: [UInt8] =
            switch kind {
            case 1: try await self.read(4)
            case 4: try await self.read(16)
            default: try await self.read(Int(try await self.read(1)[0]))
            }
        let port = try await self.read(2)
        self.log.asked(kind == 3 ? String(decoding: host, as: UTF8.self) : "\(host)")
        try await self.write([5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        try await self.tunnel(to: Int(port[0]) << 8 | Int(port[1]))
    }

    /// Answers SOCKS 4a properly.
    package mutating func serveSocks4() async throws {
        let head = try await self.read(8)
        let user = try await self.readUntilZero()
        let host = head[4...].prefix(3).allSatisfy { $0 == 0 } ? try await self.readUntilZero() : "\(head[4...])"
        self.log.asked("\(user)@\(host)")
        try await self.write([0, 0x5A, 0, 0, 0, 0, 0, 0])
        try await self.tunnel(to: Int(head[2]) << 8 | Int(head[3]))
    }
}

/// A proxy around `body`: `script` runs for each connection, and the connection ends with it.
@discardableResult
package func withProxy<Result>(
    host: String = "127.0.0.1",
    tls: TLSConfiguration? = nil,
    _ script: @escaping @Sendable (inout ProxyClient) async throws -> Void,
    body: (_ port: Int, _ log: ProxyLog) async throws -> Result
) async throws -> Result {
    let log = ProxyLog()
    let tasks = Mutex<[Task<Void, Never>]>([])
    let context = try tls.map { try NIOSSLContext(configuration: $0) }
    let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .childChannelOption(.allowRemoteHalfClosure, value: true)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                if let context { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context)) }
                let connection = try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                    wrappingChannelSynchronously: channel,
                    configuration: .init(isOutboundHalfClosureEnabled: true)
                )
                log.connected()
                let task = Task {
                    _ = try? await connection.executeThenClose { inbound, outbound in
                        var client = ProxyClient(log: log, inbound: inbound, outbound: outbound)
                        try await script(&client)
                    }
                }
                tasks.withLock { $0.append(task) }
            }
        }
        .bind(host: host, port: 0)
        .get()
    defer {
        listener.close(promise: nil)
        for task in tasks.withLock({ $0 }) { task.cancel() }
    }
    return try await body(listener.localAddress?.port ?? 0, log)
}
