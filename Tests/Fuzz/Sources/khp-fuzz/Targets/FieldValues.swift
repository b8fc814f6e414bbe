// Values of fields that have a grammar of their own: what is read can be written and read again, what we send to each
// other is understood, and nothing gets further than it may.

import HTTPTypes
import KHPProtocol
import NIOCore

extension FuzzTarget {
    static let challenges = FuzzTarget(name: "challenges") { seeds in
        let fields: Set<String> = ["www-authenticate", "proxy-authenticate", "authentication-info"]
        let many: [String] = [
            Array(repeating: "Basic realm=\"a\"", count: 70).joined(separator: ", "),
            "Digest " + (0..<70).map { "p\($0)=v" }.joined(separator: ", "),
            "Digest username*=UTF-8''j%C3%B6e, realm=\"a\", nonce=\"b\", uri=\"/\", qop=auth, nc=00000001, cnonce=\"c\", "
                + "response=\"\(String(repeating: "a", count: 32))\", opaque=\"d\"",
            "Digest realm=\"a\", nonce=\"b\", qop=\"auth-int\", algorithm=SHA-512-256, userhash=true, opaque=\"o\"",
        ]
        return seeds.values(of: fields, from: .server) + seeds.values(of: ["authorization"], from: .client)
            + many.map { Array($0.utf8) }
    } run: { input in
        let lines = input.lines
        if let challenges = try? parseChallenges(fieldValues: lines) {
            for challenge in challenges {
                let again = try? parseChallenges(fieldValues: [challenge.fieldValue])
                check(again == [challenge], "\(challenge) becomes \(String(describing: again))")
                if let digest = try? DigestChallenge(challenge) { Self.answer(digest) }
            }
        }
        _ = try? parseAuthenticationParameters(lines)
        let value = lines.first ?? ""
        if let basic = BasicCredentials(authorization: value) {
            check(BasicCredentials(authorization: basic.authorization) == basic, "Basic is another one when written")
            check(basic.matches(user: basic.user, password: basic.password), "Basic does not match itself")
        }
        if let given = try? DigestAuthorization(value) {
            check(!"\(given)".contains(given.response), "a description shows the response")
            let verifier = DigestVerifier(realm: given.realm, algorithms: [.md5, .sha256], key: [1, 2, 3])
            guard let claim = verifier.claim(of: value, method: "GET", target: given.uri) else { return }
            var counts = NonceCounts(lifetime: 60_000_000, capacity: 8)
            let key = String(repeating: "a", count: 32)
            if case .right = verifier.judge(claim, key: key, counts: &counts, now: 1) {
                check(false, "an answer that nobody computed is right")
            }
        }
    }

    /// Our server reads the answers of our client.
    private static func answer(_ challenge: DigestChallenge) {
        guard var session = try? DigestSession(challenge, user: "jöe", password: "welcome"),
            let answer = session.answer(
                method: "GET",
                uri: "/echo",
                entity: ByteBuffer(string: "x"),
                clientNonce: "f2/wE4q7"
            )
        else { return }
        check(answer.value.utf8.allSatisfy { $0 == 9 || $0 >= 0x20 && $0 != 0x7F }, "a field of \(answer.value)")
        // The form of RFC 2069 is one that our server does not take.
        guard !challenge.protections.isEmpty else { return }
        let given = try? DigestAuthorization(answer.value)
        check(given?.realm == challenge.realm && given?.nonce == challenge.nonce, "\(answer.value) is not understood")
        check(given.map { $0.isUserHashed || $0.user == "jöe" } ?? false, "\(answer.value) is for somebody else")
        check(given?.uri == "/echo" && given?.opaque == challenge.opaque, "\(answer.value) is misunderstood")
    }

    static let extensions = FuzzTarget(name: "extensions") { seeds in
        let fields: Set<String> = ["sec-websocket-extensions", "sec-websocket-protocol"]
        return seeds.values(of: fields, from: .client) + seeds.values(of: fields, from: .server) + [
            Array(
                """
                permessage-deflate; client_max_window_bits; server_max_window_bits="1\\0", permessage-deflate
                x-kaazing-idle-timeout; timeout=1000, x-kaazing-ping-pong; 01010102, x; a="b"; c
                """.utf8
            )
        ]
    } run: { input in
        guard let offers = try? parseExtensions(input.lines) else { return }
        let written = offers.map(\.description).joined(separator: ", ")
        check((try? parseExtensions([written])) == offers, "\(written) is read as something else")
        check(offers.allSatisfy { (try? $0.validate()) != nil }, "\(written) is not valid")
        for offer in offers {
            check((try? ExtensionOffer(offer.description)) == offer, "\(offer) is another one when it is configured")
            for role in [Role.client, .server] {
                guard let made = try? BuiltInExtensions.make(offer, role: role) else { continue }
                check(made.name == offer.name, "\(offer) makes \(made.name)")
                _ = try? BuiltInExtensions.make(offer, role: role) { _ in }
                // Its own offer is one that it takes itself.
                for own in made.offers() { _ = made.accept(own) }
            }
        }
        let supported: [any WebSocketExtension] = [
            PerMessageDeflate(), KaazingIdleTimeout(timeout: .seconds(1)), KaazingPingPong(),
        ]
        guard let chosen = try? OfferedExtensions.choose(from: offers, supported: supported, layer: .opening) else {
            return check(false, "no extension of ours refuses a handshake")
        }
        check(Set(chosen.map(\.name)).count == chosen.count, "one extension is chosen twice")
        check(chosen.allSatisfy { item in offers.contains { $0.name == item.name } }, "unasked: \(chosen)")
        for item in chosen {
            guard let known = supported.first(where: { $0.name == item.name }) else { continue }
            check(known.judge(item.parameters), "a client of ours refuses the answer \(item)")
            _ = known.makeTransform(role: .server, parameters: item.parameters)
            _ = known.makeFrameTransform(role: .server, parameters: item.parameters)
        }
        // The same as a server's answer.
        var negotiation = try? OfferedExtensions(supported)
        if (try? negotiation?.take(offers, layer: .opening)) != nil {
            check(negotiation?.negotiated.count ?? 0 <= supported.count, "more than was asked for")
        }
    }

    static let cookies = FuzzTarget(name: "cookies") { seeds in
        seeds.values(of: ["set-cookie"], from: .server) + [
            Array(
                """
                a=b; Domain=.example.com; Path=/echo; Max-Age=100; Secure; HttpOnly
                c="d e"; Expires=Sun, 06 Nov 2034 08:49:37 GMT; SameSite=Lax
                __Host-e=f; Secure; Path=/
                __Secure-g=h; Max-Age=-1
                i=j; Max-Age=99999999999999999999; Expires=Fri, 29-Feb-96 1:02:03 GMT
                k=l; Expires=31 feb 69 00:00:00; Max-Age=0
                """.utf8
            ),
            Array(
                (0..<70).map { "n\($0)=v; Path=/\($0 % 7); Max-Age=\($0 == 9 ? 1 : 100)" }.joined(separator: "\n").utf8
            ),
            Array((0..<120).map { "n\($0)=v\($0 % 3 == 0 ? "; Secure" : "")" }.joined(separator: "\n").utf8),
        ]
    } run: { input in
        let places = ["ws://a.example.com/echo/x", "wss://example.com/", "ws://[::1]:8001/echo", "ws://127.0.0.1/a/"]
            .compactMap { try? WebSocketURL($0) }
        var input = input
        let place = places[input.choice(places.count)]
        let now: Int64 = 784_111_777
        var jar = CookieJar()
        for line in input.lines.prefix(200) {
            guard let field = SetCookie(line) else { continue }
            // A value that is part of the name or of another attribute says nothing.
            var rest = field
            rest.value = ""
            check(
                !"\(field)".contains(field.value) || "\(rest)".contains(field.value) || field.value.utf8.count < 9,
                "a description shows a value"
            )
            guard let cookie = Cookie(field, from: place, now: now) else { continue }
            jar.set(cookie, now: now)
        }
        check(jar.all(now: now).count <= CookieJar.maximum, "too many cookies")
        let domains = Dictionary(grouping: jar.all(now: now), by: \.domain)
        check(domains.allSatisfy { $0.value.count <= CookieJar.maximumPerDomain }, "too many cookies of one domain")
        // One that is taken out is sent no more, whatever time it is.
        if let first = jar.all(now: now).first {
            var other = jar
            other.remove(first)
            check(other.all(now: now).count == jar.all(now: now).count - 1, "\(first) is not taken out alone")
            check("\(other)".utf8.count < 20, "a description tells cookies: \(other)")
        }
        check(jar.all(now: .max).allSatisfy { $0.expires == nil || $0.expires == .max }, "a cookie outlives its time")
        for url in places {
            for cookie in jar.cookies(for: url, now: now) {
                let isBelow = url.host == cookie.domain || url.host.hasSuffix(".\(cookie.domain)")
                check(isBelow && url.port == place.port && url.isSecure == place.isSecure, "\(cookie) goes to \(url)")
            }
            let isSent = !jar.cookies(for: url, scope: .ownOrigin, now: now).isEmpty
            check(!isSent || url.isSameOrigin(as: place), "a cookie of \(place) is called one of \(url)")
            guard let header = jar.header(for: url, now: now) else { continue }
            check(header.utf8.allSatisfy { $0 == 9 || 0x20...0x7E ~= $0 }, "a header of \(header.debugDescription)")
        }
        for line in input.lines { _ = CookieDate.parse(line) }
    }

    static let choices = FuzzTarget(name: "choices") { seeds in
        let fields: Set<String> = ["location", "link", "retry-after"]
        let values = seeds.values(of: fields, from: .server).map { String(decoding: $0, as: UTF8.self) }
        let entities = [
            "ws://a.example/\n/b\n# no\n", "<ul><li><a href=\"/c?a=1&amp;b=2\">c</a><a HREF = '../d'>d</a></ul>",
            "<x>; rel=\"alternate next\"; title=\"a, b\", </y>; rel=alternate",
        ]
        return (values + entities).map { "\($0)\n\($0)\n\n\($0)" }.map { Array($0.utf8) }
            .deciding([[0], [1], [2], [3]])
    } run: { input in
        var input = input
        let (status, type) = [(300, "text/uri-list"), (300, "text/html"), (302, "text/plain"), (503, "")][
            input.choice(4)
        ]
        let parts = input.lines
        var fields = HTTPFields()
        fields[.contentType] = type
        for (name, value) in zip(["Location", "Link", "Retry-After"], parts) {
            guard let name = HTTPField.Name(name), !value.isEmpty else { continue }
            fields.append(HTTPField(name: name, value: value))
        }
        let entity = ByteBuffer(string: parts.dropFirst(3).joined(separator: "\n"))
        let response = HandshakeResponse(status: status, reason: "", headers: fields, body: entity)
        let references = KHPProtocol.choices(of: response)
        check(references.count <= 32, "\(references.count) choices")
        check(Set(references).count == references.count, "a choice comes twice")
        check(response.retryAfter(now: 784_111_777).map { $0 >= .zero } ?? true, "a wait into the past")
        guard let start = try? WebSocketURL("wss://example.com/echo"), status < 400 else { return }
        var tracker = RedirectTracker(from: start)
        guard let target = try? tracker.follow(status: status, candidates: references, from: start) else { return }
        verify(target)
        check(target.isSecure, "a choice leaves TLS")
        check(tracker.keepsSecrets == target.isSameOrigin(as: start), "secrets and \(target)")
    }
}
