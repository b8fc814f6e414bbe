// A question to the admin address of a gateway, for `khp gateway ctl`: one connection, one request, one answer.

import NIOCore
import NIOPosix

package struct AdminClient: Sendable {
    package struct Answer: Sendable {
        package var status: Int
        package var body: String
    }

    package enum Failure: Error, Sendable {
        case unreachable(String)
        case noAnswer
    }

    /// The most bytes of an answer that are read.
    private static let most = 64 * 1024 * 1024

    private let address: ListenAddress
    private let token: String?

    /// - Parameter token: the one that the address asks for; `nil` sends none.
    package init(_ address: ListenAddress, token: String? = nil) {
        self.address = address
        self.token = token
    }

    /// - Parameters:
    ///   - method: such as GET.
    ///   - path: with its query, percent-encoded.
    /// - Throws: ``Failure``.
    package func ask(_ method: String, _ path: String) async throws(Failure) -> Answer {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.any()
        let answer = eventLoop.makePromise(of: ByteBuffer.self)
        let request = ByteBuffer(string: self.request(method, path))
        let bootstrap = ClientBootstrap(group: eventLoop).connectTimeout(.seconds(5)).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(WholeAnswer(answer, most: Self.most))
            }
        }
        do {
            let channel: any Channel
            switch self.address {
            case .unix(let path): channel = try await bootstrap.connect(unixDomainSocketPath: path).get()
            case .host(let host, let port): channel = try await bootstrap.connect(host: host, port: port).get()
            }
            try await channel.writeAndFlush(request)
        } catch {
            answer.fail(error)
            throw .unreachable(ConnectFailure(error).words)
        }
        guard let bytes = try? await answer.futureResult.get() else { throw .noAnswer }
        return try Self.answer(String(buffer: bytes))
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

    private static func answer(_ text: String) throws(Failure) -> Answer {
        guard let head = text.firstRange(of: "\r\n\r\n"),
            let status = text[..<head.lowerBound].split(separator: " ", maxSplits: 2).dropFirst().first.flatMap({
                Int($0)
            })
        else { throw .noAnswer }
        return Answer(status: status, body: String(text[head.upperBound...]))
    }
}

/// All that comes until the connection ends.
private final class WholeAnswer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let answer: EventLoopPromise<ByteBuffer>
    private let most: Int
    private var bytes = ByteBuffer()

    init(_ answer: EventLoopPromise<ByteBuffer>, most: Int) {
        self.answer = answer
        self.most = most
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        self.bytes.writeBuffer(&bytes)
        if self.bytes.readableBytes > self.most { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func handlerRemoved(context: ChannelHandlerContext) { self.answer.succeed(self.bytes) }
}
