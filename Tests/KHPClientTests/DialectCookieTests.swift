// Cookies in the openings before RFC 6455: sent with the request, taken from the answer, once the socket stands.

import HTTPTypes
import KHPClient
import KHPServer
import Synchronization
import TestSupport
import Testing

@Suite("Cookies in the dialects before RFC 6455")
struct DialectCookieTests {
    private final class Seen: Sendable {
        private let fields = Mutex<[String]>([])

        var all: [String] { self.fields.withLock { $0 } }

        /// The Cookie field of an opening, and `-` for none.
        func note(_ request: HandshakeRequest) {
            guard request.layer == .opening else { return }
            self.fields.withLock { $0.append("\(request.path) \(request.opening.headerFields[.cookie] ?? "-")") }
        }
    }

    private func withCookieServer(
        _ dialect: Dialect,
        _ seen: Seen,
        _ body: (_ port: Int) async throws -> Void
    ) async throws {
        var set = HTTPFields()
        set.append(HTTPField(name: .setCookie, value: "a=1; Path=/"))
        set.append(HTTPField(name: .setCookie, value: "b=2; Path=/set"))
        set.append(HTTPField(name: .setCookie, value: "c=3; Secure"))
        let early = HTTPField(name: .setCookie, value: "early=1; Path=/")
        let fields = set
        try await withServer {
            Endpoint(
                "/set",
                options: .init(dialects: [dialect]),
                respond: { request in
                    seen.note(request)
                    return .complete(headers: fields)
                },
                handler: { _ in }
            )
            Endpoint(
                "/redirect",
                options: .init(dialects: [dialect]),
                respond: { request in
                    seen.note(request)
                    var answer = HandshakeResponse.redirect(to: "/seen")
                    answer.headers.append(early)
                    return answer
                },
                handler: { _ in }
            )
            Endpoint(
                "/challenge",
                options: .init(dialects: [dialect]),
                respond: { request in
                    seen.note(request)
                    guard request.opening.headerFields[.authorization] == nil else { return .complete() }
                    var answer = HandshakeResponse.refuse(401, headers: [.wwwAuthenticate: "Basic realm=x"])
                    answer.headers.append(early)
                    return answer
                },
                handler: { _ in }
            )
            Endpoint(
                "/seen",
                options: .init(dialects: [dialect]),
                respond: { request in
                    seen.note(request)
                    return .complete()
                },
                handler: { _ in }
            )
        } body: {
            try await body($0)
        }
    }

    @Test("set by the 101, sent with the next opening of that host (H69-5, W10-1, W10-7)", arguments: DialectTests.old)
    func roundTrip(_ dialect: Dialect) async throws {
        let seen = Seen()
        try await self.withCookieServer(dialect, seen) { port in
            let store = CookieStore()
            var configuration = DialectTests.configuration(dialect, .off)
            configuration.cookies = .store(store)
            let client = WebSocketClient(configuration: configuration)
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/set") {
                #expect($0.negotiated.dialect == dialect)
                // Secure ones are for wss alone.
                #expect($0.negotiated.cookies.map(\.name) == ["a", "b"])
            }
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/seen") { _ in }
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/set") { _ in }
            try await client.withConnection(to: "ws://localhost:\(port)/seen") { _ in }
            #expect(seen.all == ["/set -", "/seen a=1", "/set b=2; a=1", "/seen -"])
        }
    }

    @Test("set by the answer inside as well, with the extended handshake", arguments: DialectTests.old)
    func extended(_ dialect: Dialect) async throws {
        let seen = Seen()
        try await self.withCookieServer(dialect, seen) { port in
            let client = WebSocketClient(configuration: DialectTests.configuration(dialect, .required))
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/set") {
                #expect($0.negotiated.status == 101)
                #expect($0.negotiated.cookies.map(\.name) == ["a", "b"])
            }
            #expect(try client.storedCookies(for: "ws://127.0.0.1:\(port)/set") == ["b", "a"])
        }
    }

    @Test(
        "of an opening that is redirected or challenged: kept in hixie-75, dropped with two keys (D44, W10-5, W10-11)",
        arguments: DialectTests.old
    )
    func notEstablished(_ dialect: Dialect) async throws {
        let seen = Seen()
        try await self.withCookieServer(dialect, seen) { port in
            let store = CookieStore()
            var configuration = DialectTests.configuration(dialect, .off)
            configuration.cookies = .store(store)
            configuration.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "x")
            let client = WebSocketClient(configuration: configuration)
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/redirect") {
                #expect($0.negotiated.redirects.count == 1)
                #expect($0.negotiated.cookies.isEmpty)
            }
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/challenge") {
                #expect($0.negotiated.challenges == 1)
            }
            guard dialect == .hixie75 else {
                #expect(store.all().isEmpty)
                #expect(seen.all == ["/redirect -", "/seen -", "/challenge -", "/challenge -"])
                return
            }
            #expect(store.all().map(\.name) == ["early"])
            #expect(seen.all == ["/redirect -", "/seen early=1", "/challenge early=1", "/challenge early=1"])
        }
    }

    @Test("deferred: handed to the caller and neither kept nor sent (W10-11)", arguments: DialectTests.old)
    func deferred(_ dialect: Dialect) async throws {
        let seen = Seen()
        try await self.withCookieServer(dialect, seen) { port in
            var configuration = DialectTests.configuration(dialect, .off)
            configuration.cookies = .deferred
            let client = WebSocketClient(configuration: configuration)
            for _ in 1...2 {
                try await client.withConnection(to: "ws://127.0.0.1:\(port)/set") {
                    #expect($0.negotiated.cookies.map(\.value) == ["1", "2"])
                }
            }
            #expect(seen.all == ["/set -", "/set -"])
        }
    }
}

extension WebSocketClient {
    fileprivate func storedCookies(for url: String) throws -> [String] {
        guard case .store(let store) = self.configuration.cookies else { return [] }
        return try store.cookies(for: url).map(\.name)
    }
}
