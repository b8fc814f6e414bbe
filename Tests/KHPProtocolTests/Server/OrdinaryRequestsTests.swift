import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite("Ordinary requests, one after the other (RFC 9112)")
struct OrdinaryRequestsTests {
    /// The steps that some bytes become, with the pieces of one content joined.
    private static func read(_ pieces: [ByteBuffer], most: Int? = 32) -> [String] {
        var requests = OrdinaryRequests(limits: Limits().openingHead, mostContent: most) {
            !OpeningServer.isWebSocketRequest($0.head)
        }
        var seen: [String] = []
        var content = ""
        func tell(_ text: String) {
            if !content.isEmpty { seen.append("content \(content)") }
            content = ""
            seen.append(text)
        }
        var other: ByteBuffer?
        for piece in pieces {
            if other != nil {
                other?.writeImmutableBuffer(piece)
                continue
            }
            requests.receive(piece)
            while let step = requests.next() {
                switch step {
                case .head(let request): tell("\(request.head.method) \(request.path)")
                case .content(let bytes): content += String(buffer: bytes)
                case .end:
                    tell("end")
                    requests.proceed()
                case .refused(_, let refusal): tell("refused \(refusal.status)")
                case .broken(let refusal):
                    // How much of it was handed out before depends on the pieces.
                    content = ""
                    tell("broken \(refusal.status)")
                case .other(let bytes): other = bytes
                }
            }
        }
        if let other { tell("other \(String(buffer: other))") }
        return seen
    }

    @Test("requests that are always behind another keep no memory of those before them (threat A23)")
    func memory() {
        var requests = OrdinaryRequests(limits: Limits().openingHead, mostContent: nil) { _ in true }
        let text = "GET /a HTTP/1.1\r\n\(Self.host)X: \(String(repeating: "x", count: 1_000))\r\n\r\n"
        requests.receive(ByteBuffer(string: text))
        for _ in 0..<2_000 {
            // One more than is taken, so that there is always something unread.
            requests.receive(ByteBuffer(string: text))
            for _ in 0..<2 { #expect(requests.next() != nil) }
            requests.proceed()
        }
        #expect(requests.unreadBytes == text.utf8.count)
        #expect(requests.heldBytes < 64 * 1024)
    }

    private static let host = "Host: a\r\n"
    private static let chunked = "Transfer-Encoding: chunked\r\n"

    static let rows: [(name: String, text: String, steps: [String])] = [
        (
            "an empty line between two (RFC 9112 section 2.2)",
            "POST /a HTTP/1.1\r\n\(host)Content-Length: 2\r\n\r\nhi\r\nGET /b HTTP/1.1\r\n\(host)\r\n",
            ["POST /a", "content hi", "end", "GET /b", "end"]
        ),
        (
            "two empty lines between two",
            "GET /a HTTP/1.1\r\n\(host)\r\n\r\n\r\nGET /b HTTP/1.1\r\n\(host)\r\n",
            ["GET /a", "end", "other \r\nGET /b HTTP/1.1\r\n\(host)\r\n"]
        ),
        ("one", "GET /a HTTP/1.1\r\n\(host)\r\n", ["GET /a", "end"]),
        (
            "two in one",
            "GET /a HTTP/1.1\r\n\(host)\r\nHEAD /b HTTP/1.1\r\n\(host)\r\n", ["GET /a", "end", "HEAD /b", "end"]
        ),
        (
            "content with a length, then another request",
            "POST /a HTTP/1.1\r\n\(host)Content-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\n\(host)\r\n",
            ["POST /a", "content hello", "end", "GET /b", "end"]
        ),
        ("no content", "POST /a HTTP/1.1\r\n\(host)Content-Length: 0\r\n\r\n", ["POST /a", "end"]),
        (
            "chunks with an extension and a trailer",
            "PUT /a HTTP/1.1\r\n\(host)\(chunked)\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n"
                + "GET /b HTTP/1.1\r\n\(host)\r\n",
            ["PUT /a", "content abcde", "end", "GET /b", "end"]
        ),
        (
            "a chunk that is longer than it says",
            "PUT /a HTTP/1.1\r\n\(host)\(chunked)\r\n3\r\nabcd\r\n0\r\n\r\n", ["PUT /a", "broken 400"]
        ),
        ("a size that is none", "PUT /a HTTP/1.1\r\n\(host)\(chunked)\r\n-3\r\nabc", ["PUT /a", "broken 400"]),
        ("a bare line feed", "PUT /a HTTP/1.1\r\n\(host)\(chunked)\r\n3\nabc", ["PUT /a", "broken 400"]),
        ("a size of 2^64", "PUT /a HTTP/1.1\r\n\(host)\(chunked)\r\n10000000000000000\r\n", ["PUT /a", "broken 400"]),
        ("too long by its head", "PUT /a HTTP/1.1\r\n\(host)Content-Length: 33\r\n\r\nabc", ["refused 413"]),
        (
            "too long in chunks",
            "PUT /a HTTP/1.1\r\n\(host)\(chunked)\r\n21\r\n\(String(repeating: "x", count: 33))\r\n0\r\n\r\n",
            ["PUT /a", "broken 413"]
        ),
        ("another coding", "PUT /a HTTP/1.1\r\n\(host)Transfer-Encoding: gzip, chunked\r\n\r\n", ["refused 501"]),
        ("a tunnel", "CONNECT a:443 HTTP/1.1\r\n\(host)\r\n", ["refused 501"]),
        ("an expectation", "PUT /a HTTP/1.1\r\n\(host)Expect: tea\r\nContent-Length: 1\r\n\r\na", ["refused 417"]),
        (
            "a WebSocket behind a request",
            "GET /a HTTP/1.1\r\n\(host)\r\nGET /b HTTP/1.1\r\nUpgrade: websocket\r\n\(host)\r\nframes",
            ["GET /a", "end", "other GET /b HTTP/1.1\r\nUpgrade: websocket\r\n\(host)\r\nframes"]
        ),
        (
            "a length beside chunks",
            "GET /a HTTP/1.1\r\n\(host)\r\nPOST /b HTTP/1.1\r\n\(host)\(chunked)Content-Length: 3\r\n\r\nabc",
            ["GET /a", "end", "other POST /b HTTP/1.1\r\n\(host)\(chunked)Content-Length: 3\r\n\r\nabc"]
        ),
        (
            "a head that cannot be read",
            "GET /a HTTP/1.1\r\n\(host)\r\nGET /b HTTP/1.1\r\nX : y\r\n\(host)\r\n",
            ["GET /a", "end", "other GET /b HTTP/1.1\r\nX : y\r\n\(host)\r\n"]
        ),
    ]

    @Test("the same steps wherever the bytes are cut (threat A22)", arguments: Self.rows)
    func cuts(_ row: (name: String, text: String, steps: [String])) {
        let bytes = ByteBuffer(string: row.text)
        for cut in 0...bytes.readableBytes {
            let pieces = [
                bytes.getSlice(at: 0, length: cut), bytes.getSlice(at: cut, length: bytes.readableBytes - cut),
            ].compactMap { $0 }
            #expect(Self.read(pieces) == row.steps, "\(row.name), cut at \(cut)")
        }
        #expect(
            Self.read(bytes.readableBytesView.map { ByteBuffer(bytes: [$0]) }) == row.steps,
            "\(row.name), by bytes"
        )
    }

    @Test("sizes, extensions and trailers of chunks are bounded where content is not (threat A22)")
    func framing() {
        let head = "PUT /a HTTP/1.1\r\n\(Self.host)\(Self.chunked)\r\n"
        let extensions = String(repeating: "1;\(String(repeating: "x", count: 200))\r\na\r\n", count: 400)
        #expect(Self.read([ByteBuffer(string: head + extensions)], most: nil).last == "broken 400")
        let trailers = "0\r\n" + String(repeating: "X: \(String(repeating: "y", count: 200))\r\n", count: 400)
        #expect(Self.read([ByteBuffer(string: head + trailers)], most: nil).last == "broken 400")
        let small = String(repeating: "1\r\na\r\n", count: 50_000) + "0\r\n\r\n"
        #expect(Self.read([ByteBuffer(string: head + small)], most: nil).last == "end")
    }
}

@Suite("The response to an ordinary request")
struct OrdinaryResponseTests {
    private struct Row: Sendable {
        var name: String
        var method = "GET"
        var version = 1
        var isKept = true
        var keepAlive = ""
        var status = 200
        var fields: HTTPFields = [:]
        var length: Int?
        var pieces = ["ab", "cd"]
        var text: String
    }

    private static let rows = [
        Row(name: "a length", length: 4, text: "200 OK|Date: now|Content-Length: 4||abcd"),
        Row(name: "chunks", text: "200 OK|Date: now|Transfer-Encoding: chunked||2|ab|2|cd|0||"),
        Row(
            name: "its own length",
            fields: [.contentLength: "4"],
            text: "200 OK|Date: now|Content-Length: 4||abcd"
        ),
        Row(name: "HEAD", method: "HEAD", length: 4, text: "200 OK|Date: now|Content-Length: 4||"),
        Row(name: "HEAD without a length", method: "HEAD", text: "200 OK|Date: now|Transfer-Encoding: chunked||"),
        Row(name: "HTTP/1.0", version: 0, text: "200 OK|Connection: close|Date: now||abcd"),
        Row(
            name: "HTTP/1.0, kept",
            version: 0,
            keepAlive: "keep-alive",
            length: 4,
            text: "200 OK|Connection: keep-alive|Date: now|Content-Length: 4||abcd"
        ),
        Row(
            name: "the last",
            keepAlive: "close",
            length: 4,
            text: "200 OK|Connection: close|Date: now|Content-Length: 4||abcd"
        ),
        Row(name: "204", status: 204, pieces: [], text: "204 No Content|Date: now||"),
        Row(
            name: "304",
            status: 304,
            fields: [.contentLength: "9"],
            pieces: [],
            text: "304 Not Modified|Date: now|Content-Length: 9||"
        ),
        Row(
            name: "fields of the server's",
            fields: [.connection: "keep-alive", .date: "then", .server: "s"],
            length: 4,
            text: "200 OK|Date: then|Server: s|Content-Length: 4||abcd"
        ),
    ]

    @Test("heads and content as HTTP/1 has them", arguments: rows)
    private func table(_ row: Row) throws {
        var fields = HeadFields()
        if !row.keepAlive.isEmpty { fields.append("Connection", row.keepAlive) }
        let request = RequestHead(method: row.method, target: "/", minorVersion: row.version, fields: fields)
        var response = OrdinaryResponse(to: request, isKept: row.isKept)
        var bytes = try response.begin(
            status: row.status,
            reason: "",
            fields: row.fields,
            length: row.length,
            date: "now"
        )
        for piece in row.pieces {
            guard let piece = try response.write(ByteBuffer(string: piece)) else { continue }
            for part in [piece.before, piece.content, piece.behind] { bytes.writeImmutableBuffer(part) }
        }
        if let end = try response.end() { bytes.writeImmutableBuffer(end) }
        #expect(String(buffer: bytes) == "HTTP/1.1 " + row.text.replacing("|", with: "\r\n"), "\(row.name)")
        #expect(response.isOver)
    }

    @Test("what cannot be sent is a fault of the application's")
    func faults() throws {
        func response() -> OrdinaryResponse {
            OrdinaryResponse(to: RequestHead(method: "GET", target: "/"), isKept: true)
        }
        for (status, fields) in [
            (99, [:]), (101, [:]), (1000, [:]), (200, [.contentLength: "x"]), (302, [.location: ""]),
        ] as [(Int, HTTPFields)] {
            var response = response()
            #expect(throws: OrdinaryResponse.Fault.self) {
                try response.begin(status: status, reason: "", fields: fields, length: nil, date: "now")
            }
            #expect(!response.hasBegun)
        }
        var long = response()
        _ = try long.begin(status: 200, reason: "", fields: [:], length: 2, date: "now")
        #expect(throws: OrdinaryResponse.Fault.wrongLength) { try long.write(ByteBuffer(string: "abc")) }
        #expect(throws: OrdinaryResponse.Fault.wrongLength) { try long.end() }
        #expect(throws: OrdinaryResponse.Fault.repeated) {
            try long.begin(status: 200, reason: "", fields: [:], length: 2, date: "now")
        }
    }
}
