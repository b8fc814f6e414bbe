// Each kind of secret, at each hop, through each end of a connect, in either handshake, looked for in each place: as it
// is, in base64, percent-encoded, in hexadecimal, printed, reflected and dumped (threats E18, F1, F15, G11 and G12).

import Foundation
import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import NIOSSL
import Synchronization
import TestSupport
import Testing

@Suite("The places of secrets: what is shown holds none")
struct SecretPlacesTests {
    enum Hop: String, CaseIterable {
        case first
        /// Behind a redirect within the origin.
        case same
        /// Behind one to another origin.
        case other
        /// First, through a proxy.
        case proxy
    }

    enum End: String, CaseIterable {
        case success, unauthorized, proxyUnauthorized, refused, timeout, lost, closed
    }

    struct Cell: Sendable, CustomStringConvertible {
        var secret: SecretKind
        var hop: Hop
        var end: End
        var layer: HandshakeLayer
        var description: String { "\(self.secret) at \(self.hop) hop, \(self.end), \(self.layer)" }
    }

    static func cells(of secret: SecretKind) -> [Cell] {
        Hop.allCases.filter { !secret.isForProxy || $0 == .proxy }.flatMap { hop in
            End.allCases.filter { $0 != .proxyUnauthorized || hop == .proxy }.flatMap { end in
                [HandshakeLayer.opening, .extended].map { Cell(secret: secret, hop: hop, end: end, layer: $0) }
            }
        }
    }

    /// The parts of a run that all cells of a secret share.
    struct World: Sendable {
        var port = 0
        var otherPort = 0
        /// Proxies that let in, and that refuse.
        var proxies: (right: Int, wrong: Int) = (0, 0)
        var served = ShownPlaces()
        var certificate: CertificateAuthority.Issued
        let made = Made()
    }

    /// Secrets that are made on the way: keys, and answers to Digest.
    final class Made: Sendable {
        private let secrets = Mutex<Set<String>>([])
        func add(_ more: [String]) { self.secrets.withLock { $0.formUnion(more) } }
        var spellings: [[[UInt8]]] { self.secrets.withLock { $0.map { Canary.spellings(of: $0) } } }
    }

    static let mark = Canary.mark
    static let secretQuery = "access_token=\(mark)-query"

    // MARK: The servers

    private static func authentication(_ secret: SecretKind, isRight: Bool) throws -> ServerAuthentication? {
        let principal: @Sendable (String) -> Principal? = { isRight ? Principal($0) : nil }
        switch secret {
        case .basicPassword, .preemptivePassword:
            return .init(realm: "desk", .basic { user, _ in principal(user) })
        case .digestPassword:
            return .init(realm: "desk", .digest(password: { _ in isRight ? "\(mark)-secret" : "another" }))
        case .bearerToken: return .init(realm: "desk", .bearer { _ in principal("joe") })
        case .legacyAuthorization: return .init(realm: "desk", .token { _ in principal("joe") }, application: true)
        case .usersFile:
            let key = DigestAlgorithm.sha256.key(user: "joe", realm: "desk", password: "\(mark)-secret")
            let text = "joe:\(isRight ? "\(mark)-secret" : "another")\njoe:desk:SHA-256:\(key)"
            return .init(realm: "desk", try UsersFile(text, name: "users", allowsTokens: true).bearer)
        default:
            // A client that has none of the sort gets a 401 all the same.
            return isRight ? nil : .init(realm: "desk", .basic { _, _ in nil })
        }
    }

    @EndpointBuilder
    private static func endpoints(_ secret: SecretKind, _ served: ShownPlaces, other: Int?) throws -> [Endpoint] {
        for (door, authentication) in [
            ("right", try Self.authentication(secret, isRight: true)),
            ("wrong", try Self.authentication(secret, isRight: false)), ("open", nil),
        ] {
            let options = Endpoint.Options(authentication: authentication)
            Endpoint("/\(door)/{hop}/{end}", options: options) { request in
                served.add(request, at: .request)
                let scheme = secret == .clientKey ? "wss" : "ws"
                var response = HandshakeResponse.complete()
                switch (request.parameters["hop"], request.parameters["end"] ?? "") {
                case ("same", let end):
                    let door = end == "unauthorized" ? "wrong" : "right"
                    response = .redirect(to: "/\(door)/first/\(end)?\(Self.secretQuery)")
                case ("other", let end):
                    let door = end == "unauthorized" ? "wrong" : "open"
                    response = .redirect(to: "\(scheme)://127.0.0.1:\(other ?? 0)/\(door)/first/\(end)")
                case (_, "refused"): response = .refuse(403)
                case (_, "timeout"): try await Task.sleep(for: .seconds(10))
                default: break
                }
                if secret == .setCookie { response.headers[.setCookie] = "session=\(mark)-set; Path=/" }
                return response
            } handler: { socket, request in
                served.add(socket, at: .socket(.server))
                if request.parameters["end"] == "closed" {
                    try await socket.close(code: .policyViolation, reason: "enough")
                }
                for try await message in socket.messages { try await socket.send(message) }
            }
        }
    }

    private static func server(
        _ secret: SecretKind,
        _ world: World,
        other: Int? = nil,
        body: (Int) async throws -> Void
    ) async throws {
        let endpoints = try Self.endpoints(secret, world.served, other: other)
        try await withServer {
            $0.logger = world.served.logger(.server)
            $0.observe = { event, info in
                world.served.add(event, at: .events(.server))
                world.served.add(info, at: .events(.server))
            }
            $0.gracefulShutdownTimeout = .milliseconds(100)
            if secret == .clientKey {
                var tls = TLSConfiguration.makeServerConfiguration(
                    certificateChain: world.certificate.chain,
                    privateKey: world.certificate.key
                )
                tls.certificateVerification = .optionalVerification
                tls.trustRoots = (try? CertificateAuthority.shared.get().roots()) ?? .default
                $0.tls = tls
            }
            world.served.add(WebSocketServer(configuration: $0, endpoints: { endpoints }), at: .end(.server))
        } endpoints: {
            endpoints
        } body: { port in
            try await body(port)
        }
    }

    // MARK: The matrix

    @Test("every kind, hop, end and handshake", arguments: SecretKind.allCases)
    func matrix(_ secret: SecretKind) async throws {
        var world = World(certificate: try CertificateAuthority.shared.get().issue("IP:127.0.0.1"))
        let keyLines = world.certificate.keyPEM.split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) }
        world.made.add(keyLines.filter { $0.count == 64 })
        try await Self.server(secret, world) { otherPort in
            world.otherPort = otherPort
            try await Self.server(secret, world, other: otherPort) { port in
                world.port = port
                let login = "\(Self.mark)-name:\(Self.mark)-proxy"
                let basic = "Basic " + Base64.encode(Array(login.utf8))
                try await withProxy {
                    try await secret == .socksPassword
                        ? $0.serveSocks5(login: login) : $0.serveConnect(credentials: basic)
                } body: { right, log in
                    try await withProxy {
                        try await secret == .socksPassword
                            ? $0.serveSocks5(login: "other:login") : $0.serveConnect(credentials: "Basic other")
                    } body: { wrong, wrongLog in
                        world.proxies = (right, wrong)
                        try await self.run(secret, world)
                        world.served.add(text: (log.asked + wrongLog.asked).joined(), at: .proxyHeads)
                    }
                }
            }
        }
        let secrets = world.made.spellings
        for place in Place.all where place != .proxyHeads || !secret.isForProxy && secret != .query {
            // The proxy's own credentials are in its heads, and have a mark of their own.
            let text = place == .proxyHeads ? Self.withoutProxyCredentials(world.served[place]) : world.served[place]
            if let leak = Canary.found(in: text, secrets) { Issue.record("\(secret) at \(place): \(leak)") }
        }
        // All that could be shown was, or nothing is proved.
        for place in [Place.events(.server), .request, .socket(.server), .end(.server)] {
            #expect(world.served[place].readableBytes > 0, "\(place)")
        }
    }

    private static func withoutProxyCredentials(_ heads: ByteBuffer) -> ByteBuffer {
        let lines = String(buffer: heads).split(separator: "\r\n").filter { !$0.hasPrefix("Proxy-Authorization: ") }
        return ByteBuffer(string: lines.joined(separator: "\n"))
    }

    private func run(_ secret: SecretKind, _ world: World) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, cell) in Self.cells(of: secret).enumerated() {
                if index >= 12 { try await group.next() }
                group.addTask { try await self.check(cell, world) }
            }
            try await group.waitForAll()
        }
    }

    // MARK: One cell

    private func configuration(
        _ cell: Cell,
        _ world: World,
        _ shown: ShownPlaces,
        _ notes: WireTap.Notes
    ) throws -> WebSocketClient.Configuration {
        let mark = Self.mark
        let origin = "\(cell.secret == .clientKey ? "wss" : "ws")://127.0.0.1:\(world.port)"
        var configuration = WebSocketClient.Configuration()
        configuration.extended.policy = cell.layer == .extended ? .required : .off
        configuration.logger = shown.logger(.client)
        configuration.observe = { event, info in
            shown.add(event, at: .events(.client))
            shown.add(info, at: .events(.client))
        }
        let store = CookieStore()
        configuration.cookies = .store(store)
        switch cell.secret {
        case .basicPassword, .digestPassword:
            configuration.authentication.challengeHandler = BasicChallengeHandler(
                user: "joe",
                password: "\(mark)-secret"
            )
            if cell.secret == .digestPassword {
                configuration.authentication.challengeHandler = LoginChallengeHandler(
                    user: "joe",
                    password: "\(mark)-secret"
                )
            }
        case .bearerToken, .legacyAuthorization, .usersFile:
            configuration.authentication.challengeHandler = TokenChallengeHandler(token: "\(mark)-secret")
        case .preemptivePassword:
            let credentials = Credentials.basic(user: "joe", password: "\(mark)-secret")
            configuration.authentication.preemptive = [try PreemptiveCredentials(credentials, origin: origin)]
        case .headers:
            configuration.headers[.authorization] = "Bearer \(mark)-secret"
            configuration.headers[HTTPField.Name("X-Api-Key")!] = "\(mark)-secret"
            configuration.extended.headers[HTTPField.Name("X-Session-Token")!] = "\(mark)-secret"
        case .cookie: try store.set("session=\(mark)-secret; Path=/", from: origin)
        case .clientKey:
            configuration.tls.certificateVerification = .none
            configuration.tls.certificateChain = world.certificate.chain
            configuration.tls.privateKey = world.certificate.key
        case .setCookie, .query, .proxyPassword, .socksPassword: break
        }
        if cell.hop == .proxy {
            let port = cell.end == .proxyUnauthorized ? world.proxies.wrong : world.proxies.right
            let scheme = cell.secret == .socksPassword ? "socks5" : "http"
            configuration.proxy = .proxy(try Proxy("\(scheme)://\(mark)-name:\(mark)-proxy@127.0.0.1:\(port)"))
        }
        if cell.end == .timeout { configuration.timeouts.total = .milliseconds(250) }
        // At the last answer, when the secret is out.
        let isAsked = cell.secret.isAskedFor && cell.hop != .other
        let reads = cell.layer == .opening ? 1 : isAsked && cell.hop != .same ? 3 : 2
        let isInOpening = isAsked && cell.layer == .opening
        let loss =
            cell.end == .lost ? (sent: ["/first/lost"] + (isInOpening ? ["\r\nAuthorization: "] : []), reads) : nil
        configuration.makeTap = { channel in WireTap(notes, port: channel.remoteAddress?.port ?? 0, loss: loss) }
        return configuration
    }

    private func check(_ cell: Cell, _ world: World) async throws {
        let shown = ShownPlaces()
        let notes = WireTap.Notes()
        let configuration = try self.configuration(cell, world, shown, notes)
        let client = WebSocketClient(configuration: configuration)
        let door = cell.end == .unauthorized && (cell.hop == .first || cell.hop == .proxy) ? "wrong" : "right"
        let hop = cell.hop == .proxy ? Hop.first : cell.hop
        let query = cell.secret == .query ? "?\(Self.secretQuery)&page=1" : ""
        let scheme = cell.secret == .clientKey ? "wss" : "ws"
        let url = "\(scheme)://127.0.0.1:\(world.port)/\(door)/\(hop)/\(cell.end)\(query)"
        var isOpen = false
        do {
            let socket = try await client.connect(to: url)
            isOpen = true
            shown.add(socket, at: .socket(.client))
            shown.add(socket.negotiated, at: .socket(.client))
            if cell.end == .closed {
                for try await _ in socket.messages {}
            } else {
                try await socket.send("hello")
                try await socket.close()
            }
            shown.add(socket, at: .socket(.client))
        } catch {
            shown.add(error, at: .error)
            shown.add(text: error.localizedDescription, at: .error)
        }
        shown.add(client, at: .end(.client))
        shown.add(configuration, at: .end(.client))
        shown.add(text: String(buffer: notes[world.otherPort]), at: .otherOrigin)
        #expect(isOpen == (cell.end == .success || cell.end == .closed), "\(cell): \(String(buffer: shown[.error]))")

        // Digest's answers are as good as its password for some minutes.
        let sent = String(buffer: notes.all)
        let answers = sent.matches(of: /response="([0-9a-f]{32,})"/).map { String($0.1) }
        world.made.add(answers)
        let secrets = world.made.spellings
        for place in Place.all {
            if let leak = Canary.found(in: shown[place], secrets) { Issue.record("\(cell) at \(place): \(leak)") }
        }
        #expect(!sent.contains("Referer"), "\(cell)")
        #expect(shown[.events(.client)].readableBytes > 0, "\(cell)")
        self.prove(cell, sent, answers)
    }

    /// The secret did go where it should, or nothing is proved.
    private func prove(_ cell: Cell, _ sent: String, _ answers: [String]) {
        guard cell.end != .proxyUnauthorized || cell.secret.isForProxy else { return }
        // On a busy machine the time is over before a later hop has been asked.
        guard cell.end != .timeout else { return }
        let bytes = ByteBuffer(string: sent)
        switch cell.secret {
        case .digestPassword: #expect(!answers.isEmpty, "\(cell)")
        case .basicPassword, .bearerToken, .legacyAuthorization, .preemptivePassword, .headers, .cookie, .query,
            .usersFile, .proxyPassword, .socksPassword:
            #expect(Canary.isIn(bytes), "\(cell): \(sent)")
        case .setCookie, .clientKey: break
        }
    }

    @Test("there are enough cells, and a secret that is shown is found in each place and spelling")
    func scanner() {
        let count = SecretKind.allCases.map { Self.cells(of: $0).count }.reduce(0, +)
        #expect(count * Place.all.count > 336 * 10, "\(count) connects, \(Place.all.count) places")
        for text in ["cNrY7qZ-secret", "0123456789abcdef0123456789abcdef"] {
            for spelling in Canary.spellings(of: text) {
                let shown = ShownPlaces()
                for place in Place.all { shown.add("x" + String(decoding: spelling, as: UTF8.self), at: place) }
                for place in Place.all {
                    #expect(Canary.found(in: shown[place], [Canary.spellings(of: text)]) != nil, "\(place)")
                }
            }
        }
    }

    @Test("user information in a URL is refused, and repeated nowhere")
    func userInformation() async throws {
        for url in ["ws://joe:\(Self.mark)@h/", "ws://\(Self.mark)@h/a", "wss://joe:\(Self.mark)@[::1]:x/"] {
            let shown = ShownPlaces()
            var configuration = WebSocketClient.Configuration()
            configuration.logger = shown.logger(.client)
            configuration.observe = { event, _ in shown.add(event, at: .events(.client)) }
            let error = await #expect(throws: WebSocketError.self) {
                try await WebSocketClient(configuration: configuration).connect(to: url)
            }
            if let error { shown.add(error, at: .error) }
            for place in Place.all {
                if let leak = Canary.found(in: shown[place]) { Issue.record("\(url) at \(place): \(leak)") }
            }
        }
    }
}
