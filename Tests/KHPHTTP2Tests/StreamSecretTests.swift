// HTTP/2 changes nothing about what leaves its origin: the secrets of a connect that is led elsewhere, on connections
// that are shared and on those that are not (threat F1).

import HTTPTypes
import KHPClient
import KHPHTTP2
import KHPProtocol
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("The leak matrix over HTTP/2: what leaves its origin is nothing")
struct StreamSecretTests {
    /// Secrets that a client has for the first server.
    enum Secrets: CaseIterable {
        /// Authorization, Cookie and X-Api-Key of the caller's, and a field inside.
        case fields
        /// An answer to a challenge in either handshake.
        case openingLogin, extendedLogin
        /// Credentials that are sent unasked.
        case preemptive
        /// A cookie of the store.
        case cookie
    }

    private static let canary = "cNrY7qZ"

    private static let spellings = SecretSpellings.of(canary)

    private static func shows(_ text: String) -> Bool { self.spellings.contains { text.contains($0) } }

    /// All that a server has been told.
    private final class Heard: Sendable {
        private let requests = Mutex<[String]>([])

        func note(_ request: HandshakeRequest) {
            let fields = Array(request.headers) + Array(request.extended?.headerFields ?? [:])
            let text = fields.map { "\($0.name): \($0.value)" }.joined(separator: "\n")
            self.requests.withLock { $0.append(text) }
        }

        func take() -> [String] {
            self.requests.withLock { requests in
                defer { requests = [] }
                return requests
            }
        }
    }

    /// Leads from `/away/LAYER/STATUS`, once who comes has logged in where the cell has it, to `target`.
    private static func away(_ heard: Heard, _ target: @escaping @Sendable () -> String) -> Endpoint {
        Endpoint("/away/{layer}/{status}/{login}") { request in
            heard.note(request)
            let wanted = request.parameters["login"]
            if wanted == request.layer.rawValue, request.authorization == nil { return .challenge("Basic realm=r") }
            var response = HandshakeResponse(status: request.parameters["status"].flatMap { Int($0) } ?? 302)
            response.headers[.location] = target()
            response.headers[.setCookie] = "first=\(Self.canary); Path=/"
            return response
        } handler: { _ in
        }
    }

    private static func give(
        _ secrets: Secrets,
        of origin: String,
        _ configuration: inout WebSocketClient.Configuration
    ) throws {
        switch secrets {
        case .fields:
            configuration.headers[.authorization] = "Bearer \(canary)"
            configuration.headers[.cookie] = "session=\(canary)"
            if let name = HTTPField.Name("X-Api-Key") {
                configuration.headers[name] = canary
                configuration.extended.headers[name] = canary
            }
        case .openingLogin, .extendedLogin:
            configuration.authentication.challengeHandler = BasicChallengeHandler(user: canary, password: canary)
        case .preemptive:
            let login = Credentials.basic(user: canary, password: canary)
            configuration.authentication.preemptive = [try PreemptiveCredentials(login, origin: origin)]
        case .cookie:
            let store = CookieStore()
            try store.set("session=\(canary); Path=/", from: origin)
            configuration.cookies = .store(store)
        }
    }

    @Test(
        "what is the first server's stays there, in each handshake and code, shared or not",
        arguments: [true, false]
    )
    func leaks(_ isShared: Bool) async throws {
        let heard = Heard()
        let heardFirst = Heard()
        try await withHTTP2Server {
            Endpoint("/there") { request in
                heard.note(request)
                return .complete()
            } handler: { socket in
                try await socket.send("there")
            }
        } body: { second in
            try await withHTTP2Server {
                Self.away(heardFirst) { second + "/there" }
            } body: { first in
                // The second server does get what is its own: the look at its requests sees it.
                for secrets in [Secrets.fields, .preemptive, .cookie] {
                    var given = WebSocketClient.Configuration()
                    try Self.give(secrets, of: second, &given)
                    let client = try makeClient(.init(.required, sharesConnections: isShared)) { [given] in
                        $0.headers = given.headers
                        $0.authentication = given.authentication
                        $0.cookies = given.cookies
                    }
                    _ = try await client.withConnection(to: second + "/there") { try await $0.receive() }
                    #expect(heard.take().contains { Self.shows($0) }, "\(secrets)")
                }
                for secrets in Secrets.allCases {
                    for layer in [HandshakeLayer.opening, .extended] {
                        for status in [301, 302, 303, 307] {
                            let comment: Comment = "\(secrets) \(layer) \(status)"
                            let login: HandshakeLayer? =
                                secrets == .openingLogin ? .opening : secrets == .extendedLogin ? .extended : nil
                            // An endpoint is asked in one of the handshakes, and can challenge there alone.
                            if let login, login != layer { continue }
                            let http2 = WebSocketClient.HTTP2(.required, sharesConnections: isShared)
                            var given = WebSocketClient.Configuration()
                            try Self.give(secrets, of: first, &given)
                            let client = try makeClient(http2) { [given] in
                                $0.extended = given.extended
                                $0.extended.policy = layer == .opening ? .off : .required
                                $0.headers = given.headers
                                $0.authentication = given.authentication
                                $0.cookies = given.cookies
                            }
                            let path = "/away/\(layer.rawValue)/\(status)/\(login?.rawValue ?? "none")"
                            let message = try await client.withConnection(to: first + path) { try await $0.receive() }
                            #expect(message == .text("there"), comment)
                            let requests = heard.take()
                            #expect(requests.count == 1, comment)
                            #expect(!requests.contains { Self.shows($0) }, comment)
                            // The first server did get it, or nothing is proved.
                            #expect(heardFirst.take().contains { Self.shows($0) }, comment)
                        }
                    }
                }
            }
        }
    }
}
