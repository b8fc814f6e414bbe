import KHPProtocol
import Testing

@Suite struct AcceptKeyTests {
    @Test(arguments: [
        // RFC 6455 section 1.3; the others computed with Python's hashlib.
        ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
        ("", "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w="),
    ])
    func accept(key: String, value: String) {
        #expect(AcceptKey.accept(for: key) == value)
        #expect(AcceptValue(value).text == value)
    }

    @Test(
        "a text that is no value makes an empty one",
        arguments: ["", "s3pPLMBiTxaQ9kYGzzhZRbK+xO=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOoo="]
    )
    func noValue(text: String) {
        #expect(AcceptValue(text).isEmpty)
        #expect(AcceptValue(text).text == "")
    }

    @Test func keysAreSixteenRandomBytes() {
        var generator = SystemRandomNumberGenerator()
        var seen = Set<String>()
        for _ in 0..<1000 {
            let key = AcceptKey.makeKey(using: &generator)
            #expect(AcceptKey.isValidKey(key))
            #expect(seen.insert(key).inserted)
        }
    }

    /// The bytes of the generator, all of them and in their order.
    @Test func keysAreTheGeneratorsBytes() {
        struct Counting: RandomNumberGenerator {
            var value: UInt64 = 0x0706_0504_0302_0100
            mutating func next() -> UInt64 {
                defer { self.value &+= 0x0808_0808_0808_0808 }
                return self.value.littleEndian
            }
        }
        var generator = Counting()
        #expect(Base64.decode(AcceptKey.makeKey(using: &generator)) == Array(0..<16))
    }

    @Test(arguments: [
        "", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZR==",
        "dGhlIHNhbXBsZSBub25jZTE=", "dGhlIHNhbXBsZSBub25jZTEy", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBs*SBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQE=", "dGhlIHNhbXBsZSBub25jZQ=A",
    ])
    func refusesOtherKeys(key: String) {
        #expect(!AcceptKey.isValidKey(key))
    }
}
