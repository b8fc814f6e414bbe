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
            certificate = try SelfSignedCertificate()
        } catch {
            throw CommandFailure(.fault, code: "internal", "libcrypto could not make a certificate")
        }
        servers = DemoServers(secure: try DemoServers.makeSecure(certificate))
        self.steps = steps
    }

    func run() async throws {
        let configuration = try configuration()
        try await servers.serving { url in
            let client = WebSocketClient(configuration: configuration)
            let socket = try await client.connect(to: url, subprotocols: [DemoServers.subprotocol])
            try check(socket.negotiated)
            var messages = socket.messages.makeAsyncIterator()
            try await echo(.text("hello"), .text("HELLO"), "text", socket, &messages)
            let bytes = ByteBuffer(bytes: (0...255).map { UInt8($0) })
            try await echo(.binary(bytes), .binary(bytes), "binary", socket, &messages)
            let large = ByteBuffer(repeating: 0xA5, count: 1 << 20)
            try await echo(.binary(large), .binary(large), "binary", socket, &messages)
            let roundTrip = try await socket.ping()
            steps.passed(.app, .received, "pong after \(Ladder.interval(roundTrip.seconds).dropFirst())")
            let info = try await socket.close()
            guard info.clean, info.code == .normalClosure else { throw DemoFailure(LadderStep.closing(info)) }
            steps.passed(.app, .sent, LadderStep.closing(info))
        }
    }

    private func configuration() throws -> WebSocketClient.Configuration {
        var configuration = WebSocketClient.Configuration()
        configuration.tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(certificate.certificate))
        configuration.extensions = [UppercaseExtension(), PerMessageDeflate()]
        configuration.limits.messages.messageBytes = 2 << 20
        // The credentials are meant for the server behind the redirect.
        configuration.challengeHandler = LoginChallengeHandler { request in
            request.realm == DemoServers.realm && request.scheme == "Digest" && request.url.isSecure
                ? (user: DemoServers.user, password: DemoServers.password) : nil
        }
        let steps = steps
        configuration.observe = { event, _ in steps.observe(event) }
        return configuration
    }

    private func check(_ negotiation: HandshakeSummary) throws {
        try expect(negotiation.status == 101, "the extended handshake completed with 101")
        try expect(negotiation.redirects.count == 1, "one redirect was followed")
        try expect(negotiation.challenges == 1, "one challenge was answered")
        try expect(negotiation.subprotocol == DemoServers.subprotocol, "the subprotocol was chosen")
        try expect(
            negotiation.extensions.map(\.name) == [DemoServers.application, "permessage-deflate"],
            "both extensions were negotiated"
        )
        try expect(negotiation.url.isSecure, "TLS is in use")
    }

    private func echo(
        _ message: WebSocketMessage,
        _ expected: WebSocketMessage,
        _ kind: String,
        _ socket: WebSocket,
        _ messages: inout WebSocketMessages.Iterator
    ) async throws {
        try await socket.send(message)
        steps.note(.app, .sent, "\(kind) \(message.size) bytes")
        let answer = try await messages.next()
        guard answer == expected else {
            throw DemoFailure("the echo of the \(kind) message differs from what was sent")
        }
        steps.passed(.app, .received, "\(kind) \(expected.size) bytes, the same")
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
