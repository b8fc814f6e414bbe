// A question to the admin address of a gateway, for `khp gateway ctl` and for balancers: one connection, one request, one answer.

package import NIOCore
import NIOPosix
package import NIOSSL

package struct AdminClient: Sendable {
    package struct Answer: Sendable {
        package var status: Int
        package var body: String

        package init(status: Int, body: String) {
            self.status = status
            self.body = body
        }
    }

    package enum Failure: Error, Sendable {
        case unreachable(String)
        /// Nothing that is an answer, a part of one, or more than the bound.
        case noAnswer
    }

    private let address: ListenAddress
    private let tls: TLSConfiguration?
    private let token: String?
    private let limit: TimeAmount
    private let most: Int
    var names = HostNames.system

    /// - Parameters:
    ///   - tls: for an address that has some; `nil` speaks plainly.
    ///   - token: the one that the address asks for; `nil` sends none.
    ///   - limit: the time for the whole answer. A reload may take a while.
    ///   - most: the most bytes of an answer; one with more is none.
    package init(
        _ address: ListenAddress,
        tls: TLSConfiguration? = nil,
        token: String? = nil,
        limit: TimeAmount = .seconds(60),
        most: Int = 64 * 1024 * 1024
    ) {
        self.address = address
        self.tls = tls
        self.token = token
        self.limit = limit
        self.most = most
    }

    /// - Parameters:
    ///   - method: such as GET.
    ///   - path: with its query, percent-encoded.
    /// - Throws: ``Failure``.
    package func ask(_ method: String, _ path: String) async throws(Failure) -> Answer {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.any()
        let answer = eventLoop.makePromise(of: WholeAnswer.Received.self)
        let request = ByteBuffer(string: self.request(method, path))
        let late = eventLoop.scheduleTask(in: self.limit) { answer.fail(ConnectFailure(.timeout, Self.tooLate)) }
        defer { late.cancel() }
        do {
            let tls = try self.tls.map { try NIOSSLContext(configuration: $0) }
            let bootstrap = ClientBootstrap(group: eventLoop).connectTimeout(min(self.limit, .seconds(5)))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        if let tls {
                            try pipeline.addHandler(NIOSSLClientHandler(context: tls, serverHostname: self.name))
                        }
                        try pipeline.addHandler(WholeAnswer(most: self.most))
                    }
                }
            // Several addresses may be tried, and each has a channel: the one that has connected asks, and it alone answers.
            let asked = self.connected(by: bootstrap, on: eventLoop).flatMapThrowing { channel -> any Channel in
                try channel.pipeline.syncOperations.handler(type: WholeAnswer.self).promise = answer
                channel.writeAndFlush(request, promise: nil)
                return channel
            }
            let channel = try await asked.get()
            defer { channel.close(promise: nil) }
            let received = try await answer.futureResult.get()
            return try Answer(received.bytes, endsWell: received.endsWell)
        } catch {
            answer.fail(error)
            if let failure = error as? Failure { throw failure }
            throw .unreachable(ConnectFailure(error).words)
        }
    }

    private func connected(by bootstrap: ClientBootstrap, on eventLoop: any EventLoop) -> EventLoopFuture<any Channel> {
        switch self.address {
        case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
        case .host(let host, let port): bootstrap.connect(toHost: host, port: port, by: self.names, on: eventLoop)
        }
    }

    private static let tooLate = "it did not answer in time"

    /// Sent as SNI and verified: an address is no name of a server (RFC 6066 section 3).
    private var name: String? {
        guard case .host(let host, _) = self.address else { return nil }
        return (try? SocketAddress(ipAddress: host, port: 0)) == nil ? host : nil
    }

    private func request(_ method: String, _ path: String) -> String {
        let host: String
        switch self.address {
        case .unix: host = "localhost"
        case .host(let name, let port): host = "\(HostAndPort(name, port))"
        }
        let authorization = self.token.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        return "\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\(authorization)\r\n"
    }
}

/// Takes all that comes until the connection ends.
private final class WholeAnswer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    struct Received: Sendable {
        var bytes = ByteBuffer()
        /// `false` where the connection was lost.
        var endsWell = true
    }

    private let most: Int
    private var received = Received()
    /// Of whoever asks on this channel; `nil` before, and for an address that is not the one.
    var promise: EventLoopPromise<Received>?

    init(most: Int) {
        self.most = most
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        self.received.bytes.writeBuffer(&bytes)
        guard self.received.bytes.readableBytes > self.most else { return }
        self.promise?.fail(AdminClient.Failure.noAnswer)
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Before the answer it tells why there is none; behind one that is whole, a peer may end as it likes.
        if self.received.bytes.readableBytes == 0 { self.promise?.fail(error) }
        self.received.endsWell = false
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { self.promise?.succeed(self.received) }

    func handlerRemoved(context: ChannelHandlerContext) { self.promise?.succeed(self.received) }
}
