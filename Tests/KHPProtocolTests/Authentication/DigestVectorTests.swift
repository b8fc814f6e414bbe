import KHPProtocol
import NIOCore
import Testing

/// The computations of both ends of Digest and Basic: `Specs/vectors/digest.json`, which names the source of each
/// vector.
@Suite("Digest and Basic vectors")
struct DigestVectorTests {
    struct DigestVector: Decodable, Sendable, CustomTestStringConvertible {
        var name: String
        var section: String
        var algorithm: String
        var user: String
        var realm: String
        var password: String
        var nonce: String
        var method: String
        var uri: String
        var qop: String?
        var nc: String?
        var cnonce: String?
        var entity: String?
        var sasl: Bool?
        var response: String
        var rspauth: String?
        var userhash: String?
        var challenge: String?
        var authorization: String?

        var testDescription: String { "\(self.section): \(self.name)" }

        /// The key of the algorithm: for RFC 2831 the session key is made by hand, and the rest is MD5's.
        var key: String {
            let algorithm = DigestAlgorithm(name: self.algorithm) ?? .md5
            let key = DigestKey.make(user: self.user, realm: self.realm, password: self.password, algorithm: algorithm)
            guard self.sasl == true else { return key }
            return algorithm.hash(FrameSupport.bytes(hex: key) + Array(":\(self.nonce):\(self.cnonce ?? "")".utf8))
        }

        func exchange() throws -> DigestExchange {
            DigestExchange(
                algorithm: try #require(DigestAlgorithm(name: self.algorithm)),
                nonce: self.nonce,
                protection: self.qop.flatMap(DigestProtection.init),
                clientNonce: self.cnonce ?? "",
                nonceCount: UInt32(self.nc ?? "1", radix: 16) ?? 0,
                method: self.method,
                uri: self.uri,
                entity: ByteBuffer(string: self.entity ?? "")
            )
        }
    }

    struct BasicVector: Decodable, Sendable, CustomTestStringConvertible {
        var section: String
        var user: String
        var password: String
        var value: String

        var testDescription: String { self.section }
    }

    private struct File: Decodable {
        var digest: [DigestVector]
        var basic: [BasicVector]
    }

    private static let file = try? FrameSupport.load("digest.json", as: File.self)
    static let digest = file?.digest ?? []
    static let basic = file?.basic ?? []

    @Test func theFileIsThere() {
        #expect(Self.digest.count >= 19)
        #expect(Self.digest.filter { $0.challenge != nil }.count >= 3)
        #expect(Self.basic.count >= 4)
    }

    @Test("response and rspauth", arguments: digest)
    func computes(_ vector: DigestVector) throws {
        let exchange = try vector.exchange()
        #expect(exchange.response(key: vector.key) == vector.response)
        if let expected = vector.rspauth {
            #expect(exchange.responseAuthentication(key: vector.key) == expected)
            let proof = DigestProof(exchange: exchange, key: vector.key)
            #expect(try proof.check(["rspauth=\"\(expected)\""]) == nil)
            #expect(throws: WebSocketError.self) { try proof.check(["rspauth=\"\(vector.response)\""]) }
        }
        if let hash = vector.userhash {
            let made = DigestKey.userHash(user: vector.user, realm: vector.realm, algorithm: exchange.algorithm)
            #expect(made == hash)
        }
    }

    @Test("a whole exchange, from challenge to answer", arguments: digest.filter { $0.challenge != nil })
    func exchanges(_ vector: DigestVector) throws {
        let parsed = try parseChallenges(fieldValues: [vector.challenge ?? ""])
        let challenge = try DigestChallenge(try #require(parsed.first))
        var session = try DigestSession(challenge, user: vector.user, password: vector.password)
        let answer = session.answer(method: vector.method, uri: vector.uri, clientNonce: vector.cnonce ?? "")
        #expect(answer?.value == vector.authorization)
    }

    @Test("Basic", arguments: basic)
    func basicValue(_ vector: BasicVector) throws {
        #expect(try BasicCredentials(user: vector.user, password: vector.password).authorization == vector.value)
        let decoded = try #require(BasicCredentials(authorization: vector.value))
        #expect(decoded.user == vector.user)
        #expect(decoded.password == vector.password)
    }
}
