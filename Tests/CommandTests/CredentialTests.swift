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

    @Test(
        "a .netrc that is none",
        arguments: ["machine", "login joe", "machine a login", "machine a secret b", "machine a password \"secret"]
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
