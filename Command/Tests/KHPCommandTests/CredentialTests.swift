import Testing

@testable import KHPCommand

/// `.netrc` and certificates: what `khp connect --netrc` reads, and what the demo makes.
struct CredentialTests {
    @Test("a .netrc with machines, quotes, comments, a macro and a default")
    func netrc() throws {
        let text = """
            # comment
            machine example.com login joe password "wel\\"come you"
            macdef init
              cd /machine
              quit

            machine
              other.example
              account x login ann
            default login any password thing
            """
        let netrc = try Netrc(text, name: ".netrc")
        #expect(
            netrc.entry(for: "EXAMPLE.com") == .init(machine: "example.com", login: "joe", password: "wel\"come you")
        )
        #expect(netrc.entry(for: "other.example") == .init(machine: "other.example", login: "ann", password: nil))
        #expect(netrc.entry(for: "third.example") == .init(machine: nil, login: "any", password: "thing"))
        #expect(try Netrc("machine a login b password c", name: "n").entry(for: "b") == nil)
    }

    @Test("a password without a login is that of whoever is named; an entry with the name goes before it")
    func withoutLogin() throws {
        let text = """
            machine a.example password one
            machine b.example login joe password two
            machine b.example password three
            default password four
            """
        let netrc = try Netrc(text, name: "n")
        for (user, host, password) in [
            ("joe", "a.example", "one"), ("ann", "A.example", "one"), ("joe", "b.example", "two"),
            ("ann", "b.example", "three"), ("joe", "c.example", "four"),
        ] {
            #expect(netrc.password(of: user, at: host) == password, "\(user) at \(host)")
        }
    }

    @Test("words that nobody knows are passed over with a note that shows none of them")
    func unknownWords() throws {
        let text = "machine a port 21 login joe\n  secret canary password pw\nfoo machine b login ann password x"
        let netrc = try Netrc(text, name: "n")
        #expect(netrc.entry(for: "a") == .init(machine: "a", login: "joe", password: "pw"))
        #expect(netrc.entry(for: "b") == .init(machine: "b", login: "ann", password: "x"))
        #expect(!"\(netrc.notes)".contains("canary"))
        #expect(netrc.notes.count == 1)
        #expect(netrc.notes.first?.contains("line 1") == true)
        #expect(try Netrc("machine a login b password c", name: "n").notes.isEmpty)
    }

    @Test(
        "a .netrc that is none",
        arguments: ["machine", "login joe", "machine a login", "machine a password \"secret"]
    )
    func brokenNetrc(text: String) {
        let failure = #expect(throws: CommandFailure.self) { try Netrc(text, name: ".netrc") }
        #expect(failure?.sentence.contains("secret") == false)
    }

    @Test(
        "a URL that holds credentials, and what is left of it",
        arguments: [
            ("ws://a/b", "ws://a/b", nil, nil), ("ws://joe:pw@a/b", "ws://a/b", "joe", "pw"),
            ("wss://joe@a:1/b?c=d@e", "wss://a:1/b?c=d@e", "joe", nil), ("ws://a/b@c", "ws://a/b@c", nil, nil),
            ("http://:gold@a", "http://a", "", "gold"), ("ws://joe:@a/", "ws://a/", "joe", ""),
            ("ws://jo%65:a%3Ab%40@a/", "ws://a/", "joe", "a:b@"), ("ws://joe:p@ss:w@a/", "ws://a/", "joe", "p@ss:w"),
            ("ws://@a/", "ws://a/", nil, nil), ("a@b", "a@b", nil, nil),
            ("ws://a?x=joe:pw@b", "ws://a?x=joe:pw@b", nil, nil),
            ("ws://joe:pw@[::1]:1/", "ws://[::1]:1/", "joe", "pw"),
        ] as [(String, String, String?, String?)]
    )
    func typedURL(text: String, url: String, name: String?, password: String?) throws {
        let typed = try TypedURL(text)
        #expect(typed.url == url)
        #expect(typed.login?.name == name)
        #expect(typed.login?.password == password)
    }

    @Test(
        "credentials that cannot be read are a mistake that repeats nothing of them",
        arguments: ["joe:%zzcanary", "joe:%01canary", "%ffcanary", "jo%3Ae:canary", ":"]
    )
    func brokenInformation(information: String) {
        let failure = #expect(throws: CommandFailure.self) { try TypedURL("ws://\(information)@a/") }
        #expect(failure?.status == .usage)
        #expect(failure?.sentence.contains("canary") == false)
    }

    @Test(
        "--user: a name, a password, either of them empty (RFC 7617 section 2)",
        arguments: [("joe", "joe", nil), ("joe:", "joe", ""), (":gold", "", "gold"), ("joe:a:b", "joe", "a:b")]
            as [(String, String, String?)]
    )
    func login(text: String, name: String, password: String?) throws {
        let login = try LoginArgument(argument: text).login(of: "--user")
        #expect(login.name == name)
        #expect(login.password == password)
    }

    @Test("no --user", arguments: ["", ":", "jo\u{1}e", "joe:\u{7F}"])
    func noLogin(text: String) {
        #expect(throws: CommandFailure.self) { try LoginArgument(argument: text).login(of: "--user") }
    }
}
