import KHPProtocol
import Testing

@testable import KHPCommand

/// Options that have a grammar of their own.
struct ArgumentTests {
    @Test(
        "routes",
        arguments: [
            ("/a=echo", Route(path: "/a", action: .echo)), ("/a=broadcast", Route(path: "/a", action: .broadcast)),
            ("/a=chat", Route(path: "/a", action: .chat)),
            ("/a=redirect:/b", Route(path: "/a", action: .redirect(status: 302, to: "/b"))),
            ("/a=redirect:307:/b", Route(path: "/a", action: .redirect(status: 307, to: "/b"))),
            (
                "/a=redirect:ws://h:80/b?c=d",
                Route(path: "/a", action: .redirect(status: 302, to: "ws://h:80/b?c=d"))
            ),
            ("/a=status:503", Route(path: "/a", action: .status(503, body: nil))),
            ("/a=status:503:try: later", Route(path: "/a", action: .status(503, body: "try: later"))),
            ("/a=choices:/b, ws://h/c", Route(path: "/a", action: .choices(["/b", "ws://h/c"]))),
            ("/a=tcp:localhost:22", Route(path: "/a", action: .relay(host: "localhost", port: 22))),
            ("/a=tcp:[::1]:22", Route(path: "/a", action: .relay(host: "::1", port: 22))),
        ]
    )
    func routes(text: String, expected: Route) throws {
        #expect(try Route.parse(text).get() == expected)
    }

    @Test(
        "what is no route",
        arguments: [
            "echo", "a=echo", "/a", "/a=", "/a=nothing", "/a=redirect:", "/a=redirect:200:/b", "/a=status:99",
            "/a=status:x", "/a=choices:", "/a=tcp:host", "/a=tcp:host:0", "/a=tcp::1", "/a=echo:x",
        ]
    )
    func noRoutes(text: String) {
        #expect(throws: CommandFailure.self) { try Route.parse(text).get() }
    }

    @Test(
        "authentication: schemes and realms",
        arguments: [
            ("/a=basic", AuthenticatedPath(path: "/a", scheme: .basic, realm: nil)),
            ("/a=basic:the desk", AuthenticatedPath(path: "/a", scheme: .basic, realm: "the desk")),
            ("/a=digest:the desk: one", AuthenticatedPath(path: "/a", scheme: .digest, realm: "the desk: one")),
            ("/a=token", AuthenticatedPath(path: "/a", scheme: .token, realm: nil)),
            ("/a=bearer:x", AuthenticatedPath(path: "/a", scheme: .bearer, realm: "x")),
        ]
    )
    func authentication(text: String, path: AuthenticatedPath) throws {
        #expect(try AuthenticatedPath.parse(text).get() == path)
    }

    @Test("no authentication", arguments: ["/a=ntlm", "/a=", "/a", "a=basic", "/a=basic:a\r\nb"])
    func noAuthentication(text: String) {
        #expect(throws: CommandFailure.self) { try AuthenticatedPath.parse(text).get() }
    }

    @Test(
        "a URL needs no `connect` before it",
        arguments: [
            ([], ["--help"]), (["ws://a/"], ["connect", "ws://a/"]),
            (["-v", "ws://a/"], ["connect", "-v", "ws://a/"]),
            (["ws://a/", "--json"], ["connect", "ws://a/", "--json"]),
            (["connect", "ws://a/"], ["connect", "ws://a/"]),
            (["serve", "--origin", "http://a"], ["serve", "--origin", "http://a"]), (["--version"], ["--version"]),
            (["--message", "x", "ws://a/"], ["connect", "--message", "x", "ws://a/"]), (["a"], ["a"]),
        ]
    )
    func commands(typed: [String], parsed: [String]) {
        #expect(Khp.arguments(typed) == parsed)
    }

    @Test("an extension in its place asks there alone, and is otherwise as it was")
    func places() throws {
        let deflate = PerMessageDeflate()
        for (place, layer) in [(ExtensionPlace.opening, HandshakeLayer.opening), (.extended, .extended)] {
            let placed = place.placing(deflate).forConnection(.client)
            #expect(placed.layers == [layer])
            #expect(placed.name == deflate.name && placed.offers() == deflate.offers())
            #expect(placed.reservedBits == deflate.reservedBits)
            let offer = try #require(placed.offers().first)
            #expect(placed.accept(offer) == deflate.accept(offer) && placed.judge(offer) == deflate.judge(offer))
            #expect(placed.makeFrameTransform(role: .client, parameters: offer) != nil)
            #expect(placed.makeTransform(role: .client, parameters: offer) == nil)
        }
    }

    @Test("seconds and fields")
    func values() {
        #expect(Seconds(argument: "0.5")?.duration == .milliseconds(500))
        #expect(Seconds(argument: "-1") == nil)
        #expect(Seconds(argument: "soon") == nil)
        #expect(FieldArgument(argument: "X-Name:  a: b ")?.value == "a: b")
        #expect(FieldArgument(argument: "none") == nil)
        #expect(FieldArgument(argument: ": x") == nil)
    }
}
