// Tokens that PyJWT has made (Tokens/make-tokens.py), good ones and every attack that we know of: what is taken, and the
// cause of each refusal.

import Foundation
import KHPProtocol
import Testing

@testable import KHPGateway

@Suite("Threats G16, G17: JSON Web Tokens")
struct TokenVerifierTests {
    struct Line: Sendable, CustomTestStringConvertible {
        var result: String
        var name: String
        var keys: String
        var algorithms: [SignatureAlgorithm]
        var token: String

        var testDescription: String { self.name }
    }

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Tokens")

    static let lines: [Line] = {
        let text = (try? String(contentsOf: Self.folder.appendingPathComponent("tokens.txt"), encoding: .utf8)) ?? ""
        return text.split(separator: "\n").map { line in
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            let algorithms = parts[3].split(separator: ",").compactMap { SignatureAlgorithm(rawValue: String($0)) }
            return Line(result: parts[0], name: parts[1], keys: parts[2], algorithms: algorithms, token: parts[4])
        }
    }()

    private static func keys(_ name: String, _ algorithms: [SignatureAlgorithm]) throws -> KeySet {
        let bytes = try Data(contentsOf: Self.folder.appendingPathComponent("\(name).json"))
        return KeySet.read(Array(bytes), algorithms: algorithms).set
    }

    static func verifier(_ keys: String, _ algorithms: [SignatureAlgorithm]) throws -> TokenVerifier {
        var rules = GatewayConfiguration.JWT(
            keys: keys,
            algorithms: algorithms,
            issuer: "https://id.example.com/",
            audience: ["khp", "khp-test"]
        )
        rules.roles = "realm_access.roles"
        return TokenVerifier(rules: rules, keys: try Self.keys(keys, algorithms), realm: "apps")
    }

    /// In the order of the file: what one token did must not change the fate of the next.
    @Test("are taken or refused, each for its cause")
    func table() throws {
        #expect(Self.lines.count > 100)
        for line in Self.lines {
            let verifier = try Self.verifier(line.keys, line.algorithms)
            var result = "ok"
            do throws(TokenVerifier.Refusal) {
                _ = try verifier.principal(of: line.token, now: 1_800_000_000)
            } catch {
                result = "\(error)"
            }
            #expect(result == line.result, "\(line.name)")
        }
    }

    @Test("make a principal with realm, roles, claims and an end")
    func principal() throws {
        let line = try #require(Self.lines.first { $0.name == "ES256" })
        let verifier = try Self.verifier("public", line.algorithms)
        let principal = try verifier.principal(of: line.token, now: 1_800_000_000)
        #expect(principal.name == "joe" && principal.realm == "apps" && principal.roles == ["trader", "ops"])
        #expect(principal.claims["tenant"] == "acme" && principal.claims["level"] == "7")
        // The end of the token and the difference of clocks.
        #expect(principal.expires == 1_800_000_090)
    }

    @Test("end nothing where the file says so, and name the principal by any claim")
    func rules() throws {
        let line = try #require(Self.lines.first { $0.name == "ES256" })
        let known = try Self.verifier("public", line.algorithms)
        var rules = known.rules
        rules.onExpiry = .ignore
        rules.principal = "tenant"
        rules.roles = "tenant"
        let verifier = TokenVerifier(rules: rules, keys: known.keys, realm: "r")
        let principal = try verifier.principal(of: line.token, now: 1_800_000_000)
        #expect(principal.name == "acme" && principal.expires == nil && principal.roles == ["acme"])
    }

    @Test(
        "give the roles of a list or a text, and none that holds control characters (threat G16)",
        arguments: [
            (#"["x\u0000admin","ops"]"#, ["ops"]), (#"["a\nb","c\u007F","\u001F",""]"#, []),
            (#""ops x\u0000y""#, ["ops"]),
            (#"["two words","ops",7]"#, ["two words", "ops"]), ("7", []),
        ] as [(String, Set<String>)]
    )
    func roles(_ claim: String, _ roles: Set<String>) throws {
        let value = try JSONText.read(Array(claim.utf8))
        #expect(TokenVerifier.roles(value) == roles)
    }

    @Test("are refused however they are cut or changed, one byte at a time")
    func bytes() throws {
        let line = try #require(Self.lines.first { $0.name == "ES256" })
        let verifier = try Self.verifier("public", line.algorithms)
        let token = Array(line.token.utf8)
        for index in token.indices {
            var changed = token
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            let cut = token.prefix(index)
            for bytes in [changed, Array(cut)] {
                #expect(throws: TokenVerifier.Refusal.self, "byte \(index)") {
                    _ = try verifier.principal(of: String(decoding: bytes, as: UTF8.self), now: 1_800_000_000)
                }
            }
        }
    }
}

@Suite("JSON Web Key Sets")
struct KeySetTests {
    @Test(
        "say what is wrong with them, and where",
        arguments: [
            ("", ["1:1 error: is no JSON"]),
            ("{\"keys\": 1}", ["1:1 error: has no member keys with a list of keys"]),
            ("{\"keys\": [], \"keys\": []}", ["1:24 error: has the member \"keys\" twice"]),
            ("{\"keys\": [1]}", ["1:1 error: key 1 is no object", "1:1 error: has no key for ES256, RS256"]),
            (
                "{\"keys\": [\n {\"kty\": \"RSA\", \"kid\": \"a\", \"n\": \"AQAB\", \"e\": \"AQAB\"}]}",
                [
                    "2:2 error: the key \"a\" is RSA of 17 bits; 2048 are the least",
                    "1:1 error: has no key for ES256, RS256",
                ]
            ),
            (
                "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AQAB\"}, {\"kty\": \"EC\", \"crv\": \"secp256k1\"}]}",
                [
                    "1:11 error: key 1 is a secret, and no HS algorithm is allowed",
                    "1:40 warning: key 2 is passed over: the curve \"secp256k1\" is not known here",
                    "1:1 error: has no key for ES256, RS256",
                ]
            ),
            (
                "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"AQAB\", \"y\": \"AQAB\"}, {\"kty\": \"DH\"}]}",
                [
                    "1:11 error: key 1 is no point of its curve: x and y in base64url",
                    "1:68 warning: key 2 is passed over: the type \"DH\" is not known here",
                    "1:1 error: has no key for ES256, RS256",
                ]
            ),
        ]
    )
    func remarks(_ text: String, _ expected: [String]) {
        let remarks = KeySet.read(Array(text.utf8), algorithms: [.es256, .rs256]).remarks.map { remark in
            "\(remark.position.line):\(remark.position.column) \(remark.isError ? "error" : "warning"): \(remark.sentence)"
        }
        #expect(remarks == expected)
    }

    @Test("hold points of their curves alone")
    func curve() {
        let zero = [UInt8](repeating: 0, count: 32)
        #expect(SignatureKey.curve(.p256, x: zero, y: zero) == nil)
        #expect(SignatureKey.curve(.p256, x: zero + [0], y: zero) == nil)
        #expect(SignatureKey.rsa(modulus: [], exponent: [1]) == nil)
        #expect(SignatureKey.ed25519([1]) == nil)
    }
}
