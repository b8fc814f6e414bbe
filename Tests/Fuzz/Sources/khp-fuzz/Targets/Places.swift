// Rules that people write about places: which proxy a URL goes through, and which handler answers a challenge.

import KHPProtocol
import NIOCore

extension FuzzTarget {
    /// A URL, the rules of `no_proxy`, then variables, a line each.
    static let proxyRules = FuzzTarget(name: "proxy-rules") { _ in
        let rules = [
            "example.com, .a.example:8001,*.b.example 10.0.0.0/8", "*", "192.0.2.7,[2001:db8::7]:80,2001:db8::/33",
            "::ffff:192.0.2.7, 192.0.2.0/31:80, 300.1.1.1/8, fe80::/129", "a.example., /8, 10.0.0.0/x,,",
        ]
        let urls = [
            "ws://example.com/", "wss://x.a.example:8001/", "ws://10.1.2.3/", "ws://[2001:db8::7]/", "ws://b.example./",
            "ws://192.0.2.7/", "ws://[::ffff:192.0.2.7]/",
        ]
        let variables = [
            "http_proxy=p.example:3128\nHTTPS_PROXY=https://u:Zq9vXw7Rk2@p.example", "all_proxy=socks://p.example/",
            "HTTP_PROXY=http://p.example\nREQUEST_METHOD=GET", "http_proxy=\nALL_PROXY=socks5h://u:p@[::1]:1080",
            "https_proxy=ftp://p\nhttp_proxy=http://%zz@p.example", "http_proxy=socks4a://p.example?x",
            "http_proxy=http://u:%00@p.example",
        ]
        return urls.enumerated().flatMap { number, url in
            rules.map { Array("\(url)\n\($0)\n\(variables[number])".utf8) }
        }
    } run: { input in
        let lines = input.lines
        guard let url = try? WebSocketURL(lines[0]) else { return }
        let text = lines.dropFirst().first ?? ""
        let excepted = NoProxyRules(text).excepts(url)
        // A rule more makes no exception less, and each stands for itself.
        let entries = text.split { $0 == "," || $0 == " " || $0 == "\t" || $0 == "\r" }.map(String.init)
        if text.utf8.allSatisfy({ $0 > 0x20 || $0 == 0x20 || $0 == 9 }), text.utf8.allSatisfy({ $0 < 0x80 }) {
            check(excepted == entries.contains { NoProxyRules($0).excepts(url) }, "\(text) and its parts differ")
        }
        check(!NoProxyRules("").excepts(url) && NoProxyRules("x,*").excepts(url), "everything is not everything")
        check(NoProxyRules(url.authority).excepts(url), "\(url.authority) does not except itself")

        var variables: [String: String] = ["no_proxy": text]
        for line in lines.dropFirst(2) {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            if parts.count == 2 { variables[parts[0]] = parts[1] }
        }
        let noProxy = variables["no_proxy"] ?? ""
        do throws(WebSocketError) {
            let selection = ProxySelection.environment(variables)
            guard let proxy = try selection.proxy(for: url) else { return }
            check(!NoProxyRules(noProxy).excepts(url), "\(url) goes through \(proxy)")
            check((1...65535).contains(proxy.port) && !proxy.host.isEmpty, "no place: \(proxy)")
            Self.verify(proxy)
            let named = try selection.authenticated(user: "joe", password: "Zq9vXw7Rk2").proxy(for: url)
            if let named { Self.verify(named) }
            let other = try ProxySelection.proxy(proxy, except: noProxy).proxy(for: url)
            check(other?.host == proxy.host, "the same rules choose another proxy")
            check(try ProxySelection.direct.proxy(for: url) == nil, "direct is through a proxy")
            guard let tunnel = try? Tunnel(through: proxy, to: url) else { return }
            check(Mirror(reflecting: tunnel).children.isEmpty, "a dump of a tunnel tells")
            if case .send(let bytes) = tunnel.start() { check(bytes.readableBytes > 0, "a tunnel begins with nothing") }
        } catch {
            check(error.code == .invalidArgument, "\(error)")
            check(!"\(error)".contains("Zq9vXw7Rk2"), "an error tells the password: \(error)")
        }
    }

    private static func verify(_ proxy: Proxy) {
        var dumped = ""
        dump(proxy, to: &dumped)
        for text in ["\(proxy)", String(reflecting: proxy), dumped] {
            check(!text.contains("Zq9vXw7Rk2"), "a proxy tells its password: \(text)")
        }
    }

    /// A URL, a challenge, then the patterns of handlers, each with its realm behind a space.
    static let handlers = FuzzTarget(name: "handlers") { _ in
        [
            "ws://a.example/x\nBasic realm=\"club\"\n* club\nws://*/x/*\n*.example:* c*\na.example:80/x",
            "wss://b.a.example:8443/a/b\nDigest realm=\"x\", nonce=\"y\"\nwss://*.a.example:8443/a/*\n*.a.example:*\nhttps://b.a.example:8443/a/b",
            "ws://10.0.0.1/\nBearer\n10.0.0.1\n*.0.0.1\nws://10.0.0.1:80/",
            "ws://[::1]:8001/%7Ea/../b\nToken x\n[::1]:8001/b\nws://u@h\na?b\nftp://x\nx:70000\n/a*b",
            "ws://h/\nBasic realm=\"\u{E9}\"\nh \u{E9}*\nh \u{E9}\nH/ *",
        ]
        .map { Array($0.utf8) }.deciding([[0], [1]])
    } run: { input in
        var input = input
        let isProxy = input.flag()
        let lines = input.lines
        guard lines.count > 2, let url = try? WebSocketURL(lines[0]),
            let challenge = try? parseChallenges(fieldValues: [lines[1]]).first
        else { return }
        var dispatch = DispatchChallengeHandler()
        var registered: [(pattern: LocationPattern, realm: String?, index: Int)] = []
        for (index, line) in lines.dropFirst(2).prefix(12).enumerated() {
            let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
            guard let first = parts.first, let pattern = try? LocationPattern(first) else { continue }
            check(pattern.description == first, "\(first) is described as \(pattern)")
            let realm = parts.count > 1 ? parts[1] : nil
            dispatch.register(Numbered(number: index), for: pattern, realm: realm)
            registered.removeAll { $0.pattern == pattern && $0.realm == realm }
            registered.append((pattern, realm, index))
        }
        dispatch.register(Numbered(number: 100), forProxy: nil)
        dispatch.register(Numbered(number: 101), forProxy: "P.example:3128")
        let request = ChallengeRequest(
            challenge,
            url: url,
            originalURL: url,
            layer: isProxy ? .proxy : .opening,
            round: 1,
            proxy: isProxy ? "p.example:3128" : nil
        )
        check(!request.isRedirectedToAnotherOrigin, "\(url) is another origin than itself")
        let answer = ask(dispatch, request)
        guard case .login(let user, _)? = answer else {
            check(answer == nil && !isProxy, "a handler gives \(String(describing: answer))")
            let missed = registered.first { $0.pattern.matches(url) && Self.isRealm($0.realm, request.realm) }
            return check(missed == nil, "\(String(describing: missed)) is not asked for \(url)")
        }
        if isProxy { return check(user == "101", "a proxy is answered by \(user)") }
        let asked = registered.first { "\($0.index)" == user }
        check(asked?.pattern.matches(url) == true, "\(user) is asked for \(url)")
        check(Self.isRealm(asked?.realm, request.realm), "\(user) is asked for \(String(describing: request.realm))")
        // A literal comes before a pattern of anything.
        let isAny = asked?.pattern.description == "*"
        let better = registered.first { $0.pattern.description != "*" && $0.pattern.matches(url) && $0.realm == nil }
        check(
            !isAny || asked?.realm != nil || better.map { $0.pattern.description.hasPrefix("*") } ?? true,
            "* comes first"
        )
    }

    private static func isRealm(_ wanted: String?, _ given: String?) -> Bool {
        guard let wanted else { return true }
        guard let given else { return false }
        return wanted.hasSuffix("*") ? given.hasPrefix(wanted.dropLast()) : given == wanted
    }
}

/// Gives its number as the user's name.
private struct Numbered: ChallengeHandler {
    let number: Int

    func respond(to request: ChallengeRequest) async -> Credentials? {
        .login(user: "\(self.number)", password: "x")
    }
}
