import HTTPTypes
import KHPProtocol
import NIOCore
import TestSupport
import Testing

@Suite struct RedirectTrackerTests {
    private let start: WebSocketURL

    init() throws {
        self.start = try WebSocketURL("ws://h/start?x")
    }

    private func code(
        _ status: Int,
        _ candidates: [String],
        method: String = "GET",
        tracker: RedirectTracker? = nil
    ) -> WebSocketError.Code? {
        var tracker = tracker ?? RedirectTracker(from: self.start)
        do throws(WebSocketError) {
            _ = try tracker.follow(status: status, candidates: candidates, from: self.start, method: method)
            return nil
        } catch {
            #expect(error.url == self.start)
            #expect(tracker.count == 0)
            return error.code
        }
    }

    @Test("KHP-E15, D4, D5: every status", arguments: 100..<700)
    func statuses(status: Int) {
        let expected: WebSocketError.Code? = [300, 301, 302, 303, 307].contains(status) ? nil : .redirectRefused
        #expect(self.code(status, ["/next"]) == expected)
        let follows308 = RedirectTracker(from: self.start, follows308: true)
        #expect(self.code(status, ["/next"], tracker: follows308) == (status == 308 ? nil : expected))
    }

    @Test("307 if and only if the method was GET (threat F12); the others by D41")
    func methods() {
        #expect(self.code(302, ["/next"], method: "PUT") == .redirectMethod)
        #expect(self.code(301, ["/next"], method: "HEAD") == nil)
        #expect(self.code(300, ["/next"], method: "POST") == .redirectMethod)
        #expect(self.code(303, ["/next"], method: "DELETE") == nil)
        #expect(self.code(307, ["/next"], method: "POST") == .redirectMethod)
        #expect(self.code(302, ["/next"], method: "POST") == nil)
        #expect(self.code(303, ["/next"], method: "POST") == nil)
        #expect(
            self.code(308, ["/n"], method: "PUT", tracker: .init(from: self.start, follows308: true)) == .redirectMethod
        )
    }

    @Test(
        "Threats F9, F10: what leads nowhere",
        arguments: [
            [], ["ftp://h/"], ["javascript:alert(1)"], ["http://h:99999/"], ["ws://h:25/"], ["http://h:6667/"],
            ["/%zz"],
            ["http://"], ["ftp://h/", "/second"],
        ] as [[String]]
    )
    func unusable(candidates: [String]) {
        #expect(self.code(302, candidates) == .redirectRefused)
    }

    @Test("300: the first usable choice")
    func choices() throws {
        var tracker = RedirectTracker(from: self.start, policy: .sameOrigin)
        let target = try tracker.follow(
            status: 300,
            candidates: ["ftp://h/", "ws://other/", "/start?x", "/good", "/better"],
            from: self.start
        )
        #expect(target.path == "/good")
        #expect(self.code(300, []) == .redirectRefused)
        #expect(self.code(300, ["/start?x"]) == .redirectLoop)
    }

    @Test("Threat F4: never from wss to ws unless allowed")
    func downgrade() throws {
        let secure = try WebSocketURL("wss://h/")
        var tracker = RedirectTracker(from: secure)
        let error = #expect(throws: WebSocketError.self) {
            try tracker.follow(status: 302, candidates: ["http://h/x"], from: secure)
        }
        #expect(error?.code == .redirectRefused)
        // Nor in a later hop of a chain that began without TLS.
        tracker = RedirectTracker(from: self.start)
        let next = try tracker.follow(status: 302, candidates: ["https://h/x"], from: self.start)
        #expect(throws: WebSocketError.self) { try tracker.follow(status: 302, candidates: ["ws://h/y"], from: next) }
        tracker = RedirectTracker(from: secure, allowsLeavingTLS: true)
        #expect(try tracker.follow(status: 302, candidates: ["http://h/x"], from: secure).isSecure == false)
    }

    @Test("KHP-E15, threat F7: five redirects, counted once over everything")
    func limit() throws {
        var tracker = RedirectTracker(from: self.start)
        var current = self.start
        for hop in 1...5 {
            current = try tracker.follow(status: 302, candidates: ["/\(hop)"], from: current)
        }
        #expect(tracker.count == 5)
        let error = #expect(throws: WebSocketError.self) {
            try tracker.follow(status: 301, candidates: ["/6"], from: current)
        }
        #expect(error?.code == .tooManyRedirects)
        var none = RedirectTracker(from: self.start, limit: 0)
        #expect(throws: WebSocketError.self) { try none.follow(status: 302, candidates: ["/"], from: self.start) }
    }

    @Test(
        "KHP-E16, threat F6: loops",
        arguments: [
            ["/start?x"], ["WS://H:80/start?x#frag"], ["/a/../start?%78"], ["/a", "http://h/start?x"],
            ["ws://b/", "ws://c/", "ws://b/#x"],
        ]
    )
    func loops(hops: [String]) throws {
        var tracker = RedirectTracker(from: self.start)
        var current = self.start
        for hop in hops.dropLast() { current = try tracker.follow(status: 302, candidates: [hop], from: current) }
        let error = #expect(throws: WebSocketError.self) {
            try tracker.follow(status: 302, candidates: [hops[hops.count - 1]], from: current)
        }
        #expect(error?.code == .redirectLoop)
    }

    @Test("back to the same URL for a GET is no loop behind a POST (D41), and one behind a GET", arguments: [301, 303])
    func postAndGet(_ status: Int) throws {
        var tracker = RedirectTracker(from: self.start)
        let back = [self.start.description]
        _ = try tracker.follow(status: status, candidates: back, from: self.start, method: "POST")
        let again = #expect(throws: WebSocketError.self) {
            try tracker.follow(status: status, candidates: back, from: self.start)
        }
        #expect(again?.code == .redirectLoop)
        // A redirect of the opening leaves the method alone, but for 303.
        var opening = RedirectTracker(from: self.start)
        do throws(WebSocketError) {
            _ = try opening.follow(status: status, candidates: back, from: self.start, asked: "POST")
            #expect(status == 303)
        } catch {
            #expect(status == 301)
            #expect(error.code == .redirectLoop)
        }
    }

    @Test("coming back with other credentials is no loop, coming back again is")
    func credentials() throws {
        var tracker = RedirectTracker(from: self.start)
        let login = try tracker.follow(status: 302, candidates: ["/login"], from: self.start, credentialsState: 0)
        let back = try tracker.follow(status: 302, candidates: ["/start?x"], from: login, credentialsState: 1)
        let again = try tracker.follow(status: 302, candidates: ["/again"], from: back, credentialsState: 1)
        let error = #expect(throws: WebSocketError.self) {
            try tracker.follow(status: 302, candidates: ["/start?x"], from: again, credentialsState: 1)
        }
        #expect(error?.code == .redirectLoop)
    }

    @Test("coming back with a cookie that the answer set is no loop, coming back with the same one is (D44)")
    func cookiesOfTheAnswer() throws {
        var tracker = RedirectTracker(from: self.start)
        // The request went out without any; by now there is one.
        _ = try tracker.follow(
            status: 302,
            candidates: ["/start?x"],
            from: self.start,
            cookies: { _ in 7 },
            cookiesSent: 0
        )
        let error = #expect(throws: WebSocketError.self) {
            try tracker.follow(
                status: 302,
                candidates: ["/start?x"],
                from: self.start,
                cookies: { _ in 7 },
                cookiesSent: 7
            )
        }
        #expect(error?.code == .redirectLoop)
    }

    @Test("D12, threat F2: secrets stay behind at another origin, for good")
    func secrets() throws {
        var tracker = RedirectTracker(from: self.start, allowsLeavingTLS: true)
        #expect(tracker.keepsSecrets)
        var current = try tracker.follow(status: 302, candidates: ["/same"], from: self.start)
        #expect(tracker.keepsSecrets)
        current = try tracker.follow(status: 302, candidates: ["wss://h/secure"], from: current)
        #expect(!tracker.keepsSecrets)
        current = try tracker.follow(status: 302, candidates: ["ws://h/home"], from: current)
        #expect(!tracker.keepsSecrets)
    }

    @Test("policies compare with the URL asked for, not with the hop before")
    func originalURL() throws {
        let original = try WebSocketURL("ws://b.example/")
        var tracker = RedirectTracker(from: original, policy: .subDomain)
        let hop = try tracker.follow(status: 302, candidates: ["ws://a.b.example/"], from: original)
        #expect(try tracker.follow(status: 302, candidates: ["ws://c.b.example/"], from: hop).host == "c.b.example")
        tracker = RedirectTracker(from: original, policy: .never)
        #expect(throws: WebSocketError.self) { try tracker.follow(status: 302, candidates: ["/x"], from: original) }
    }

    @Test("no credential of a query in any text")
    func redaction() throws {
        let url = try WebSocketURL("ws://h/?token=CANARY")
        var tracker = RedirectTracker(from: url, policy: .sameOrigin)
        for location in [
            "ws://other/?token=CANARY", "/?token=CANARY", "ftp://CANARY/", "ws://h:25/?token=CANARY", "/CANARY%zz",
        ] {
            let error = #expect(throws: WebSocketError.self) {
                try tracker.follow(status: 302, candidates: [location], from: url)
            }
            var text = error.map { "\($0)" } ?? ""
            dump(tracker, to: &text)
            #expect(!text.contains("CANARY"))
        }
    }
}

@Suite struct ChoicesTests {
    private func response(
        _ status: Int = 300,
        location: String? = nil,
        links: [String] = [],
        type: String? = nil,
        _ entity: String = ""
    ) -> HandshakeResponse {
        var fields = HTTPFields()
        fields[.location] = location
        fields[.contentType] = type
        fields[values: HTTPField.Name("Link")!] = links
        return HandshakeResponse(status: status, reason: "", headers: fields, body: ByteBuffer(string: entity))
    }

    @Test func locationOnlyForOthers() {
        #expect(choices(of: self.response(302, location: "/a", type: "text/uri-list", "ws://b/")) == ["/a"])
        #expect(choices(of: self.response(302)) == [])
    }

    @Test func order() {
        let all = self.response(
            location: "/a",
            links: ["</b>; rel=alternate, </c>; rel=\"next Alternate\"; title=\"x, y>\"", "</d>; rel=next"],
            type: "text/uri-list",
            "# comment\r\nws://e/\r\n/a\r\n\r\nhttp://f/"
        )
        #expect(choices(of: all) == ["/a", "/b", "/c", "ws://e/", "http://f/"])
    }

    @Test(arguments: [
        ("text/plain", "Choose one:\nws://a/x\n  wss://b/\nsee ws://c/ too\n/d", ["ws://a/x", "wss://b/", "/d"]),
        ("", "ws://a/\nws://b/", ["ws://a/", "ws://b/"]),
        (
            "text/html; charset=utf-8", "<ul><li><a HREF = \"/a?x=1&amp;y=2\">A</a><a href='ws://b/'>",
            ["/a?x=1&y=2", "ws://b/"]
        ),
        ("", "<a href=\"/a\">", ["/a"]), ("text/html", "<a href=\"/a", []), ("text/html", "<a href", []),
        ("text/html", "<a href=/a>", []), ("text/html", "<a href=/a/b>", []), ("text/plain", "<a href=\"/a\">", []),
        ("", "", []),
    ])
    func entities(type: String, entity: String, expected: [String]) {
        #expect(choices(of: self.response(type: type.isEmpty ? nil : type, entity)) == expected)
    }

    @Test(arguments: ["", "<", "</a", "/a; rel=alternate", "</a>; rel=\"alternate", "</a>", "<\"", "</a>; rel"])
    func brokenLinks(link: String) {
        #expect(choices(of: self.response(links: [link])) == [])
    }

    @Test("many choices are cut, in linear time")
    func floods() {
        let start = ContinuousClock.now
        let lines = (0..<6000).map { "ws://h/\($0)" }.joined(separator: "\n")
        #expect(choices(of: self.response(type: "text/uri-list", lines)).count == 32)
        _ = choices(of: self.response(type: "text/html", String(repeating: "href='", count: 10000)))
        _ = choices(of: self.response(type: "text/html", String(repeating: "href=", count: 10000)))
        #expect(start.duration(to: .now) < .seconds(3) * Sanitizer.patience)
    }
}
