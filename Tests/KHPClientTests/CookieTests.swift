import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Cookies over real sockets")
struct CookieTests {
    /// A server that sets cookies and tells the Cookie fields it gets, per path.
    private func withCookieServer(
        _ body: (_ port: Int, _ seen: @escaping @Sendable () -> [String]) async throws -> Void
    ) async throws {
        let seen = Mutex<[String]>([])
        @Sendable func note(_ request: HandshakeRequest) {
            guard request.layer == .opening || request.extended != nil else { return }
            seen.withLock { $0.append("\(request.path) \(request.opening.headerFields[.cookie] ?? "-")") }
        }
        func fields(_ values: String...) -> HTTPFields {
            var fields = HTTPFields()
            for value in values { fields.append(HTTPField(name: .setCookie, value: value)) }
            return fields
        }
        let set = fields("a=1; Path=/", "b=2; Path=/set", "c=3; Secure")
        let refused = fields("bad=1; Path=/")
        try await withServer {
            Endpoint("/set") { request in
                note(request)
                return .complete(headers: set)
            }
            Endpoint("/created") { request in
                note(request)
                return .created("", headers: set)
            }
            Endpoint("/refuse") { request in
                note(request)
                return .refuse(403, headers: refused)
            }
            Endpoint("/redirect") { request in
                note(request)
                var answer = HandshakeResponse.redirect(to: "/seen")
                answer.headers.append(HTTPField(name: .setCookie, value: "bad=1; Path=/"))
                return answer
            }
            Endpoint("/challenge") { request in
                note(request)
                guard request.extended?.headerFields[.authorization] == nil else { return .complete() }
                var fields = refused
                fields[.wwwAuthenticate] = "Basic realm=x"
                return .refuse(401, headers: fields)
            }
            Endpoint("/seen") { request in
                note(request)
                return .complete()
            }
        } body: { port in
            try await body(port, { seen.withLock { $0 } })
        }
    }

    @Test(
        "set by the answer that opens the socket, sent with the next opening",
        arguments: ["/set", "/created"],
        [ExtendedHandshakePolicy.required, .off]
    )
    func roundTrip(_ path: String, _ extended: ExtendedHandshakePolicy) async throws {
        guard path == "/set" || extended == .required else { return }
        try await self.withCookieServer { port, seen in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = extended
            let client = WebSocketClient(configuration: configuration)
            try await client.withConnection(to: "ws://127.0.0.1:\(port)\(path)") {
                #expect($0.negotiated.cookies.map(\.name) == (path == "/set" ? ["a", "b"] : ["a", "b"]))
                var text = ""
                dump($0.negotiated, to: &text)
                #expect(!text.contains("a=1"))
            }
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/seen") { _ in }
            try await client.withConnection(to: "ws://localhost:\(port)/seen") { _ in }
            #expect(seen() == ["\(path) -", "/seen a=1", "/seen -"])
            // Another client, another store.
            try await WebSocketClient().withConnection(to: "ws://127.0.0.1:\(port)/seen") { _ in }
            #expect(seen().last == "/seen -")
        }
    }

    /// D44, threat G15.
    @Test("of an opening redirect, but never of a refusal, nor of an answer inside that completes nothing")
    func notEstablished() async throws {
        try await self.withCookieServer { port, seen in
            let store = CookieStore()
            var configuration = WebSocketClient.Configuration()
            configuration.cookies = .store(store)
            configuration.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "x")
            for extended in [ExtendedHandshakePolicy.required, .off] {
                #expect(store.all().isEmpty)
                configuration.extended.policy = extended
                let client = WebSocketClient(configuration: configuration)
                _ = try? await client.connect(to: "ws://127.0.0.1:\(port)/refuse")
                try await client.withConnection(to: "ws://127.0.0.1:\(port)/redirect") { _ in }
                if extended == .required {
                    try await client.withConnection(to: "ws://127.0.0.1:\(port)/challenge") { _ in }
                }
            }
            #expect(store.all().map(\.name) == ["bad"])
            #expect(seen().dropLast().allSatisfy { $0.hasSuffix(" -") })
            #expect(seen().last == "/seen bad=1")
        }
    }

    @Test("deferred: neither sent nor kept, but handed over; none: not even that")
    func deferred() async throws {
        try await self.withCookieServer { port, seen in
            var configuration = WebSocketClient.Configuration()
            configuration.cookies = .deferred
            let url = "ws://127.0.0.1:\(port)/set"
            let deferring = WebSocketClient(configuration: configuration)
            let store = CookieStore()
            try await deferring.withConnection(to: url) { store.set($0.negotiated.cookies) }
            try await deferring.withConnection(to: url) { _ in }
            #expect(seen() == ["/set -", "/set -"])
            #expect(try store.cookies(for: url).map(\.name) == ["b", "a"])
            configuration.cookies = .none
            try await WebSocketClient(configuration: configuration).withConnection(to: url) {
                #expect($0.negotiated.cookies.isEmpty)
            }
            // A store that was handed over can be used.
            configuration.cookies = .store(store)
            try await WebSocketClient(configuration: configuration).withConnection(to: url) { _ in }
            #expect(seen().last == "/set b=2; a=1")
        }
    }

    @Test("a Cookie field of the caller's own goes before the store")
    func ownField() async throws {
        try await self.withCookieServer { port, seen in
            let store = CookieStore()
            let url = "ws://127.0.0.1:\(port)/seen"
            try store.set("a=1", from: url)
            var configuration = WebSocketClient.Configuration()
            configuration.cookies = .store(store)
            try await WebSocketClient(configuration: configuration).withConnection(to: url) { _ in }
            configuration.headers[.cookie] = "mine=1"
            try await WebSocketClient(configuration: configuration).withConnection(to: url) { _ in }
            #expect(seen() == ["/seen a=1", "/seen mine=1"])
        }
    }

    @Test("the store: setting, asking, removing, time")
    func store() throws {
        let now = Mutex<Int64>(0)
        // The clock is an argument.
        let store = CookieStore(clock: { now.withLock { $0 } })
        #expect(try store.set("a=1; Max-Age=10; Path=/", from: "https://h.example/login"))
        #expect(try !store.set("b=1; Domain=other.example", from: "https://h.example/login"))
        #expect(throws: WebSocketError.self) { try store.set("a=1", from: "nonsense") }
        #expect(try store.cookies(for: "wss://h.example/x").map(\.value) == ["1"])
        #expect("\(store)" == "1 cookies")
        now.withLock { $0 = 10 }
        #expect(store.all().isEmpty)
        try store.set("c=1", from: "ws://h.example/")
        for cookie in store.all() { store.remove(cookie) }
        #expect(store.all().isEmpty)
        try store.set("c=1", from: "ws://h.example/")
        store.removeAll()
        #expect(store.all().isEmpty)
    }
}
