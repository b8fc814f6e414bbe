import ArgumentParser
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
        #expect(try Route(argument: text) == expected)
    }

    @Test(
        "what is no route",
        arguments: [
            "echo", "a=echo", "/a", "/a=", "/a=nothing", "/a=redirect:", "/a=redirect:200:/b", "/a=status:99",
            "/a=status:x", "/a=choices:", "/a=redirect:/b c", "/a=redirect:307:ws://h/ x", "/a=choices:/b,/c d",
            "/a b=echo", "/a?q=echo", "/a#=echo", "/a=tcp:host", "/a=tcp:host:0", "/a=tcp::1", "/a=echo:x",
        ]
    )
    func noRoutes(text: String) {
        #expect(throws: ValidationError.self) { try Route(argument: text) }
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
        #expect(try AuthenticatedPath(argument: text) == path)
    }

    @Test(
        "an argument that belongs to no option, and the option that was meant",
        arguments: [
            ("serve", "9000", "unexpected argument `9000`; did you mean --port 9000?"),
            ("serve", ":9000", "unexpected argument `:9000`; did you mean --port 9000?"),
            ("serve", "localhost:80", "unexpected argument `localhost:80`; did you mean --host localhost --port 80?"),
            ("serve", "[::1]:80", "unexpected argument `[::1]:80`; did you mean --host ::1 --port 80?"),
            ("serve", "0.0.0.0", "unexpected argument `0.0.0.0`; did you mean --host 0.0.0.0?"),
            ("serve", "/chat", "unexpected argument `/chat`; did you mean --route /chat=echo?"),
            ("serve", "/a=chat", "unexpected argument `/a=chat`; did you mean --route /a=chat?"),
            ("serve", "chat", "unexpected argument `chat`; did you mean --route /chat=chat?"),
            ("serve", "run", "unexpected argument `run`; khp serve --help names the options"),
            (
                "serve", "ws://joe:secret@h/",
                "khp serve takes no URL: --host and --port say where it listens, and khp connect URL connects"
            ),
            ("serve", "a\u{1B}[2J", "khp serve takes options alone; khp serve --help names them"),
            ("connect", "hello", "unexpected argument `hello`; did you mean --message 'hello'?"),
            (
                "connect", "Authorization: Bearer secret",
                "unexpected argument `Authorization: …`; did you mean --header 'Authorization: …'?"
            ),
            ("connect", "joe:secret", "an unexpected argument with a colon; did you mean --user NAME:PASSWORD?"),
            (
                "connect", "10.0.0.1:8443",
                "unexpected argument `10.0.0.1:8443`; did you mean --connect-to 10.0.0.1:8443?"
            ),
            ("connect", "ws://joe:secret@h/", "khp connect takes one URL, and this is another"),
            ("connect", "", "khp connect takes one URL and options; khp connect --help names them"),
            ("tunnel", ":5672", "unexpected argument `:5672`; did you mean --listen :5672?"),
            ("tunnel", "unix:/a", "unexpected argument `unix:/a`; did you mean --listen unix:/a?"),
            ("tunnel", "run", "unexpected argument `run`; khp tunnel --help names the options"),
        ]
    )
    func strayArguments(command: String, text: String, sentence: String) throws {
        let before: [String] =
            switch command {
            case "connect": ["ws://h/"]
            case "tunnel": ["--listen", "127.0.0.1:0", "ws://h/"]
            default: ["--port", "0"]
            }
        let error = #expect(throws: (any Error).self) { try Khp.parse([command] + before + [text]) }
        let message = Khp.message(for: try #require(error))
        #expect(message == sentence)
        #expect(!message.contains("secret"))
    }

    @Test(
        "an unknown option is told of, and not the word behind it, which may be a secret",
        arguments: [
            (["serve", "--prt", "secret"], "Unknown option '--prt'. Did you mean '--port'?"),
            (["connect", "ws://h/", "--tokn", "secret"], "Unknown option '--tokn'. Did you mean '--token'?"),
            (["connect", "--tokn", "secret", "ws://h/"], "Unknown option '--tokn'. Did you mean '--token'?"),
            (["tunnel", "--listen", "127.0.0.1:0", "ws://h/", "--usr", "joe:secret"], "Unknown option '--usr'"),
        ]
    )
    func unknownOptions(typed: [String], sentence: String) throws {
        let error = #expect(throws: (any Error).self) { try Khp.parse(typed) }
        let message = Khp.message(for: try #require(error))
        #expect(message.contains(sentence) && !message.contains("secret"), "\(message)")
    }

    @Test("no authentication", arguments: ["/a=ntlm", "/a=", "/a", "a=basic", "/a=basic:a\r\nb"])
    func noAuthentication(text: String) {
        #expect(throws: ValidationError.self) { try AuthenticatedPath(argument: text) }
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

    @Test(
        "seconds: fractions, and nothing for the types that allow it",
        arguments: [
            ("0.5", Duration.milliseconds(500), true), ("30", .seconds(30), true), ("0", .zero, false),
            ("-1", nil, false), ("soon", nil, false), ("inf", nil, false), ("1e7", nil, false), ("", nil, false),
        ]
    )
    func seconds(text: String, duration: Duration?, isPositive: Bool) {
        #expect((try? Seconds(argument: text))?.duration == duration)
        #expect((try? PositiveSeconds(argument: text))?.duration == (isPositive ? duration : nil))
    }

    @Test(
        "sizes: bytes, or a binary unit",
        arguments: [
            ("1", 1), ("65536", 65_536), ("64KiB", 65_536), ("1MiB", 1 << 20), ("2GiB", 2 << 30), ("0", nil),
            ("-1", nil), ("1MB", nil), ("MiB", nil), ("1.5MiB", nil), ("1 MiB", nil), ("9999999999GiB", nil),
        ] as [(String, Int?)]
    )
    func sizes(text: String, bytes: Int?) {
        #expect((try? ByteCount(argument: text))?.value == bytes)
    }

    @Test(
        "counts",
        arguments: [("1", 1), ("10000", 10_000), ("0", nil), ("-1", nil), ("many", nil)] as [(String, Int?)]
    )
    func counts(text: String, value: Int?) {
        #expect((try? PositiveCount(argument: text))?.value == value)
    }

    @Test("messages of --message and --binary keep the order in which they were typed")
    func order() throws {
        let options = try MessageOptions.parse(["--binary", "a", "--message", "b", "--binary", "c", "--message", "d"])
        let order = options.inOrder.map { argument in
            switch argument.content {
            case .text(let text): text
            case .file(let name): name
            }
        }
        #expect(order == ["a", "b", "c", "d"])
    }

    @Test("--compress adds an extension, unless --extension names it: then its parameters count")
    func compression() throws {
        func typed(_ words: [String]) throws -> [String] { try NegotiationOptions.parse(words).extensions.map(\.text) }
        #expect(try typed(["--compress", "--extension", "x-a"]) == ["x-a", "permessage-deflate"])
        let named = "permessage-deflate; server_max_window_bits=9"
        #expect(try typed(["--compress", "--extension", named]) == [named])
        #expect(try typed([]) == [])
    }

    @Test(
        "a value that cannot be used is a mistake with a reason",
        arguments: [
            (["connect", "ws://a/", "--timeout", "0"], "more than 0 seconds"),
            (["connect", "ws://a/", "--count", "0"], "a number from 1"),
            (["connect", "ws://a/", "--max-redirects=-1"], "a number from 0"),
            (["connect", "ws://a/", "--max-message-size", "1MB"], "64KiB or 1MiB"),
            (["serve", "--route", "/a=dance"], "names no action"), (["serve", "--auth", "/a=ntlm"], "names no scheme"),
            (["serve", "--route", "/a=echo", "--route", "/a=chat"], "two routes for /a"),
            (["serve", "--port", "70000"], "from 0 to 65535"), (["serve", "--threads", "0"], "from 1 to 1024"),
            (["serve", "--metrics", "/a?b"], "holds no blank"), (["serve", "--metrics", "/a#"], "holds no blank"),
            (["serve", "--metrics", "/a b"], "holds no blank"), (["serve", "--metrics", "a"], "begins with `/`"),
            (["hash", "--algorithm", "rot13", "joe"], "there are bcrypt"),
            (["hash", "--algorithm", "md5", "joe"], "is none for passwords"),
            (["hash", "--digest", "desk", "--algorithm", "bcrypt", "joe"], "is none for digest"),
        ]
    )
    func reasons(words: [String], reason: String) async {
        let failure = await Khp.run(words, in: .alone())
        #expect(failure?.status == .usage)
        #expect(failure?.sentence.contains(reason) == true, "\(failure?.sentence ?? "no failure")")
    }

    @Test("a login that cannot be used is told of without it", arguments: ["--user", "--proxy-user"])
    func hiddenLogin(option: String) async {
        let failure = await Khp.run(["connect", "ws://a/", "--message", "x", option, "jo\u{1}e:canary"], in: .alone())
        #expect(failure?.status == .usage)
        #expect(failure?.sentence.contains("\(option) cannot hold control characters") == true)
        #expect(failure?.sentence.contains("canary") == false)
    }

    @Test("fields")
    func values() {
        #expect(FieldArgument(argument: "X-Name:  a: b ").value == "a: b")
        #expect(FieldArgument(argument: "Bearer secret") == FieldArgument(argument: ""))
        #expect(FieldArgument(argument: ": x").name.isEmpty)
    }
}
