// Folded field lines (RFC 9112 section 5.2): a response's are read as one blank, a request's are refused (D30).

import KHPProtocol
import NIOCore
import Testing

struct FoldedLineTests {
    private static func read(_ text: String, reads: [Int] = []) throws -> (ResponseHead?, left: String) {
        var decoder = ResponseHeadDecoder(limits: .opening)
        let bytes = Array(text.utf8)
        var start = 0
        for end in reads + [bytes.count] {
            var buffer = ByteBuffer(bytes: bytes[start..<end])
            start = end
            if let head = try decoder.decode(&buffer) {
                buffer.writeBytes(bytes[end...])
                return (head, String(buffer: buffer))
            }
        }
        return (nil, "")
    }

    @Test(
        "D30: each fold is one blank, wherever the bytes are cut",
        arguments: [
            ("A: b\r\n c\r\n", ["A": "b c"]), ("A: b \t\r\n\t  c\r\nD: e\r\n", ["A": "b c", "D": "e"]),
            ("A:\r\n b\r\n", ["A": "b"]), ("A: b\r\n \r\n c\r\n", ["A": "b c"]),
            ("A: b\r\n \r\nD: e\r\n", ["A": "b", "D": "e"]),
            ("A: b\r\n c: d\r\n\te\r\n", ["A": "b c: d e"]),
            ("Location: ws://h/a\r\n \r\n", ["Location": "ws://h/a"]),
        ]
    )
    func responses(_ lines: String, _ expected: [String: String]) throws {
        let text = "HTTP/1.1 302 Found\r\n\(lines)Z: last\r\n\r\nrest"
        let count = text.utf8.count
        for cut in 0...count {
            let (head, left) = try Self.read(text, reads: cut == 0 || cut == count ? [] : [cut])
            let fields = try #require(head).fields
            #expect(fields.count == expected.count + 1)
            for (name, value) in expected { #expect(fields.first(name) == value, "cut at \(cut)") }
            #expect(fields.first("Z") == "last")
            #expect(left == "rest")
        }
        let dripped = try Self.read(text, reads: Array(1..<count))
        #expect(dripped.0?.fields.first("Z") == "last")
    }

    @Test(
        "what is no fold is refused",
        arguments: [
            "HTTP/1.1 200 OK\r\n folded\r\n\r\n", "HTTP/1.1 200 OK\r\n \r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\u{1}\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\rd\r\n\r\n", "HTTP/1.1 200 OK\r\nA\r\n : b\r\n\r\n",
        ]
    )
    func malformed(_ text: String) {
        #expect(throws: HeadError.self) { try Self.read(text) }
        #expect(throws: HeadError.self) { try Self.read(text, reads: Array(1..<text.utf8.count)) }
    }

    @Test("a folded field is no longer than a line may be, a head no larger than a head")
    func bounds() {
        let long =
            "HTTP/1.1 200 OK\r\nA: b" + String(repeating: "\r\n " + String(repeating: "c", count: 4000), count: 3)
        #expect(throws: HeadError.lineTooLong(isStartLine: false)) { try Self.read(long + "\r\n\r\n") }
        let endless = "HTTP/1.1 200 OK\r\nA: b" + String(repeating: "\r\n c", count: 20_000)
        #expect(throws: HeadError.headTooLarge) { try Self.read(endless) }
    }

    @Test("D30: a request's are refused, on the wire and inside")
    func requests() throws {
        for limits in [HeadLimits.opening, .extended] {
            var decoder = RequestHeadDecoder(limits: limits)
            var buffer = ByteBuffer(string: "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n")
            #expect(throws: HeadError.self) { try decoder.decode(&buffer) }
        }
    }
}
