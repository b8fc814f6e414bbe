// The files that a configuration names: each mistake with its file and line.

import CommandTestSupport
import KHPGateway
import NIOSSL
import Testing

@Suite("The files that a gateway's configuration names")
struct NamedFileTests {
    private static let bcrypt = "joe:$2b$04$abcdefghijklmnopqrstuuN7NK0iG5tVxz5sAfvkxl7bLWtL0kKQK"
    private static let digest = "ann:r:5f4dcc3b5aa765d61d8327deb882cf99"

    private static func realm(_ lines: String, require: String = "") -> String {
        """
        version: 1
        listeners: {a: {listen: 127.0.0.1:0}}
        realms:
          r: \(lines)
        services: {s: {path: /s, type: echo, realm: r\(require)}}
        """
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var realm: String
        var require = ""
        var files: [String: String]
        var findings: [String]
    }

    static let cases = [
        Case(
            testDescription: "a file that is not there",
            realm: "{schemes: basic, users: u, groups: g}",
            files: [:],
            findings: [
                "gateway.yaml:4:30: realms.r.users: the file u does not exist",
                "gateway.yaml:4:41: realms.r.groups: the file g does not exist",
            ]
        ),
        Case(
            testDescription: "lines that are none, all at once",
            realm: "{schemes: basic, users: u}",
            files: ["u": "# users\njoe\n\(Self.bcrypt)\nann:secret"],
            findings: [
                "u:2:1: realms.r.users: the line is not `name:hash`; `khp hash` makes such lines",
                "u:4:1: realms.r.users: the line holds no bcrypt or SHA-crypt hash after `ann:`; `khp hash` makes one, and "
                    + "tokens are taken only where bearer or token is asked for",
            ]
        ),
        Case(
            testDescription: "a user twice",
            realm: "{schemes: digest, users: u}",
            files: ["u": "\(Self.digest)\n\n\(Self.digest)"],
            findings: ["u:3:1: realms.r.users: the line names the user `ann` with MD5 in `r` a second time"]
        ),
        Case(
            testDescription: "users that the schemes do not suit",
            realm: "{schemes: [digest, basic, bearer], users: u}",
            files: ["u": "ann:other:5f4dcc3b5aa765d61d8327deb882cf99"],
            findings: [
                "gateway.yaml:4:48: realms.r.users: holds no digest key for realm r (of ann); `khp hash --digest r NAME` "
                    + "makes one",
                "gateway.yaml:4:48: realms.r.users: holds no password's hash for basic; `khp hash NAME` makes one",
                "gateway.yaml:4:48: realms.r.users: holds no token; `khp hash --token NAME` makes one",
            ]
        ),
        Case(
            testDescription: "groups",
            realm: "{schemes: digest, users: u, groups: g}",
            require: ", require: {roles: [opps, other]}",
            files: ["u": Self.digest, "g": "# roles\nops: ann bob\nwrong\nno role: ann\n"],
            findings: [
                "gateway.yaml:5:65: warning: services.s.require.roles: nobody has the role \"opps\"; did you mean ops?",
                "gateway.yaml:5:65: warning: services.s.require.roles: nobody has the role \"other\"",
                "g:3:1: realms.r.groups: the line is not `role: name name …`",
                "g:4:1: realms.r.groups: the line is not `role: name name …`",
                "g:2:1: warning: realms.r.groups: \"bob\" is no user of the realm",
            ]
        ),
        Case(
            testDescription: "nonce keys",
            realm: "{schemes: digest, users: u, nonceKeys: n}",
            files: ["u": Self.digest, "n": "# keys\nAQAB\n***\n"],
            findings: [
                "n:2:1: realms.r.nonceKeys: the key has 3 bytes; 32 are the least",
                "n:3:1: realms.r.nonceKeys: the line is no key in base64",
            ]
        ),
        Case(
            testDescription: "no nonce key",
            realm: "{schemes: digest, users: u, nonceKeys: n}",
            files: ["u": Self.digest, "n": "# keys\n"],
            findings: ["n:1:1: realms.r.nonceKeys: the file has no key"]
        ),
        Case(
            testDescription: "a key set",
            realm: "{schemes: bearer, jwt: {keys: k, algorithms: [ES256], issuer: i, audience: a}}",
            files: ["k": "{\"keys\":\n [{\"kty\": \"oct\", \"kid\": \"CANARY\"}]}"],
            findings: [
                "k:2:3: realms.r.jwt.keys: the key \"CANARY\" is no secret: k in base64url",
                "k:1:1: realms.r.jwt.keys: has no key for ES256",
            ]
        ),
        Case(
            testDescription: "good ones",
            realm: "{schemes: [digest, basic], users: u, groups: g, nonceKeys: n}",
            require: ", require: {roles: ops}",
            files: [
                "u": "\(Self.digest)\n\(Self.bcrypt)\njoe:r:5f4dcc3b5aa765d61d8327deb882cf99", "g": "ops: ann joe\n",
                "n": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            ],
            findings: []
        ),
    ]

    @Test("are read to their last line", arguments: Self.cases)
    func files(_ one: Case) {
        let text = Self.realm(one.realm, require: one.require)
        #expect(ConfigurationFixture.findings(text, files: one.files) == one.findings)
    }

    // MARK: Certificates

    private static let listener = """
        version: 1
        listeners: {a: {listen: 127.0.0.1:0, tls: {certificate: c, key: k, clientAuth: optional, clientCA: ca}}}
        pools: {p: {backends: "tls://h:1", tls: {ca: ca, certificate: c, key: k}}}
        services: {s: {path: /s, pool: p}}
        """

    private static func read(_ files: [String: [UInt8]], now: Int64? = nil) -> ConfigurationReading {
        let texts = files.mapValues { String(decoding: $0, as: UTF8.self) }
        var surroundings = ConfigurationFixture.surroundings(Self.listener, files: texts)
        let today = ConfigurationSurroundings.system(environment: [:]).now()
        surroundings.now = { now ?? today }
        return GatewayFile.read("gateway.yaml", surroundings)
    }

    @Test("make TLS of certificates and their keys")
    func certificates() throws {
        let authority = try CertificateAuthority()
        let leaf = try authority.issue("DNS:localhost", to: 86_400 * 100)
        // An authority's own certificate lasts a day here: a warning, which is not what this is about.
        let reading = Self.read(["c": leaf.pem, "k": leaf.keyPEM, "ca": try authority.pem()])
        #expect(reading.errors == [])
        let loaded = try #require(reading.loaded)
        let tls = try #require(loaded.listenerTLS["a"])
        #expect(tls.certificateVerification == .optionalVerification && tls.minimumTLSVersion == .tlsv12)
        #expect(loaded.backendTLS["p"] != nil)
        #expect(loaded.certificateEnds["a"] != nil && loaded.hash.count == 64)
    }

    @Test("are refused where they expired, are no pair, or hold nothing")
    func wrongCertificates() throws {
        let authority = try CertificateAuthority(to: 86_400 * 1000)
        let other = try CertificateAuthority(to: 86_400 * 1000).issue("DNS:localhost", to: 86_400 * 100)
        let leaf = try authority.issue("DNS:localhost", to: 86_400 * 100)
        let ca = try authority.pem()
        func sentences(_ files: [String: [UInt8]], now: Int64? = nil) -> [String] {
            Self.read(files, now: now).findings.map { "\($0.severity) \($0.key): \($0.sentence)" }
        }
        #expect(
            sentences(["c": leaf.pem, "k": other.keyPEM, "ca": ca]) == [
                "error listeners.a.tls.key: is not the key of the certificate in c",
                "error pools.p.tls.key: is not the key of the certificate in c",
            ]
        )
        #expect(
            sentences(["c": leaf.keyPEM, "k": leaf.pem, "ca": Array("none".utf8)]) == [
                "error listeners.a.tls.certificate: the file c holds no certificate in PEM",
                "error listeners.a.tls.key: the file k holds no key in PEM that needs no password",
                "error listeners.a.tls.clientCA: the file ca holds no certificate in PEM",
                "error pools.p.tls.ca: the file ca holds no certificate in PEM",
            ]
        )
        let end = Int64(try NIOSSLCertificate.fromPEMBytes(leaf.pem)[0].notValidAfter)
        let files = ["c": leaf.pem, "k": leaf.keyPEM, "ca": ca]
        #expect(
            sentences(files, now: end) == [
                "error listeners.a.tls.certificate: the certificate in c has expired",
                "error pools.p.tls.certificate: the certificate in c has expired",
            ]
        )
        #expect(
            sentences(files, now: end - 86_400 * 5).first
                == "warning listeners.a.tls.certificate: the certificate in c expires in 5 days"
        )
        #expect(
            sentences(files, now: end - 86_400 * 101).first
                == "error listeners.a.tls.certificate: the certificate in c is not valid yet"
        )
    }
}
