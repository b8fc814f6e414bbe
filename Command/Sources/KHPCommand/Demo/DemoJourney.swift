import Foundation
import KHPClient
import KHPTesting
import NIOCore
import NIOSSL
import Synchronization

/// The client's way through the demo: each step is printed as it happens and checked.
struct DemoJourney: Sendable {
    private let servers: DemoServers
    private let certificate: SelfSignedCertificate
    private let steps: DemoSteps

    init(steps: DemoSteps) throws {
        do throws(SelfSignedCertificate.Failure) {
            self.certificate = try SelfSignedCertificate()
        } catch {
            throw CommandFailure(.fault, code: "internal", "libcrypto could not make a certificate")
        }
        self.servers = DemoServers(secure: try DemoServers.makeSecure(self.certificate))
        self.steps = steps
    }

    func run() async throws {
        let configuration = try configuration()
        try await self.servers.serving { url in
            let client = WebSocketClient(configuration: configuration)
            let socket = try await client.connect(to: url, subprotocols: [DemoServers.subprotocol])
            try self.check(socket.negotiated)
            var messages = socket.messages.makeAsyncIterator()
            try await self.echo(.text("hello"), .text("HELLO"), "text", socket, &messages)
            let bytes = ByteBuffer(bytes: (0...255).map { UInt8($0) })
            try await self.echo(.binary(bytes), .binary(bytes), "binary", socket, &messages)
            let large = ByteBuffer(repeating: 0xA5, count: 1 << 20)
            try await self.echo(.binary(large), .binary(large), "binary", socket, &messages)
            let roundTrip = try await socket.ping()
            self.steps.passed(.app, .received, "pong after \(Ladder.interval(roundTrip.seconds).dropFirst())")
            let info = try await socket.close()
            guard info.clean, info.code == .normalClosure else { throw DemoFailure(LadderStep.closing(info)) }
            self.steps.passed(.app, .sent, LadderStep.closing(info))
        }
    }

    private func configuration() throws -> WebSocketClient.Configuration {
        var configuration = WebSocketClient.Configuration()
        configuration.tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(self.certificate.certificate))
        configuration.extensions = [UppercaseExtension(), PerMessageDeflate()]
        configuration.limits.messages.messageBytes = 2 << 20
        // The credentials are meant for the server behind the redirect.
        configuration.authentication.challengeHandler = LoginChallengeHandler { request in
            request.realm == DemoServers.realm && request.scheme == "Digest" && request.url.isSecure
                ? (user: DemoServers.user, password: DemoServers.password) : nil
        }
        let steps = steps
        configuration.observe = { event, _ in steps.observe(event) }
        return configuration
    }

    private func check(_ negotiation: HandshakeSummary) throws {
        try self.expect(negotiation.status == 101, "the extended handshake completed with 101")
        try self.expect(negotiation.redirects.count == 1, "one redirect was followed")
        try self.expect(negotiation.challenges == 1, "one challenge was answered")
        try self.expect(negotiation.subprotocol == DemoServers.subprotocol, "the subprotocol was chosen")
        try self.expect(
            negotiation.extensions.map(\.name) == [DemoServers.application, "permessage-deflate"],
            "both extensions were negotiated"
        )
        try self.expect(negotiation.url.isSecure, "TLS is in use")
    }

    private func echo(
        _ message: WebSocketMessage,
        _ expected: WebSocketMessage,
        _ kind: String,
        _ socket: WebSocket,
        _ messages: inout WebSocketMessages.Iterator
    ) async throws {
        try await socket.send(message)
        self.steps.note(.app, .sent, "\(kind) \(message.size) bytes")
        let answer = try await messages.next()
        guard answer == expected else {
            throw DemoFailure("the echo of the \(kind) message differs from what was sent")
        }
        self.steps.passed(.app, .received, "\(kind) \(expected.size) bytes, the same")
    }

    private func expect(_ condition: Bool, _ what: String) throws {
        guard condition else { throw DemoFailure("not so: \(what)") }
    }
}

extension WebSocketMessage {
    fileprivate var size: Int {
        switch self {
        case .text(let text): text.utf8.count
        case .binary(let bytes): bytes.readableBytes
        }
    }
}
