import Testing

@testable import khp

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
