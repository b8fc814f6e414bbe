// A question to the admin address of a gateway, for `khp gateway ctl` and for balancers: one connection, one request, one answer.

package import NIOCore
import NIOHTTP1
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
        let answer = eventLoop.makePromise(of: Answer.self)
        let request = self.request(method, path)
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
                        try pipeline.addHTTPClientHandlers()
                        try pipeline.addHandler(AdminAnswerHandler(most: self.most))
                    }
                }
            // Several addresses may be tried, and each has a channel: the one that has connected asks, and it alone answers.
            let asked = self.connected(by: bootstrap, on: eventLoop).flatMapThrowing { channel -> any Channel in
                try channel.pipeline.syncOperations.handler(type: AdminAnswerHandler.self).ask(request, answer)
                return channel
            }
            let channel = try await asked.get()
            defer { channel.close(promise: nil) }
            return try await answer.futureResult.get()
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

    private func request(_ method: String, _ path: String) -> HTTPRequestHead {
        var fields: HTTPHeaders = ["Connection": "close"]
        switch self.address {
        case .unix: fields.add(name: "Host", value: "localhost")
        case .host(let name, let port): fields.add(name: "Host", value: "\(HostAndPort(name, port))")
        }
        if method != "GET" { fields.add(name: "Content-Length", value: "0") }
        if let token = self.token { fields.add(name: "Authorization", value: "Bearer \(token)") }
        return HTTPRequestHead(version: .http1_1, method: HTTPMethod(rawValue: method), uri: path, headers: fields)
    }
}
