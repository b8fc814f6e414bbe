import KHPProtocol
import NIOCore
import Testing

/// RFC 2617 section 3.5, RFC 7616 sections 3.9.1 and 3.9.2 (with erratum 4897): what both ends compute.
struct DigestVectorTests {
    private func exchange(
        _ algorithm: DigestAlgorithm,
        nonce: String,
        clientNonce: String,
        uri: String = "/dir/index.html",
        protection: DigestProtection? = .authentication
    ) -> DigestExchange {
        DigestExchange(
            algorithm: algorithm,
            nonce: nonce,
            protection: protection,
            clientNonce: clientNonce,
            method: "GET",
            uri: uri
        )
    }

    @Test("RFC 2617 section 3.5, with and without qop")
    func rfc2617() {
        let key = DigestKey.make(
            user: "Mufasa",
            realm: "testrealm@host.com",
            password: "Circle Of Life",
            algorithm: .md5
        )
        let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
        #expect(
            exchange(.md5, nonce: nonce, clientNonce: "0a4f113b").response(key: key)
                == "6629fae49393a05397450978507c4ef1"
        )
        #expect(
            exchange(.md5, nonce: nonce, clientNonce: "", protection: nil).response(key: key)
                == "670fd8c2df070c60b045671b8b24ff02"
        )
    }

    @Test(
        "RFC 7616 section 3.9.1",
        arguments: [
            (DigestAlgorithm.md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (.sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ]
    )
    func rfc7616(_ algorithm: DigestAlgorithm, _ response: String) {
        let key = DigestKey.make(
            user: "Mufasa",
            realm: "http-auth@example.org",
            password: "Circle of Life",
            algorithm: algorithm
        )
        let exchange = exchange(
            algorithm,
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            clientNonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
        )
        #expect(exchange.response(key: key) == response)
    }

    @Test("RFC 7616 section 3.9.2 as erratum 4897 corrects it: SHA-512/256, a hashed user name")
    func erratum4897() {
        let user = "J\u{E4}s\u{F8}n Doe"
        let realm = "api@example.org"
        let key = DigestKey.make(user: user, realm: realm, password: "Secret, or not?", algorithm: .sha512_256)
        #expect(
            DigestKey.userHash(user: user, realm: realm, algorithm: .sha512_256)
                == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
        )
        let exchange = exchange(
            .sha512_256,
            nonce: "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            clientNonce: "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
            uri: "/doe.json"
        )
        #expect(
            exchange.response(key: key) == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
        )
    }
}
