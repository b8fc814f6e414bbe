// A connection of somebody else's HTTP that is watched for requests of ours: what passes, what is found, and when.

import KHPProtocol
import NIOCore
import Testing

@Suite struct SharedConnectionTests {
    /// A conversation: `>` is sent by the peer, `<` by the host. The outcome: all bytes for the host, and those of ours.
    private struct Outcome: Equatable {
        var theirs = ""
        var ours: String?
    }

    private static func connection() -> SharedConnection {
        SharedConnection(limits: HeadLimits()) { $0.target == "/ours" }
    }

    private static func take(_ connection: inout SharedConnection, _ outcome: inout Outcome) {
        while let step = connection.next() {
            switch step {
            case .theirs(let bytes): outcome.theirs += String(buffer: bytes)
            case .ours(let bytes): outcome.ours = String(buffer: bytes)
            }
        }
    }

    /// Plays a conversation; each piece is cut at `cut`, or into single bytes where that is `nil`.
    private static func play(_ conversation: [String], cut: Int?) -> Outcome {
        var connection = Self.connection()
        var outcome = Outcome()
        for line in conversation {
            let bytes = Array(line.dropFirst().utf8)
            let pieces: [ArraySlice<UInt8>] =
                cut.map { [bytes[..<min($0, bytes.count)], bytes[min($0, bytes.count)...]] }
                ?? bytes.indices.map { bytes[$0...$0] }
            for piece in pieces where !piece.isEmpty {
                if line.first == ">" {
                    connection.receive(ByteBuffer(bytes: piece))
                } else {
                    connection.send(ByteBuffer(bytes: piece))
                }
                Self.take(&connection, &outcome)
            }
        }
        return outcome
    }

    private static func get(_ target: String, _ extra: String = "") -> String {
        "GET \(target) HTTP/1.1\r\nHost: h\r\n\(extra)\r\n"
    }

    private static let ours = get("/ours", "Upgrade: websocket\r\n")
    private static let ok = "<HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    private static let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
    private static let chunks =
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "3;a=b\r\n\r\n\r\r\n0A \r\n0123456789\r\n0\r\nT: x\r\n\r\n"

    /// Ours is found behind these.
    private static let found: [(name: String, conversation: [String])] = [
        ("nothing", []),
        ("a request with its response", [">" + get("/"), ok]),
        ("two, one after the other", [">" + get("/"), ok, ">" + post, ok]),
        ("two at once", [">" + get("/") + post, ok, ok]),
        ("chunks, and an empty line more", [">" + chunks + "\r\n", ok]),
        (
            "chunks that are answered in chunks",
            [
                ">" + chunks, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            ]
        ),
        (
            "HEAD, which has no content",
            [
                ">HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "<HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
            ]
        ),
        ("no content at all", [">" + get("/"), "<HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"]),
        (
            "100 before the response",
            [
                ">POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
                "<HTTP/1.1 100 Continue\r\n\r\n", ">abc", ok,
            ]
        ),
        (
            "a response before the content has come",
            [
                ">POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", ok, ">abc",
            ]
        ),
        ("another protocol that is not taken up", [">" + get("/auth", "Upgrade: h2c\r\n"), ok]),
    ]

    @Test("a request of ours is found between theirs, cut at every byte", arguments: found)
    func isFound(name: String, conversation: [String]) {
        let theirs = conversation.filter { $0.first == ">" }.map { $0.dropFirst() }.joined()
        let whole = conversation + [">" + Self.ours + "early"]
        let longest = whole.map(\.utf8.count).max() ?? 0
        for cut in 0...longest {
            let outcome = Self.play(whole, cut: cut)
            // The bytes behind the request in the same read are ours; later ones never get here.
            let isOurs = outcome.ours.map { (Self.ours + "early").hasPrefix($0) && $0.hasPrefix(Self.ours) } ?? false
            #expect(outcome.theirs == theirs && isOurs, "\(name), cut at \(cut)")
        }
        let outcome = Self.play(conversation + [">" + Self.ours], cut: nil)
        #expect(outcome == Outcome(theirs: theirs, ours: Self.ours), "\(name), byte by byte")
    }

    /// Ours waits behind these, all bytes of which have passed, until the response has been sent.
    @Test("a request of ours waits for the responses that are owed", arguments: [1, 3])
    func waits(requests: Int) {
        var connection = Self.connection()
        var outcome = Outcome()
        let theirs = String(repeating: Self.get("/"), count: requests)
        connection.receive(ByteBuffer(string: theirs + Self.ours))
        for _ in 0..<requests {
            Self.take(&connection, &outcome)
            #expect(outcome == Outcome(theirs: theirs))
            #expect(connection.isHolding)
            connection.send(ByteBuffer(string: String(Self.ok.dropFirst())))
        }
        connection.receive(ByteBuffer(string: "late"))
        Self.take(&connection, &outcome)
        #expect(outcome == Outcome(theirs: theirs, ours: Self.ours + "late"))
        #expect(!connection.isHolding)
    }

    /// Nothing is looked for behind these.
    private static let theirs: [(name: String, conversation: [String])] = [
        ("CONNECT", [">CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "<HTTP/1.1 200 OK\r\n\r\n"]),
        ("another protocol", [">" + get("/", "Upgrade: h2c\r\n"), "<HTTP/1.1 101 Switching Protocols\r\n\r\n"]),
        ("an unreadable head", [">GET / HTTP/1.1\r\nHo st: h\r\n\r\n", ok]),
        ("HTTP/2", [">PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]),
        (
            "two framings",
            [
                ">POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ok,
            ]
        ),
        ("an unknown framing", [">POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", ok]),
        (
            "a chunk that is longer than its size",
            [
                ">POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", ok,
            ]
        ),
        (
            "a chunk size of too many digits",
            [
                ">POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000000\r\n", ok,
            ]
        ),
        ("a response that ends with the stream", [">" + get("/"), "<HTTP/1.1 200 OK\r\n\r\nand so on"]),
        ("a response that cannot be read", [">" + get("/"), "<HTTP 200\r\n\r\n"]),
        ("a response that nobody has asked for", ["<HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n"]),
    ]

    @Test("where a message's end is not certain all is theirs", arguments: theirs)
    func staysTheirs(name: String, conversation: [String]) {
        let whole = conversation + [">" + Self.ours]
        let theirs = whole.filter { $0.first == ">" }.map { $0.dropFirst() }.joined()
        for cut in 0...(whole.map(\.utf8.count).max() ?? 0) {
            #expect(Self.play(whole, cut: cut) == Outcome(theirs: theirs), "\(name), cut at \(cut)")
        }
        #expect(Self.play(whole, cut: nil) == Outcome(theirs: theirs), "\(name), byte by byte")
    }

    @Test("a request of ours that waits is theirs once their responses cannot be told apart any more")
    func loses() {
        var connection = Self.connection()
        var outcome = Outcome()
        connection.receive(ByteBuffer(string: Self.get("/") + Self.ours + "early"))
        Self.take(&connection, &outcome)
        connection.send(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"))
        Self.take(&connection, &outcome)
        #expect(outcome == Outcome(theirs: Self.get("/") + Self.ours + "early"))
        #expect(connection.isTheirs)
    }

    @Test("what waits can be given up, a part of a head and a request of ours alike")
    func givesUp() {
        for rest in ["GET /ou", Self.ours] {
            var connection = Self.connection()
            var outcome = Outcome()
            connection.receive(ByteBuffer(string: Self.get("/") + rest))
            Self.take(&connection, &outcome)
            #expect(connection.giveUp().map { String(buffer: $0) } == rest)
            #expect(connection.giveUp() == nil)
            connection.receive(ByteBuffer(string: Self.ours))
            Self.take(&connection, &outcome)
            #expect(outcome == Outcome(theirs: Self.get("/") + Self.ours))
        }
    }

    @Test("content that is sent from a file counts")
    func files() {
        var connection = Self.connection()
        var outcome = Outcome()
        connection.receive(ByteBuffer(string: Self.get("/") + Self.ours))
        Self.take(&connection, &outcome)
        connection.send(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"))
        Self.take(&connection, &outcome)
        #expect(outcome.ours == nil)
        connection.send(count: 7)
        Self.take(&connection, &outcome)
        #expect(outcome.ours == Self.ours)
    }
}
