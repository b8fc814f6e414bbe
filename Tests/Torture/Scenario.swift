// A caller's use of the product, from the connect to the end: the rows of the torture.

import KHPProtocol
import KHPServer
import KHPWebSocket
import NIOCore
import TestSupport
import Testing

@testable import KHPClient

struct Scenario: Sendable, CustomTestStringConvertible {
    /// The result of a caller to whom another message comes than was sent.
    static let anotherMessage = "another message"

    var name: String
    var isSecure = false
    /// `true` where a proxy is spoken to over TLS.
    var isProxySecure = false
    /// `true` where the server asks for a certificate of the client's.
    var asksForCertificate = false
    /// `true` where nothing but TLS fails.
    var isTLSAlone = false
    /// `true` where the server speaks HTTP/2 too.
    var usesStreams = false
    /// Another server, whose connections WebSocket shares.
    var host: Host?
    /// `true` where each connection begins with a PROXY header.
    var beginsWithProxyHeader = false
    /// `true` where all of it is for `make torture` alone: over sockets nothing of it is taken otherwise.
    var isLong = false
    /// The only operation that fails; all of them where there is none.
    var only: Operation?
    /// `true` where sockets add nothing, or a peer of the test's has none.
    var isInMemory = false
    var configure: @Sendable (inout WebSocketClient.Configuration) -> Void = { _ in }
    /// The caller's part.
    /// - Returns: the result that the caller gets where nothing fails.
    var act: @Sendable (any TortureWorld) async throws -> String

    /// Tells if a caller does not notice a fault in memory, where each host has a second address.
    func isNoticed(_ fault: Fault) -> Bool {
        if fault.way == .isSlow || fault.isOfGoodbye { return false }
        guard fault.number == 1 else { return true }
        switch (fault.operation, fault.way) {
        case (.connect, .fails): return false
        // TLS to the proxy is not complete, so nothing has been asked either.
        case (.read(.client), .resets), (.read(.client), .isCut): return !self.isProxySecure
        // Nothing has been asked of the proxy yet.
        case (.up(.client), .resets): return !self.name.contains("through")
        default: return true
        }
    }

    /// `true` for ordinary HTTP on a connection of its own.
    var isHTTP: Bool { self.name.hasPrefix("HTTP,") }

    /// Every so many-th operation of a kind fails in memory, where not all is asked for: TLS takes most of a run's time.
    var stride: Int { self.usesStreams || self.isLong ? 5 : 1 }

    var testDescription: String { self.name }

    /// Sends a word and waits for it to come back.
    static func echo(_ path: String) -> @Sendable (any TortureWorld) async throws -> String {
        { world in
            try await world.client.withConnection(to: world.url(path)) { socket in
                try await socket.send("hi")
                guard case .text(let text) = try await socket.receive() else { return "" }
                return text
            }
        }
    }

    private static func plain(_ configuration: inout WebSocketClient.Configuration) {
        configuration.extended.policy = .off
    }

    private static func extended(_ configuration: inout WebSocketClient.Configuration) {
        configuration.extended.policy = .required
    }

    private static func login(_ configuration: inout WebSocketClient.Configuration) {
        configuration.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
    }

    private static func proxy(_ url: String) -> @Sendable (inout WebSocketClient.Configuration) -> Void {
        { configuration in
            configuration.extended.policy = .off
            if let proxy = try? Proxy(url) { configuration.proxy = .proxy(proxy) }
        }
    }

    static let all = Self.sockets + Self.ordinary + Self.overStreams

    private static let sockets: [Scenario] = [
        Scenario(name: "plain opening", configure: Self.plain, act: Self.echo("/echo")),
        Scenario(name: "both handshakes", configure: Self.extended, act: Self.echo("/echo")),
        Scenario(
            name: "401, answered in the opening",
            configure: {
                Self.plain(&$0)
                Self.login(&$0)
            },
            act: Self.echo("/desk")
        ),
        Scenario(
            name: "401, answered in the extended handshake",
            configure: {
                Self.extended(&$0)
                Self.login(&$0)
            },
            act: Self.echo("/desk")
        ),
        Scenario(name: "redirect of the opening", configure: Self.plain, act: Self.echo("/old")),
        Scenario(name: "redirect of the extended handshake", configure: Self.extended, act: Self.echo("/old")),
        Scenario(name: "202", configure: Self.extended, act: Self.echo("/slow")),
        Scenario(name: "through CONNECT", configure: Self.proxy("http://proxy.example:3128"), act: Self.echo("/echo")),
        Scenario(
            name: "through CONNECT over TLS to the proxy",
            isProxySecure: true,
            isInMemory: true,
            configure: Self.proxy("https://localhost:3129"),
            act: Self.echo("/echo")
        ),
        Scenario(
            name: "through SOCKS 5",
            configure: Self.proxy("socks5://proxy.example:1080"),
            act: Self.echo("/echo")
        ),
        Scenario(name: "over TLS", isSecure: true, configure: Self.plain, act: Self.echo("/echo")),
        Scenario(
            name: "over TLS through CONNECT",
            isSecure: true,
            configure: Self.proxy("http://proxy.example:3128"),
            act: Self.echo("/echo")
        ),
        Scenario(
            name: "over TLS, with a certificate of the client's",
            isSecure: true,
            asksForCertificate: true,
            isTLSAlone: true,
            configure: Self.plain,
            act: Self.echo("/echo")
        ),
        Scenario(name: "messages both ways", configure: Self.plain) { world in
            try await world.client.withConnection(to: world.url("/echo")) { socket in
                let bytes = ByteBuffer(repeating: 7, count: 1000)
                for _ in 0..<8 { try await socket.send(bytes) }
                var count = 0
                for try await message in socket.messages {
                    guard message == .binary(bytes) else { return Self.anotherMessage }
                    count += 1
                    if count == 8 { return "hi" }
                }
                throw WebSocketError(.closed, "The messages ended early.")
            }
        },
        Scenario(name: "a full window", configure: Self.plain) { world in
            try await world.client.withConnection(to: world.url("/late")) { socket in
                // More than the inbox, the wire and the send buffer hold.
                let bytes = ByteBuffer(repeating: 7, count: 45_000)
                for _ in 0..<4 { try await socket.send(bytes) }
                guard case .text(let text) = try await socket.receive() else { return "" }
                return text
            }
        },
        Scenario(
            name: "compressed",
            configure: {
                Self.plain(&$0)
                $0.extensions = [PerMessageDeflate()]
                $0.requiredExtensions = ["permessage-deflate"]
            },
            act: Self.echo("/echo")
        ),
        Scenario(name: "a message in pieces", configure: Self.plain) { world in
            try await world.client.withConnection(to: world.url("/echo")) { socket in
                try await socket.stream(.text) { message in
                    try await message.write(ByteBuffer(string: "h"))
                    try await message.write(ByteBuffer(string: "i"))
                }
                guard case .text(let text) = try await socket.receive() else { return "" }
                return text
            }
        },
        Scenario(name: "a series of connects", configure: Self.plain) { world in
            var policy = ReconnectPolicy()
            policy.initialDelay = .milliseconds(2)
            policy.attempts = 3
            return try await world.client.withReconnection(to: world.url("/echo"), policy: policy) { socket in
                try await socket.send("hi")
                guard case .text(let text) = try await socket.receive() else { return "" }
                return text
            }
        },
        Scenario(name: "ping", configure: Self.plain) { world in
            try await world.client.withConnection(to: world.url("/echo")) { socket in
                _ = try await socket.ping()
                return "hi"
            }
        },
        Scenario(name: "the server closes", configure: Self.plain) { world in
            try await world.client.withConnection(to: world.url("/bye")) { socket in
                var last = ""
                for try await message in socket.messages {
                    if case .text(let text) = message { last = text }
                }
                let end = try await socket.closed()
                guard end.code == .normalClosure else { throw end.error ?? WebSocketError(.closed, "\(end)") }
                return last
            }
        },
        Scenario(name: "the client closes", configure: Self.plain) { world in
            let socket = try await world.client.connect(to: world.url("/echo"))
            try await socket.send("hi")
            let end = try await socket.close()
            guard end.clean else { throw end.error ?? WebSocketError(.closed, "\(end)") }
            return "hi"
        },
        Scenario(name: "the server drains", configure: Self.extended) { world in
            let socket = try await world.client.connect(to: world.url("/echo"))
            let other = try await world.client.connect(to: world.url("/echo"))
            async let drained: Void = world.drain()
            let ends = try await [socket.closed(), other.closed()]
            await drained
            guard ends.allSatisfy({ $0.code == .goingAway }) else {
                throw ends[0].error ?? ends[1].error ?? WebSocketError(.closed, "\(ends)")
            }
            return "hi"
        },
        Scenario(name: "the server drains while somebody comes", isInMemory: true, configure: Self.plain) { world in
            let socket = try await world.client.connect(to: world.url("/echo"))
            async let other = try? world.client.connect(to: world.url("/echo"))
            // Any of the faults may keep the second away, and nothing tells that it does not come.
            for _ in 0..<500 where world.connections < 2 { try? await Task.sleep(for: .milliseconds(1)) }
            let began = ContinuousClock.now
            await world.drain()
            // One that never came up has nothing to say, and is not waited for.
            let isForced = ContinuousClock.now - began > .milliseconds(500) * Sanitizer.patience
            if isForced, world.plan.fault?.operation == .register { return "a drain by force" }
            let ends = [try await socket.closed(), try await other?.closed()].compactMap { $0 }
            guard ends.allSatisfy({ $0.code == .goingAway }) else {
                throw ends.compactMap(\.error).first ?? WebSocketError(.closed, "\(ends)")
            }
            return "hi"
        },
        // Whoever waits long is cancelled meanwhile, and is told at once.
        Scenario(
            name: "an endpoint thinks behind a 202",
            only: .turn,
            isInMemory: true,
            configure: Self.extended,
            act: Self.echo("/thinks")
        ),
        Scenario(name: "a wait for the end", only: .turn, isInMemory: true, configure: Self.plain) { world in
            let socket = try await world.client.connect(to: world.url("/sleeps"))
            do {
                let end = try await socket.closed()
                guard end.code == .normalClosure else { throw end.error ?? WebSocketError(.closed, "\(end)") }
                return "hi"
            } catch {
                // Not within the task that is cancelled, which would close with another code.
                Task { try? await socket.close() }
                throw error
            }
        },
        Scenario(name: "hixie-76", configure: { $0.dialect = .hixie76 }, act: Self.echo("/old-dialects")),
        Scenario(name: "hixie-75", configure: { $0.dialect = .hixie75 }, act: Self.echo("/old-dialects")),
        Scenario(name: "messages to a handler", configure: Self.plain) { world in
            let end = try await world.client.run(to: world.url("/bye")) { Idle() }
            guard end.clean else { throw end.error ?? WebSocketError(.closed, "\(end)") }
            return "hi"
        },
    ]

    private final class Idle: MessageHandler {
        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {}
    }

    /// - Parameter second: the target of the redirects.
    static func endpoints(_ second: @escaping @Sendable () -> String) -> [Endpoint] {
        let authentication = ServerAuthentication(realm: "desk", .basic { $1 == "welcome" ? Principal($0) : nil })
        let echo: @Sendable (WebSocket) async throws -> Void = { socket in
            for try await message in socket.messages { try await socket.send(message) }
        }
        return [
            Endpoint("/echo", options: .init(extensions: [PerMessageDeflate()]), handler: echo),
            Endpoint("/desk", options: .init(authentication: authentication), handler: echo),
            Endpoint("/old") { _ in .redirect(to: second()) },
            Endpoint(
                "/slow",
                respond: { _ in
                    .processing {
                        try await Task.sleep(for: .milliseconds(5))
                        return .complete()
                    }
                },
                handler: echo
            ),
            Endpoint(
                "/thinks",
                respond: { _ in
                    .processing {
                        try await Task.sleep(for: Self.longWait)
                        return .complete()
                    }
                },
                handler: echo
            ),
            Endpoint("/sleeps", options: .init(limits: Self.narrow)) { socket in
                // The handler of a server is not cancelled when its socket closes.
                let sleep = Task { try await Task.sleep(for: Self.longWait) }
                Task {
                    _ = try? await socket.closed()
                    sleep.cancel()
                }
                _ = await sleep.result
                try await socket.close()
            },
            Endpoint("/late", options: .init(limits: Self.narrow)) { socket in
                try await Task.sleep(for: .milliseconds(10))
                for _ in 0..<4 { _ = try await socket.receive() }
                try await socket.send("hi")
                for try await _ in socket.messages {}
            },
            Endpoint("/bye") { socket in
                try await socket.send("hi")
                try await socket.close()
            },
            Endpoint("/old-dialects", options: .init(dialects: [.hixie76, .hixie75]), handler: echo),
        ]
    }

    /// Longer than anything takes that nobody has to wait for.
    static let longWait = Duration.seconds(3) * Sanitizer.patience

    private static let narrow: Endpoint.Limits = {
        var limits = Endpoint.Limits()
        limits.inboundQueueMessages = 1
        limits.inboundQueueBytes = 1000
        return limits
    }()
}
