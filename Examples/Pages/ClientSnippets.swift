// The client's code in README.md and the documentation catalogs, kept compiling. scripts/check-docs.py holds the
// pages against these sources.

import HTTPTypes
import KHPClient
import NIOCore
import NIOSSL

func firstConnection() async throws {
    let client = WebSocketClient()
    try await client.withConnection(
        to: "wss://example.com/trades",
        subprotocols: ["amqp"]
    ) { socket in
        try await socket.send("hello")
        for try await message in socket.messages { print(message) }
    }
}

func smallestClient() async throws {
    let client = WebSocketClient()
    try await client.withConnection(to: "ws://127.0.0.1:8080/echo") { socket in
        try await socket.send("hello")
        for try await message in socket.messages.prefix(1) {
            print("echoed:", message)
        }
        print("completed with", socket.negotiated.status ?? 0)
    }
}

func closing(_ client: WebSocketClient) async throws {
    let socket = try await client.connect(to: "wss://example.com/trades")
    try await socket.send("hello")
    let end = try await socket.close(code: .normalClosure, reason: "done")
    print(end.code ?? .abnormal, end.clean)
}

func failing(_ client: WebSocketClient, url: String) async throws {
    do {
        try await client.withConnection(to: url) { socket in
            try await socket.send("hello")
        }
    } catch let error as WebSocketError {
        switch error.code {
        case .authenticationFailed: print("Wrong user or password.")
        case .connectFailed where error.detail == .nameNotResolved:
            print("There is no such host.")
        case .timeout, .connectFailed:
            print("Try again later: \(error.message)")
        default: print(error)
        }
        if let response = error.response {
            print(response.status, String(buffer: response.body))
        }
    }
}

func credentials(ask: @escaping @Sendable (_ realm: String) async -> String) -> WebSocketClient {
    var configuration = WebSocketClient.Configuration()
    let login = LoginChallengeHandler { request in
        guard !request.isRedirectedToAnotherOrigin else { return nil }
        return (user: "joe", password: await ask(request.realm ?? "the server"))
    }
    configuration.authentication.challengeHandler = login
    return WebSocketClient(configuration: configuration)
}

func credentialsByLocation(
    askThePerson: @escaping @Sendable (ChallengeRequest) async -> (user: String, password: String)?,
    currentToken: @escaping @Sendable (ChallengeRequest) async -> String?
) throws -> WebSocketClient {
    var configuration = WebSocketClient.Configuration()
    var dispatch = DispatchChallengeHandler()
    try dispatch.register(
        LoginChallengeHandler(askThePerson),
        for: "*.example.com:8000/*",
        realm: "desk"
    )
    try dispatch.register(
        TokenChallengeHandler(currentToken),
        for: "wss://api.example.com"
    )
    configuration.authentication.challengeHandler = dispatch
    return WebSocketClient(configuration: configuration)
}

func trust() throws -> WebSocketClient {
    var configuration = WebSocketClient.Configuration()
    configuration.tls.trustRoots = .file("authority.pem")
    // Where the server asks for a certificate:
    let chain = try NIOSSLCertificate.fromPEMFile("client.pem")
    configuration.tls.certificateChain = chain.map { .certificate($0) }
    configuration.tls.privateKey = .privateKey(
        try NIOSSLPrivateKey(file: "client-key.pem", format: .pem)
    )
    return WebSocketClient(configuration: configuration)
}

func asKaazingClientsDo() -> WebSocketClient {
    var configuration = WebSocketClient.Configuration()
    configuration.extended.kaazingLegacy = true
    return WebSocketClient(configuration: configuration)
}

func throughProxy() throws -> WebSocketClient {
    var configuration = WebSocketClient.Configuration()
    configuration.proxy = .proxy(
        try Proxy("http://joe:welcome@proxy.example:3128"),
        except: "localhost, 10.0.0.0/8"
    )
    return WebSocketClient(configuration: configuration)
}

func throughProxyOfTheEnvironment() -> WebSocketClient {
    var configuration = WebSocketClient.Configuration()
    configuration.proxy = .environment
    configuration.proxyTLS.trustRoots = .file("proxy-authority.pem")
    return WebSocketClient(configuration: configuration)
}

func times() -> WebSocketClient {
    var configuration = WebSocketClient.Configuration()
    configuration.timeouts.total = .seconds(5)
    configuration.keepAlive.pingInterval = .seconds(10)
    configuration.redirects.policy = .sameDomain
    configuration.limits.messages.messageBytes = 16 * 1024 * 1024
    return WebSocketClient(configuration: configuration)
}

func observed() -> WebSocketClient {
    var configuration = WebSocketClient.Configuration()
    configuration.observe = { event, connection in
        switch event {
        case .extendedResponse(_, let status, let action, _):
            print(connection.id, status, action)
        case .redirect(let from, let to, let status, _):
            print(connection.id, status, from.redacted, to.redacted)
        case .closed(let end):
            print(connection.id, end.clean ? "closed" : "lost")
        default: break
        }
    }
    return WebSocketClient(configuration: configuration)
}

func sendingInPieces(_ socket: WebSocket, pieces: some Sequence<ByteBuffer>) async throws {
    try await socket.stream(.binary) { message in
        for piece in pieces { try await message.write(piece) }
    }
}

func receivingInPieces() async throws {
    var configuration = WebSocketClient.Configuration()
    configuration.delivery = .chunks
    let client = WebSocketClient(configuration: configuration)
    try await client.withConnection(to: "wss://example.com/files") { socket in
        for try await chunk in socket.chunks {
            print(chunk.kind, chunk.bytes.readableBytes, chunk.isLast)
        }
    }
}

func extendedRequest() -> WebSocketClient {
    var configuration = WebSocketClient.Configuration()
    configuration.extended.policy = .required
    configuration.extended.method = "POST"
    configuration.extended.headers[.contentType] = "application/json"
    configuration.extended.body = ByteBuffer(string: #"{"since": 17}"#)
    return WebSocketClient(configuration: configuration)
}

/// - Parameter files: certificates with the key in use, and with a second
///   one that is kept for the day on which the first must go.
func pinned(to files: [String]) throws -> WebSocketClient.Configuration {
    let keys = try files.map { file in
        try NIOSSLCertificate.fromPEMFile(file)[0]
            .extractPublicKey().toSPKIBytes()
    }
    var configuration = WebSocketClient.Configuration()
    configuration.checkCertificate = { certificate, host in
        guard host == "orders.example.com" else { return }
        let key = try certificate.extractPublicKey().toSPKIBytes()
        guard keys.contains(key) else { throw UnknownKey() }
    }
    return configuration
}

struct UnknownKey: Error {}
