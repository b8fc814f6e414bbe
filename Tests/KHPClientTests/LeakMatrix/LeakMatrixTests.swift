// No credential, cookie or field of the caller's reaches another origin, in any redirect code, handshake and policy,
// nor comes back with a chain that returns, nor gets into a log, an event or an error (D12, threats F1, F2, F3, F5,
// F15, E18, G11). Each cell of the table is a connect over real sockets, observed on the wire.

import HTTPTypes
import KHPClient
import NIOCore
import NIOSSL
import TestSupport
import Testing

@Suite("The leak matrix: what leaves its origin is nothing")
struct LeakMatrixTests {
    /// Secrets that one connect can have together.
    enum Secrets: String, CaseIterable {
        /// Authorization, Cookie and X-Api-Key in `headers`, a field and a body inside, user information in Location.
        case fields
        /// An answer to a Basic challenge of the opening, and a cookie of the store.
        case openingBasic
        /// The same inside.
        case extendedBasic
        /// An answer to Digest, in the opening.
        case openingDigest
        case extendedDigest
        /// The target challenges with the same realm, and must get no answer.
        case foreignRealm
        /// Credentials that are sent unasked.
        case preemptive
        /// A client certificate.
        case certificate
        /// The credentials that a proxy on the way asks for. No origin may see them, not even the first.
        case proxy
        /// A token in the query of the URL.
        case query
    }

    /// Where the redirect leads.
    enum Change: CaseIterable {
        case port, host, name, upgrade, downgrade
        /// To a name below the first, and to the first with a dot behind: both are other hosts.
        case below, dot
        /// To the same name in other letters, which is the same origin.
        case letters
        /// To a name that looks like the first: as it is read, which is no host, and in its ASCII form, which is another.
        case idn, ascii
        /// Away and back again.
        case back
        /// Away, and on within the other origin.
        case further
    }

    struct Cell: Sendable, CustomStringConvertible {
        var id: String
        var secrets: Secrets
        var change: Change
        /// That of the answer which leads on; 0 for the message of a balancer.
        var status: Int
        var layer: HandshakeLayer
        var policy: RedirectPolicy

        var isBalancer: Bool { self.status == 0 }

        var description: String { "\(self.secrets) \(self.change) \(self.layer) \(self.status) \(self.policy)" }
    }

    /// The listeners: one address and two ports, and another address.
    struct Hosts: Sendable {
        var port: Int
        var otherPort: Int
        var recorder: Recorder
        var proxyPort: Int?
    }

    @Test("every secret, change of origin, handshake and code; every policy", arguments: Secrets.allCases)
    func matrix(_ secrets: Secrets) async throws {
        let certificates = try Certificates.shared.get()
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.server).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.serverKey, format: .pem))
        )
        tls.certificateVerification = .optionalVerification
        tls.trustRoots = .file(certificates.authority)
        let context = try NIOSSLContext(configuration: tls)
        let recorder = Recorder()
        let first = try await RecordingListener.start("127.0.0.1", 0, recorder, context)
        let port = first.localAddress?.port ?? 0
        let second = try await RecordingListener.start("127.0.0.1", 0, recorder, context)
        let third = try await RecordingListener.start("127.0.0.2", port, recorder, context)
        defer { for listener in [first, second, third] { listener.close(promise: nil) } }
        var hosts = Hosts(port: port, otherPort: second.localAddress?.port ?? 0, recorder: recorder)
        guard secrets == .proxy else { return try await self.check(Self.cells(secrets), hosts, certificates) }
        let credentials = Credentials.basic(user: "\(Canary.mark)-name", password: "\(Canary.mark)-secret").basicValue
        try await withProxy {
            try await $0.serveConnect(credentials: credentials)
        } body: { proxyPort, log in
            hosts.proxyPort = proxyPort
            let cells = Self.cells(secrets)
            try await self.check(cells, hosts, certificates)
            // The proxy did get them, for each hop of each cell, or nothing is proved.
            let told = log.asked.count { $0.contains("\r\nProxy-Authorization: \(credentials)\r\n") }
            #expect(told >= cells.count * 2)
        }
    }

    private func check(_ cells: [Cell], _ hosts: Hosts, _ certificates: Certificates) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, cell) in cells.enumerated() {
                if index >= 8 { try await group.next() }
                group.addTask { try await self.check(cell, hosts, certificates) }
            }
            try await group.waitForAll()
        }
    }

    private static func cells(_ secrets: Secrets) -> [Cell] {
        var cells: [Cell] = []
        // The policies with the secrets that are told in most ways; the others where nothing is refused.
        let policies = secrets == .fields ? RedirectPolicy.allCases : [.always]
        for change in Change.allCases {
            for status in [0, 300, 301, 302, 303, 307, 308, 426]
            where (status != 426 || change == .upgrade) && (!Self.isName(change) || ![300, 308].contains(status)) {
                // A 426 repeats the URL, with its query.
                if status == 426, secrets == .query { continue }
                for layer in [HandshakeLayer.opening, .extended] where status != 0 || layer == .extended {
                    for policy in policies {
                        let id = "\(secrets)-\(cells.count)"
                        cells.append(
                            Cell(
                                id: id,
                                secrets: secrets,
                                change: change,
                                status: status,
                                layer: layer,
                                policy: policy
                            )
                        )
                    }
                }
            }
        }
        return cells
    }

    private static func isName(_ change: Change) -> Bool { [.below, .dot, .letters, .idn, .ascii].contains(change) }

    // MARK: One cell

    private func urls(_ cell: Cell, _ hosts: Hosts) -> [String] {
        // TLS from the start where it is to be left, and where there is a certificate to show.
        let isSecure = cell.change == .downgrade || cell.secrets == .certificate && cell.change != .upgrade
        let isName = Self.isName(cell.change)
        let here = "\(isSecure ? "wss" : "ws")://\(isName ? "desk.example" : "127.0.0.1"):\(hosts.port)"
        let away =
            switch cell.change {
            case .port, .back, .further: "\(isSecure ? "wss" : "ws")://127.0.0.1:\(hosts.otherPort)"
            case .host: "\(isSecure ? "wss" : "ws")://127.0.0.2:\(hosts.port)"
            case .name: "\(isSecure ? "wss" : "ws")://localhost:\(hosts.port)"
            case .below: "\(isSecure ? "wss" : "ws")://new.desk.example:\(hosts.port)"
            case .dot: "\(isSecure ? "wss" : "ws")://desk.example.:\(hosts.port)"
            case .letters: "\(isSecure ? "wss" : "ws")://DESK.Example:\(hosts.port)"
            case .idn: "\(isSecure ? "wss" : "ws")://d\u{E9}sk.example:\(hosts.port)"
            case .ascii: "\(isSecure ? "wss" : "ws")://xn--dsk-bma.example:\(hosts.port)"
            case .upgrade: "wss://127.0.0.1:\(hosts.port)"
            case .downgrade: "ws://127.0.0.1:\(hosts.port)"
            }
        let query = cell.secrets == .query ? "?access_token=\(Canary.mark)-query" : ""
        let first = "\(here)/\(cell.id)/0\(query)"
        switch cell.change {
        case .back: return [first, "\(away)/\(cell.id)/1", "\(here)/\(cell.id)/2"]
        case .further: return [first, "\(away)/\(cell.id)/1", "\(away)/\(cell.id)/2"]
        default: return [first, "\(away)/\(cell.id)/1"]
        }
    }

    private func script(_ cell: Cell, _ urls: [String]) -> [ScriptedAnswer] {
        let realm = "realm=\"desk\""
        let digest = "Digest \(realm), qop=\"auth\", nonce=\"n\", algorithm=SHA-256"
        let challenge: (value: String, layer: HandshakeLayer)? =
            switch cell.secrets {
            case .openingBasic: ("Basic \(realm)", .opening)
            case .extendedBasic: ("Basic \(realm)", .extended)
            case .openingDigest: (digest, .opening)
            case .extendedDigest: (digest, .extended)
            // A balancer speaks before the extended request.
            case .foreignRealm: ("Basic \(realm)", cell.isBalancer ? .opening : cell.layer)
            default: nil
            }
        return urls.indices.map { index in
            var answer = ScriptedAnswer()
            answer.layer = cell.layer
            if index == 0 || cell.secrets == .foreignRealm { answer.challenge = challenge }
            if cell.isBalancer { answer.balancer = .noBalancer }
            guard index + 1 < urls.count else { return answer }
            // User information that a server writes there is neither used nor shown.
            let target = urls[index + 1].replacing("://", with: "://\(Canary.mark)-user:\(Canary.mark)-password@")
            guard !cell.isBalancer else {
                answer.balancer = .redirect(to: target)
                return answer
            }
            answer.status = cell.status
            if cell.status == 426 {
                answer.isUpgrade = true
                answer.challengesAgain = cell.secrets == .foreignRealm
                answer.fields = [("Upgrade", "TLS/1.2, HTTP/1.1"), ("Connection", "Upgrade")]
            } else {
                answer.fields = [("Location", target)]
            }
            return answer
        }
    }

    private func configuration(
        _ cell: Cell,
        _ url: String,
        _ proxyPort: Int?,
        _ sayings: Sayings,
        _ certificates: Certificates
    ) throws -> WebSocketClient.Configuration {
        let mark = Canary.mark
        var configuration = WebSocketClient.Configuration()
        configuration.redirects.policy = cell.policy
        configuration.redirects.follows308 = true
        configuration.redirects.allowsLeavingTLS = true
        configuration.extended.kaazingLegacy = cell.isBalancer
        configuration.tls.certificateVerification = .none
        configuration.logger = sayings.logger
        configuration.observe = { event, _ in sayings.add(event) }
        configuration.origin = "http://page.example"
        configuration.lookUp = { host, port in
            [try SocketAddress(ipAddress: host.hasPrefix("127.") ? host : "127.0.0.1", port: port)]
        }
        let store = CookieStore()
        configuration.cookies = .store(store)
        switch cell.secrets {
        case .fields:
            configuration.headers[.authorization] = "Bearer \(mark)-authorization"
            configuration.headers[.cookie] = "session=\(mark)-cookie"
            configuration.headers[HTTPField.Name("X-Api-Key")!] = "\(mark)-field"
            configuration.extended.headers[HTTPField.Name("X-Session-Token")!] = "\(mark)-inside"
            configuration.extended.body = ByteBuffer(string: "\(mark)-body")
            if 301...303 ~= cell.status { configuration.extended.method = "POST" }
        case .openingBasic, .extendedBasic, .openingDigest, .extendedDigest, .foreignRealm:
            configuration.authentication.challengeHandler = LoginChallengeHandler(
                user: "\(mark)-name",
                password: "\(mark)-secret"
            )
            try store.set("session=\(mark)-cookie; Path=/", from: url)
        case .preemptive:
            configuration.authentication.preemptive = [
                try PreemptiveCredentials(.basic(user: "\(mark)-name", password: "\(mark)-secret"), origin: url)
            ]
        case .proxy:
            let user = "\(mark)-name:\(mark)-secret"
            configuration.proxy = .proxy(try Proxy("http://\(user)@127.0.0.1:\(proxyPort ?? 0)"))
        case .query: break
        case .certificate:
            configuration.tls.certificateChain = try NIOSSLCertificate.fromPEMFile(certificates.client).map {
                .certificate($0)
            }
            configuration.tls.privateKey = .privateKey(
                try NIOSSLPrivateKey(file: certificates.clientKey, format: .pem)
            )
        }
        return configuration
    }

    private func check(_ cell: Cell, _ hosts: Hosts, _ certificates: Certificates) async throws {
        let urls = self.urls(cell, hosts)
        let recorder = hosts.recorder
        recorder.script(cell.id, self.script(cell, urls))
        let sayings = Sayings()
        let configuration = try self.configuration(cell, urls[0], hosts.proxyPort, sayings, certificates)
        var failure: WebSocketError?
        do {
            let socket = try await WebSocketClient(configuration: configuration).connect(to: urls[0])
            sayings.add(socket.negotiated)
            try await socket.close()
        } catch {
            failure = error as? WebSocketError
            sayings.add(error)
        }
        // As it should have gone.
        let original = try WebSocketURL(urls[0])
        let isAllowed = urls.dropFirst().allSatisfy { url in
            (try? WebSocketURL(url)).map { cell.policy.allows(from: original, to: $0) } ?? false
        }
        let expected: WebSocketError.Code? =
            !isAllowed
            ? .redirectRefused
            // In other letters it is the same origin, whose challenge is answered.
            : cell.secrets == .foreignRealm && cell.change != .letters ? .authenticationFailed : nil
        #expect(failure?.code == expected, "\(cell): \(failure.map { "\($0)" } ?? "opened")")
        let visits = await self.visits(cell, recorder, atLeast: isAllowed ? 2 : 1)

        // The bytes that each place has seen.
        var seen = ByteBuffer()
        var steps: Set<Int> = []
        for visit in visits {
            let isFirst = visit.step == 0 && (cell.status != 426 || !visit.isTLS)
            steps.insert(isFirst ? 0 : max(1, visit.step))
            if isFirst {
                seen.writeImmutableBuffer(visit.bytes)
                continue
            }
            for part in ["-user", "-password"] {
                let isShown = Canary.spellings(of: Canary.mark + part).contains { Canary.contains(visit.bytes, $0) }
                #expect(!isShown, "\(cell): user information of a Location")
            }
            if cell.change == .letters, cell.secrets != .proxy {
                // The same origin in other letters gets what the first got, but for the URL.
                let isShown = cell.secrets != .fields && cell.secrets != .preemptive || Canary.isIn(visit.bytes)
                #expect(isShown, "\(cell): \(String(buffer: visit.bytes))")
                continue
            }
            #expect(!Canary.isIn(visit.bytes), "\(cell) at step \(visit.step): \(String(buffer: visit.bytes))")
            let text = ByteBuffer(string: String(buffer: visit.bytes).lowercased())
            for name in ["authorization:", "cookie:", "x-api-key:", "x-session-token:", "expect:", "referer:"] {
                #expect(!Canary.contains(text, "\n" + name), "\(cell) at step \(visit.step): \(name)")
            }
            #expect(Canary.contains(visit.bytes, "Origin: http://page.example\r\n"), "threat F15")
        }
        if cell.policy == .always, isAllowed {
            let last = cell.secrets == .foreignRealm ? 1 : urls.count - 1
            #expect(steps == Set(0...last), "\(cell): \(steps)")
        }
        if cell.policy == .never || cell.change == .idn { #expect(steps == [0], "\(cell)") }
        // The first origin did get all of it, or nothing is proved.
        for secret in self.expectedAtFirst(cell) {
            #expect(Canary.contains(seen, secret), "\(cell): \(secret) in \(String(buffer: seen))")
        }
        if cell.secrets == .proxy { #expect(!Canary.isIn(seen), "\(cell): \(String(buffer: seen))") }
        #expect(!Canary.isIn(sayings.all), "\(cell): \(String(buffer: sayings.all))")
    }

    /// Connections are recorded when they end, which the other side may learn a little later.
    private func visits(_ cell: Cell, _ recorder: Recorder, atLeast count: Int) async -> [Visit] {
        let isFollowed = cell.policy == .always && cell.secrets != .foreignRealm && cell.change != .idn
        let expected = isFollowed ? self.steps(cell) : count
        for _ in 0..<400 {
            let visits = recorder.visits(cell.id)
            // Of the connections to the first origin the one with the secrets may be the last to end.
            let hasSecrets = self.expectedAtFirst(cell).allSatisfy { secret in
                visits.contains { $0.step == 0 && Canary.contains($0.bytes, secret) }
            }
            if hasSecrets, Set(visits.map { "\($0.step) \($0.isTLS)" }).count >= expected { return visits }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return recorder.visits(cell.id)
    }

    private func steps(_ cell: Cell) -> Int { cell.change == .back || cell.change == .further ? 3 : 2 }

    private func expectedAtFirst(_ cell: Cell) -> [String] {
        let mark = Canary.mark
        // A balancer speaks before it is asked.
        let isInside = cell.layer == .extended && !cell.isBalancer
        switch cell.secrets {
        case .fields:
            let outside = ["\(mark)-authorization", "\(mark)-cookie", "\(mark)-field"]
            return outside + (isInside ? ["\(mark)-inside", "\(mark)-body"] : [])
        case .openingBasic: return ["\(mark)-cookie", "Authorization: Basic "]
        case .extendedBasic: return ["\(mark)-cookie"] + (isInside ? ["Authorization: Basic "] : [])
        case .openingDigest: return ["\(mark)-cookie", "username=\"\(mark)-name\""]
        case .extendedDigest: return ["\(mark)-cookie"] + (isInside ? ["username=\"\(mark)-name\""] : [])
        case .foreignRealm: return ["\(mark)-cookie", "Authorization: Basic "]
        case .preemptive: return ["Authorization: Basic "]
        // Without TLS there is nobody to show it to.
        case .certificate: return cell.change == .upgrade ? [] : [Canary.certificate]
        case .proxy: return []
        case .query: return ["access_token=\(mark)-query"]
        }
    }

    /// Threat F1 in cells: kind of secret × change × answer that leads on.
    @Test("each of the 336 cells of threat F1 is one of these")
    func threat() {
        let kinds: [(name: String, opening: Secrets, extended: Secrets)] = [
            ("Authorization", .fields, .fields), ("Cookie", .fields, .fields),
            ("Proxy-Authorization", .proxy, .proxy), ("user information", .fields, .fields),
            ("X-Api-Key", .fields, .fields), ("client certificate", .certificate, .certificate),
            ("Digest", .openingDigest, .extendedDigest), ("token", .query, .query),
        ]
        let changes: [Change] = [.host, .port, .upgrade, .below, .letters, .dot, .ascii]
        let answers: [(status: Int, layer: HandshakeLayer)] =
            [301, 302, 303, 307].map { ($0, .opening) } + [(302, .extended), (0, .extended)]
        var count = 0
        var missing: [String] = []
        for kind in kinds {
            for change in changes {
                for answer in answers {
                    let isOpening = answer.layer == .opening || answer.status == 0
                    let isThere = Self.cells(isOpening ? kind.opening : kind.extended).contains { cell in
                        cell.change == change && cell.status == answer.status && cell.layer == answer.layer
                            && cell.policy == .always
                    }
                    count += isThere ? 1 : 0
                    if !isThere { missing.append("\(kind.name) \(change) \(answer.layer) \(answer.status)") }
                }
            }
        }
        #expect(count == 336, "missing: \(missing)")
    }

    @Test("the scanner finds a secret in every spelling, at every place")
    func scanner() {
        let mark = Canary.mark
        for before in ["", "x", "xy", "joe:"] {
            let text = before + mark + "-tail"
            #expect(Canary.isIn(text))
            #expect(Canary.isIn(Credentials.basic(user: "u", password: text).basicValue))
            #expect(Canary.isIn(text.utf8.map { String($0, radix: 16) }.joined()))
            #expect(Canary.isIn(text.utf8.map { "%" + String($0, radix: 16, uppercase: true) }.joined()))
        }
        #expect(!Canary.isIn("cNrY7 qZ"))
    }
}

extension Credentials {
    fileprivate var basicValue: String { (try? self.authorizationValue()) ?? "" }
}
