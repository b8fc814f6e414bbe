// URLs and references (RFC 3986, RFC 6455 section 3): always in one spelling, fit for a request line, and the same
// again when they are read again.

import KHPProtocol

extension FuzzTarget {
    static let urls = FuzzTarget(name: "urls") { seeds in
        let references = [
            "?a=b", "../x/./y", "//[::1]:8080/%7Ea", "http://u:p@h.example/?#f", "wss://1.2.3.4:443", "a//b",
        ]
        let given = [
            "ws://example.com:8001/echo?a=b&.kl=Y", "wss://[2001:DB8::0:1]/a/../b", "http://xn--bcher-kva.example/",
            "ws://[1:2:3:4:5:6:7:8]/", "ws://[::ffff:1.2.3.4]/a/..", "ws://[1::2::3]/", "ws://[1:2:3:4:5:6:7:8:9]/",
            "ws://[12345::]/", "ws://[::1/", "ws://256.1.1.1/", "ws://1.2.3/", "ws://0x7f.0.0.1/", "ws://a..b/",
            "ws://h:0/",
            "ws://\(String(repeating: "abcdefgh.", count: 30))/", "ws://h:99999/", "ws://[1:2:3:4:5:6:7::]/",
            "ws://[::1.2.3]/",
        ]
        var lines = references.flatMap { reference in given.map { "\($0)\n\(reference)" } }
        lines += seeds.values(of: ["location"], from: .server).map {
            "ws://localhost:8001/a/b\n" + String(decoding: $0, as: UTF8.self)
        }
        return lines.map { Array($0.utf8) }
    } run: { input in
        let lines = input.lines
        let text = lines.first ?? ""
        let reference = lines.dropFirst().first ?? ""
        if let url = try? WebSocketURL(text) {
            Self.verify(url)
            check((try? url.resolving("")) == url, "an empty reference leads away from \(url)")
            if let target = try? url.resolving(reference) {
                Self.verify(target)
                check((try? url.resolving(target.description)) == target, "\(target) is not found by its own name")
                for policy in RedirectPolicy.allCases where policy.allows(from: url, to: target) {
                    check(policy != .never, "never is never")
                    check(policy != .sameOrigin || url.isSameOrigin(as: target), "another origin: \(target)")
                    let keepsTLS = target.isSecure || !url.isSecure || policy == .always
                    check(keepsTLS, "\(policy) leaves TLS")
                }
                var tracker = RedirectTracker(from: url)
                if let followed = try? tracker.follow(status: 302, candidates: [reference], from: url) {
                    check(followed.isSecure || !url.isSecure, "a redirect leaves TLS")
                    check(followed.loopKey != url.loopKey, "a redirect to itself is followed")
                }
            }
            if let pattern = try? LocationPattern(reference) { _ = pattern.matches(url) }
            _ = NoProxyRules(reference).excepts(url)
        }
        if let authority = try? Authority(text) {
            check(!authority.host.isEmpty && authority.host == authority.host.lowercased(), "a host \(authority.host)")
        }
        if let proxy = try? Proxy(text) { _ = "\(proxy)" }
    }

    static func verify(_ url: WebSocketURL) {
        let text = url.description
        check(text.utf8.allSatisfy { 0x21...0x7E ~= $0 && $0 != 0x23 && $0 != 0x5C }, "what cannot be sent: \(text)")
        check((try? WebSocketURL(text)) == url, "\(text) is another URL")
        check((1...65535).contains(url.port) && !url.host.isEmpty, "no host or port: \(text)")
        let segments = url.path.utf8.split(separator: 0x2F, omittingEmptySubsequences: false)
        check(
            url.path.hasPrefix("/")
                && !segments.contains { $0.elementsEqual([0x2E]) || $0.elementsEqual([0x2E, 0x2E]) },
            "a path \(url.path)"
        )
        let authority = try? Authority(url.authority)
        check(authority?.host == url.host && (authority?.port ?? url.defaultPort) == url.port, "Host: \(text)")
        check((try? WebSocketURL(url.loopKey))?.loopKey == url.loopKey, "the key of \(text) is not one spelling")
        for other in [url.askingForKaazingLegacy, url.withoutKaazingLegacy] {
            check((try? WebSocketURL(other.description)) == other, "\(other) is another URL")
        }
        check(KaazingLegacy(query: url.askingForKaazingLegacy.query) == .full, "\(text) cannot ask for it")
    }
}
