// The server's code in README.md and the documentation, kept compiling. scripts/check-docs.py holds the
// pages against these sources.

import HTTPTypes
import KHPServer
import Logging
import NIOCore
import NIOSSL
import ServiceLifecycle
import UnixSignals

func smallest() async throws {
    let server = WebSocketServer(
        configuration: .init(address: .hostname("127.0.0.1", port: 8080))
    ) {
        Endpoint("/echo") { socket in
            for try await message in socket.messages {
                try await socket.send(message)
            }
        }
    }
    try await server.run()
}

func endpoints(lookUp: @escaping @Sendable (String, String) async -> Principal?) async throws {
    let server = WebSocketServer(
        configuration: .init(address: .hostname("127.0.0.1", port: 8080))
    ) {
        Endpoint("/echo") { socket in
            for try await message in socket.messages {
                try await socket.send(message)
            }
        }
        Endpoint(
            "/trades",
            options: .init(
                subprotocols: ["amqp"],
                authentication: .init(realm: "desk", .basic(verify: lookUp))
            )
        ) { socket in
            let name = socket.negotiated.principal?.name ?? "nobody"
            try await socket.send("Welcome, \(name)!")
        }
        Endpoint("/old") { _ in .redirect(to: "/trades") }
    }
    try await server.run()
}

func authenticated(
    lookUp: @escaping @Sendable (_ user: String) async -> String?,
    principal: @escaping @Sendable (_ token: String) async -> Principal?
) -> Endpoint {
    @Sendable func password(of user: String) async -> String? {
        await lookUp(user)
    }
    return
        Endpoint(
            "/trades",
            options: .init(
                authentication: .init(
                    realm: "desk",
                    .digest(password: { user in await password(of: user) }),
                    .bearer(verify: principal),
                    sessionLifetime: .seconds(8 * 3600)
                )
            )
        ) { socket in
            let name = socket.negotiated.principal?.name ?? "nobody"
            try await socket.send("Welcome, \(name)!")
        }
}

struct Session {
    var user: String
    var endsAt: Int64
}

protocol Sessions: Sendable {
    func find(_ token: String) async -> Session?
}

func principals(_ sessions: any Sessions) -> AuthenticationScheme {
    AuthenticationScheme.bearer { token in
        guard let session = await sessions.find(token) else { return nil }
        return Principal(
            session.user,
            roles: ["trader"],
            expires: session.endsAt
        )
    }
}

func tickets(_ sessions: any Sessions) -> AuthenticationScheme {
    AuthenticationScheme.request { request in
        guard let ticket = request.cookies["ticket"] else { return .absent }
        guard let session = await sessions.find(ticket) else { return .wrong }
        return .right(Principal(session.user, expires: session.endsAt))
    }
}

func usersFile(_ text: String, key: [UInt8]) throws -> ServerAuthentication {
    let users = try UsersFile(text, name: "users")
    let authentication = ServerAuthentication(
        realm: "desk",
        users.digest(realm: "desk"),
        users.basic,
        nonces: DigestNonceOptions(key: key)
    )
    return authentication
}

func counted(_ users: UsersFile, blocked: @escaping @Sendable () -> Void) -> ServerAuthentication {
    let authentication = ServerAuthentication(
        realm: "desk",
        users.digest(realm: "desk")
    ) { attempt in
        if case .blocked = attempt.outcome { blocked() }
    }
    return authentication
}

func answers() -> Endpoint {
    Endpoint(
        "/orders",
        respond: { request in
            guard request.extended != nil else {
                return .refuse(400, "This needs the extended handshake.")
            }
            guard request.extendedQuery.text != "closed" else {
                return .redirect(to: "/archive", status: 307)
            }
            guard let body = request.body else { return .complete() }
            return .created("\(body.readableBytes) bytes of terms accepted")
        },
        handler: { socket in
            for try await message in socket.messages {
                try await socket.send(message)
            }
        }
    )
}

func later(isReady: @escaping @Sendable () async -> Bool) -> Endpoint {
    Endpoint("/slow") { _ in
        .processing {
            guard await isReady() else { return .refuse(503, "Not today.") }
            return .redirect(to: "/ready")
        }
    }
}

func secure() throws -> WebSocketServer.Configuration {
    var configuration = WebSocketServer.Configuration(
        address: .hostname("0.0.0.0", port: 443)
    )
    let chain = try NIOSSLCertificate.fromPEMFile("server.pem")
    let key = try NIOSSLPrivateKey(file: "server-key.pem", format: .pem)
    configuration.tls = .makeServerConfiguration(
        certificateChain: chain.map { .certificate($0) },
        privateKey: .privateKey(key)
    )
    return configuration
}

func service(_ server: WebSocketServer) async throws {
    let group = ServiceGroup(
        services: [server],
        gracefulShutdownSignals: [.sigint, .sigterm],
        logger: Logger(label: "server")
    )
    try await group.run()
}

/// Echoes on the event loop.
final class Echo: MessageHandler {
    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        try? socket.send(message.kind, message.bytes)
    }
}

func synchronously() -> Endpoint {
    Endpoint("/fast", messageHandler: { Echo() })
}

func bounds() throws -> Endpoint {
    var limits = Endpoint.Limits()
    limits.messages.messageBytes = 64 * 1024
    limits.inboundQueueMessages = 4
    let endpoint = Endpoint(
        "/small",
        options: .init(
            origins: try .allowing(["https://example.com"]),
            limits: limits
        )
    ) { socket in
        for try await message in socket.messages {
            try await socket.send(message)
        }
    }
    return endpoint
}

func behindProxies() -> WebSocketServer.Configuration {
    var configuration = WebSocketServer.Configuration(
        address: .hostname("127.0.0.1", port: 8080)
    )
    configuration.clientAddress = .forwarded(
        .xForwardedFor,
        trusted: ["10.0.0.0/8"]
    )
    return configuration
}

func plainHTTP() -> WebSocketServer.Configuration {
    var configuration = WebSocketServer.Configuration(
        address: .hostname("127.0.0.1", port: 8080)
    )
    configuration.respondToHTTP = { request in
        guard request.path == "/health" else {
            return .text("not here\n", status: 404)
        }
        return .text("fine\n")
    }
    return configuration
}

func rooms() -> Endpoint {
    Endpoint("/rooms/{id}") { socket, request in
        let id = try request.parameters.require("id", as: Int.self)
        try await socket.send("Welcome to room \(id).")
    }
}

struct Account {
    var orders: Int
}

protocol Depot: Sendable {
    func account(of principal: Principal?) async throws -> Account
    func giveBack(_ account: Account) async
}

func orders(_ depot: any Depot) -> Endpoint {
    Endpoint(
        "/orders",
        context: { request in try await depot.account(of: request.principal) },
        release: { account in await depot.giveBack(account) }
    ) { socket, request, account in
        try await socket.send("\(account.orders) orders are open.")
    }
}

protocol FeedConnection: Sendable {
    static func connect(on eventLoop: any EventLoop) async throws -> Self
    func close() async
}

func feed<Upstream: FeedConnection>(
    of type: Upstream.Type,
    _ Feed: @escaping @Sendable (Upstream) -> any MessageHandler
) -> Endpoint {
    Endpoint(
        "/feed",
        context: { request in
            try await Upstream.connect(on: request.eventLoop)
        },
        release: { upstream in await upstream.close() },
        messageHandler: { request, upstream in Feed(upstream) }
    )
}

func built(
    _ configuration: WebSocketServer.Configuration,
    echo: Endpoint,
    rooms: [String],
    chat: (String) -> Endpoint,
    inspector: Endpoint,
    isDebugging: Bool
) async throws {
    let server = WebSocketServer(configuration: configuration) {
        echo
        for room in rooms { chat(room) }
        if isDebugging { inspector }
    }
    try await server.run()
}

func patient(key: [UInt8]) -> Endpoint.Options {
    var options = Endpoint.Options()
    options.timeouts = Endpoint.Timeouts()
    options.timeouts?.processing = .seconds(120)
    options.keepAlive = KeepAliveConfiguration()
    options.keepAlive?.idleTimeout = .seconds(600)
    return options
}
