import KHPServer
import KHPTesting
import NIOCore
import NIOSSL
import ServiceLifecycle

/// The two servers of the demo: a plain one whose only path redirects, and one over TLS that asks who is there.
struct DemoServers: Sendable {
    static let realm = "trading desk"
    static let user = "joe"
    static let password = "welcome"
    static let subprotocol = "echo.example"
    static let application = "x-example-uppercase"

    let redirector: WebSocketServer
    let secure: WebSocketServer

    init(secure: WebSocketServer) {
        self.secure = secure
        self.redirector = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) {
            Endpoint("/old", respond: { _ in .redirect(to: await Self.target(secure)) })
        }
    }

    /// The server that the journey ends at.
    static func makeSecure(_ certificate: SelfSignedCertificate) throws -> WebSocketServer {
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.tls = .makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(certificate.certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: certificate.privateKey, format: .pem))
        )
        configuration.limits.messages.messageBytes = 2 << 20
        let authentication = ServerAuthentication(
            realm: realm,
            .digest { $0 == Self.user ? Self.password : nil }
        )
        return WebSocketServer(configuration: configuration) {
            Endpoint(
                "/echo",
                options: .init(
                    subprotocols: [subprotocol],
                    extensions: [UppercaseExtension(), PerMessageDeflate()],
                    authentication: authentication
                ),
                messageHandler: { Echo() }
            )
        }
    }

    private static func target(_ secure: WebSocketServer) async -> String {
        let port = (try? await secure.boundAddress())?.port ?? 0
        return "wss://localhost:\(port)/echo"
    }

    /// Serves until the body returns.
    func serving<R: Sendable>(_ body: @Sendable (_ url: String) async throws -> R) async throws -> R {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [secure] in try await secure.run() }
            group.addTask { [redirector] in try await redirector.run() }
            _ = try await self.secure.boundAddress()
            let port = try await self.redirector.boundAddress().port ?? 0
            defer { group.cancelAll() }
            return try await body("ws://127.0.0.1:\(port)/old")
        }
    }
}

/// An application-class extension, negotiated inside the extended handshake or the opening: the client marks its text
/// messages in capitals, so that one sees on the echo that it was applied.
struct UppercaseExtension: WebSocketExtension {
    let name = DemoServers.application

    func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? {
        role == .client ? Transform() : nil
    }

    private struct Transform: MessageTransform {
        mutating func outbound(_ message: WebSocketMessage) -> WebSocketMessage? {
            guard case .text(let text) = message else { return message }
            return .text(text.uppercased())
        }
    }
}
