import Testing

@testable import khp

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

    @Test("the certificate of the demo is PEM, and a new one each time")
    func certificate() throws {
        let first = try EphemeralCertificate()
        let text = String(decoding: first.certificate, as: UTF8.self)
        #expect(text.hasPrefix("-----BEGIN CERTIFICATE-----"))
        #expect(String(decoding: first.privateKey, as: UTF8.self).hasPrefix("-----BEGIN PRIVATE KEY-----"))
        #expect(try EphemeralCertificate().privateKey != first.privateKey)
    }
}
