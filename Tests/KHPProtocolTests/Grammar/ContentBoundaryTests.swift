// The end of content that somebody else reads (RFC 9112 sections 6.3 and 7.1): where it is not certain, what follows it could
// be taken for a request of its own (threat A3).

import NIOCore
import Testing

@testable import KHPProtocol

@Suite("The boundary of content that somebody else reads")
struct ContentBoundaryTests {
    private static func request(_ fields: String, version: String = "1.1") throws -> ContentBoundary? {
        var decoder = RequestHeadDecoder(limits: HeadLimits())
        var head = ByteBuffer(string: "POST / HTTP/\(version)\r\nHost: h\r\n\(fields)\r\n")
        return ContentBoundary(of: try #require(try decoder.decode(&head)))
    }

    private static func response(_ line: String, _ fields: String, isForHEAD: Bool = false) throws -> ContentBoundary? {
        var decoder = ResponseHeadDecoder(limits: HeadLimits())
        var head = ByteBuffer(string: "HTTP/1.1 \(line)\r\n\(fields)\r\n")
        return ContentBoundary(of: try #require(try decoder.decode(&head)), isForHEAD: isForHEAD)
    }

    /// How many bytes of a text are content, read at once and byte by byte; `nil` where that is not certain.
    private static func taken(_ content: String, by boundary: ContentBoundary) throws -> Int? {
        var whole = boundary
        let atOnce = whole.take(ByteBuffer(string: content))
        var dripped = boundary
        var count: Int? = 0
        for byte in content.utf8 where count != nil && !dripped.isComplete {
            count = dripped.take(ByteBuffer(bytes: [byte])).map { $0 + (count ?? 0) }
        }
        #expect(count == atOnce && whole.isComplete == dripped.isComplete, "\(content.debugDescription)")
        return atOnce
    }

    private static let chunked = "Transfer-Encoding: chunked\r\n"

    @Test(
        "is found behind chunks, whatever follows",
        arguments: [
            "0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "3 \r\nabc\r\n0\t\r\n\r\n", "3;a=\"b\"\r\nabc\r\n0;c\r\n\r\n",
            "a\r\n0123456789\r\n0\r\n\r\n", "1\r\n\r\r\n2\r\n\r\n\r\n0\r\n\r\n", "0\r\nA: b\r\nC: d\r\n\r\n",
            "000000000000001\r\na\r\n0\r\n\r\n",
        ]
    )
    func chunks(_ content: String) throws {
        let boundary = try #require(try Self.request(Self.chunked))
        #expect(try Self.taken(content + "GET /next HTTP/1.1\r\n", by: boundary) == content.utf8.count)
        // One byte less is not the end.
        var short = boundary
        _ = short.take(ByteBuffer(string: String(content.unicodeScalars.dropLast())))
        #expect(!short.isComplete)
    }

    @Test(
        "is not certain where a reader could find another",
        arguments: [
            "\r\n", "x\r\n", "3\nabc\r\n", "3\r\nabcd", "3\r\nabc\n", "3\r\nabc\r\r", "3\rabc", "3\r\r\nabc", ";a\r\n",
            " 3\r\nabc", "-1\r\n", "+1\r\n", "0x1\r\n", "3;a\nb\r\n", "3;a\rb\r\n", "0\r\n\n", "0\r\nA: b\n\r\n",
            "0\r\nA: b\r\r\n", "0\r\n\rx", "0000000000000001\r\n", "FFFFFFFFFFFFFFFF\r\n",
        ]
    )
    func broken(_ content: String) throws {
        let boundary = try #require(try Self.request(Self.chunked))
        #expect(try Self.taken(content + "GET /next HTTP/1.1\r\n\r\n", by: boundary) == nil)
    }

    @Test("extensions and trailers pass up to 64 KiB", arguments: ["1;", "0\r\n"])
    func framing(_ start: String) throws {
        var boundary = try #require(try Self.request(Self.chunked))
        let most = 65_536 - start.utf8.count
        let all = boundary.take(ByteBuffer(string: start + String(repeating: "x", count: most)))
        #expect(all == 65_536)
        let more = boundary.take(ByteBuffer(string: "x"))
        #expect(more == nil)
    }

    @Test("is where Content-Length says, and nowhere where the head says two things")
    func heads() throws {
        let length = try #require(try Self.request("Content-Length: 3\r\n"))
        #expect(try Self.taken("abcGET ", by: length) == 3)
        #expect(try Self.request("")?.isComplete == true)
        #expect(try Self.request("Content-Length: 0\r\n")?.isComplete == true)
        for fields in [
            "Content-Length: 3\r\n" + Self.chunked, Self.chunked + Self.chunked, "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n", "Transfer-Encoding: x\r\n",
        ] {
            #expect(try Self.request(fields) == nil, "\(fields)")
        }
        #expect(try Self.request(Self.chunked, version: "1.0") == nil)
        // Content without a length ends with the stream of a response.
        #expect(try Self.response("200 OK", "") == nil)
        #expect(try Self.response("200 OK", "Content-Length: 3\r\n")?.isComplete == false)
        for line in ["204 A", "304 A"] {
            #expect(try Self.response(line, "Content-Length: 3\r\n")?.isComplete == true)
        }
        #expect(try Self.response("200 OK", Self.chunked, isForHEAD: true)?.isComplete == true)
    }

    @Test("goes on over bytes that nobody looks at, as far as they are content")
    func skips() throws {
        let length = "Content-Length: 10\r\n"
        let rows: [(fields: String, before: String, skipped: [Int], areContent: [Bool], isComplete: Bool)] = [
            (length, "", [4, 6, 0, 1], [true, true, true, false], true), (length, "", [11], [false], false),
            (length, "ab", [8], [true], true), (Self.chunked, "", [1], [false], false),
            (Self.chunked, "5\r\na", [4, 0, 1], [true, true, false], false),
            (Self.chunked, "5\r\na", [5], [false], false),
        ]
        for row in rows {
            var boundary = try #require(try Self.request(row.fields))
            if !row.before.isEmpty { _ = boundary.take(ByteBuffer(string: row.before)) }
            let areContent = row.skipped.map { boundary.skip(count: $0) }
            #expect(areContent == row.areContent, "\(row)")
            #expect(boundary.isComplete == row.isComplete, "\(row)")
        }
        // Chunks go on behind what was skipped.
        var chunks = try #require(try Self.request(Self.chunked))
        _ = chunks.take(ByteBuffer(string: "5\r\na"))
        _ = chunks.skip(count: 4)
        let rest = chunks.take(ByteBuffer(string: "\r\n0\r\n\r\n"))
        #expect(rest == 7 && chunks.isComplete)
    }
}
