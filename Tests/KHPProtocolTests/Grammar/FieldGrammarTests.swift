import HTTPTypes
import KHPProtocol
import TestSupport
import Testing

@Suite struct FieldGrammarTests {
    @Test("RFC 9110 section 5.6.2: token")
    func tokens() {
        let allowed = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
        for byte in UInt8.min...UInt8.max {
            #expect(Token.isTokenByte(byte) == allowed.contains(byte))
        }
        #expect(Token.isToken("x-kaazing-handshake"))
        #expect(!Token.isToken(""))
        #expect(!Token.isToken("a b"))
        #expect(!Token.isToken("\u{e9}"))
    }

    @Test(
        "RFC 9110 section 5.6.1: lists",
        arguments: [
            ("", []), (" , ,", []), ("a", ["a"]), (" a ,\tb", ["a", "b"]), ("a;x=\"1,2\", b", ["a;x=\"1,2\"", "b"]),
            ("\"a\\\",b\",c", ["\"a\\\",b\"", "c"]), ("a,,b", ["a", "b"]),
        ] as [(String, [String])]
    )
    func lists(value: String, expected: [String]) throws {
        var scanner = ListScanner(value)
        var elements: [String] = []
        while let element = try scanner.next() { elements.append(element) }
        #expect(elements == expected)
    }

    @Test(arguments: ["\"", "a;x=\"1", "\"\\", "\"a\\\"", "\"\u{1}\""])
    func brokenQuotedStrings(value: String) {
        #expect(throws: GrammarError.self) {
            var scanner = ListScanner(value)
            while try scanner.next() != nil {}
        }
        #expect(parseQuotedString(value) == nil)
    }

    @Test("RFC 9110 section 5.6.4: quoted strings", arguments: ["", "a", "a\"b", "\\", "a, b;\t=", "\u{20ac}"])
    func quotedStringsComeBack(value: String) {
        #expect(parseQuotedString(quoted(value)) == value)
    }

    @Test func quotingLeavesControlCharactersOut() {
        #expect(quoted("a\r\nSet-Cookie: b\u{0}") == "\"aSet-Cookie: b\"")
        #expect(tokenOrQuoted("abc") == "abc")
        #expect(tokenOrQuoted("a b") == "\"a b\"")
        #expect(parseQuotedString("\"a\"b") == nil)
        #expect(parseQuotedString("a") == nil)
    }

    @Test("linear time (threat A11)")
    func adversarialLists() throws {
        for value in [
            String(repeating: ",", count: 65536), String(repeating: "a,", count: 32768),
            "\"" + String(repeating: "\\", count: 65534) + "\"", String(repeating: "\"\"", count: 32768),
        ] {
            let start = ContinuousClock.now
            var scanner = ListScanner(value)
            while try scanner.next() != nil {}
            #expect(start.duration(to: .now) < .seconds(2) * Sanitizer.patience)
        }
    }

    @Test("Threat A7: no control character reaches a head")
    func validation() throws {
        for byte in UInt8.min...UInt8.max where byte < 0x20 || byte == 0x7F {
            let value = "a\(Character(UnicodeScalar(byte)))b"
            if byte == 9 {
                try FieldValidation.validate(name: "X", value: value)
            } else {
                let error = #expect(throws: WebSocketError.self) {
                    try FieldValidation.validate(name: "X", value: value)
                }
                #expect(error?.code == .invalidArgument)
                #expect(error?.message.contains("the header field X") == true)
                #expect(error?.message.contains("position 1") == true)
            }
        }
        try FieldValidation.validate(name: "X-A", value: "\u{e9} \u{20ac}")
        for name in ["", "a b", "a:", "\u{e9}", "a\r\nb"] {
            #expect(throws: WebSocketError.self) { try FieldValidation.validate(name: name, value: "") }
        }
        try FieldValidation.validate(token: "amqp", what: "a subprotocol")
        #expect(throws: WebSocketError.self) { try FieldValidation.validate(token: "a,b", what: "a subprotocol") }
        try FieldValidation.validate([.accept: "x"])
    }
}

@Suite struct BytesTests {
    @Test("case-insensitive equality agrees with the plain way to write it, at every length and place")
    func equalIgnoringCase() {
        var generator = SeededGenerator(seed: 5)
        for length in 0...40 {
            for _ in 0..<60 {
                let one = (0..<length).map { _ in UInt8.random(in: 0x35...0x85, using: &generator) }
                var other = one
                for index in one.indices where Int.random(in: 0..<8, using: &generator) == 0 {
                    other[index] ^= [0x20, 0x20, 0x20, 0x20, 0x01][Int.random(in: 0..<5, using: &generator)]
                }
                let expected = one.map(Bytes.lowercased) == other.map(Bytes.lowercased)
                #expect(
                    one.withUnsafeBytes { left in
                        other.withUnsafeBytes { Bytes.equalIgnoringCase(left, $0) }
                    } == expected
                )
            }
        }
        let differ = ("abc" as StaticString, "abcd" as StaticString)
        #expect(
            !Bytes.equalIgnoringCase(
                UnsafeRawBufferPointer(start: differ.0.utf8Start, count: 3),
                UnsafeRawBufferPointer(start: differ.1.utf8Start, count: 4)
            )
        )
    }
}

@Suite struct Base64Tests {
    @Test(
        "RFC 4648 section 10",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ]
    )
    func vectors(plain: String, encoded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == encoded)
        #expect(Base64.decode(encoded) == Array(plain.utf8))
    }

    @Test func everyByteComesBack() {
        for count in 0...260 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
    }

    @Test(arguments: [
        "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm8=Zm8=", "Zm-v", "Zm_v", "Zg==\n", " Zg=", "====", "=Zg=", "Z===",
        "Zm\u{e9}",
    ])
    func strict(text: String) {
        #expect(Base64.decode(text) == nil)
    }
}
