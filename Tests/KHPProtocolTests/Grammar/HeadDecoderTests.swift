import KHPProtocol
import NIOCore
import Testing

private func bytes(_ text: String) -> [UInt8] {
    Array(text.replacing("\n", with: "\r\n").utf8)
}

/// The result of a decoder, comparable over all the ways to cut its bytes.
private enum Outcome<Head: Equatable>: Equatable {
    case head(Head, consumed: Int)
    case failed(HeadError)
    case incomplete
}

private func run<Head: Equatable>(
    _ pieces: [ArraySlice<UInt8>],
    _ decode: (inout ByteBuffer) throws(HeadError) -> Head?
) -> Outcome<Head> {
    var given = 0
    for piece in pieces {
        var input = ByteBuffer(bytes: piece)
        given += piece.count
        do throws(HeadError) {
            if let head = try decode(&input) { return .head(head, consumed: given - input.readableBytes) }
            #expect(input.readableBytes == 0, "what is no complete head is taken whole")
        } catch {
            return .failed(error)
        }
    }
    return .incomplete
}

private func request(_ pieces: [ArraySlice<UInt8>], _ limits: HeadLimits = .opening) -> Outcome<RequestHead> {
    var decoder = RequestHeadDecoder(limits: limits)
    return run(pieces) { input throws(HeadError) in try decoder.decode(&input) }
}

private func response(_ pieces: [ArraySlice<UInt8>], _ limits: HeadLimits = .opening) -> Outcome<ResponseHead> {
    var decoder = ResponseHeadDecoder(limits: limits)
    return run(pieces) { input throws(HeadError) in try decoder.decode(&input) }
}

/// Every way to cut `bytes` that the tests use: byte by byte, and in two at every place.
private func cuts(_ bytes: [UInt8]) -> [[ArraySlice<UInt8>]] {
    [bytes.indices.map { bytes[$0...$0] }] + bytes.indices.map { [bytes[..<$0], bytes[$0...]] }
}

private let opening = """
    GET /trades?desk=7 HTTP/1.1
    Host: example.com:8080
    Upgrade: websocket
    Connection: keep-alive, Upgrade
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
    Sec-WebSocket-Version: 13
    sec-websocket-protocol:x-kaazing-handshake,amqp\t
    X-Empty:
    X-Wide:  a\tb  c \t


    """

@Suite struct HeadDecoderTests {
    @Test func requestHead() throws {
        guard case .head(let head, let consumed) = request([bytes(opening + "rest")[...]]) else {
            Issue.record("no head")
            return
        }
        #expect(consumed == bytes(opening).count)
        #expect(head.method == "GET")
        #expect(head.target == "/trades?desk=7")
        #expect(head.minorVersion == 1)
        #expect(head.fields.count == 8)
        #expect(head.fields.first("HOST") == "example.com:8080")
        #expect(head.fields.first("Sec-WebSocket-Protocol") == "x-kaazing-handshake,amqp")
        #expect(head.fields.first("X-Empty") == "")
        #expect(head.fields.first("X-Wide") == "a\tb  c")
        #expect(head.fields.first("X-None") == nil)
    }

    @Test(arguments: [
        ("HTTP/1.1 101 Web Socket Protocol Handshake\nA: b\n\n", 101, "Web Socket Protocol Handshake", 1),
        ("HTTP/1.1 200 \n\n", 200, "", 1),
        ("HTTP/1.1 200\n\n", 200, "", 1),
        ("HTTP/1.0 999 \u{e9}t\u{e9}\n\n", 999, "\u{e9}t\u{e9}", 0),
        ("HTTP/1.1 100  two\tspaces\n\n", 100, " two\tspaces", 1),
    ])
    func responseHead(text: String, status: Int, reason: String, minorVersion: Int) {
        guard case .head(let head, _) = response([bytes(text)[...]]) else {
            Issue.record("no head")
            return
        }
        #expect(head.status == status)
        #expect(head.reason == reason)
        #expect(head.minorVersion == minorVersion)
    }

    @Test(
        "RFC 9112: what is malformed is refused with 400 (threats A3, A9, A12, A16)",
        arguments: [
            "\nGET / HTTP/1.1\n\n", " GET / HTTP/1.1\n\n", "GET  / HTTP/1.1\n\n", "GET /  HTTP/1.1\n\n",
            "GET / HTTP/1.1 \n\n", "GET /\n\n", "GET\n\n", "GET / http/1.1\n\n", "GET / HTTP/1\n\n",
            "GET / HTTP/11.1\n\n", "GET / XTTP/1.1\n\n", "GET / HXTP/1.1\n\n", "GET / HTXP/1.1\n\n",
            "GET / HTTX/1.1\n\n", "GET / HTTP.1.1\n\n", "GET / HTTP/x.1\n\n", "GET / HTTP/1/1\n\n",
            "GET / HTTP/1.x\n\n",
            "GET\t/\tHTTP/1.1\n\n", "G@T / HTTP/1.1\n\n", "GET /\u{e9} HTTP/1.1\n\n", "GET /a b HTTP/1.1\n\n",
            "GET / HTTP/1.1\n Host: a\n\n", "GET / HTTP/1.1\nA: b\n c\n\n", "GET / HTTP/1.1\nA: b\n\tc\n\n",
            "GET / HTTP/1.1\nHost : a\n\n", "GET / HTTP/1.1\n: a\n\n", "GET / HTTP/1.1\nHost\n\n",
            "GET / HTTP/1.1\nHo st: a\n\n", "GET / HTTP/1.1\nHo(st: a\n\n", "GET / HTTP/1.1\nA: b\u{0}\n\n",
            "GET / HTTP/1.1\nA: b\u{7f}\n\n", "GET / HTTP/1.1\nA: b\u{b}c\n\n", "GET / HTTP/1.1\nH\u{e9}: b\n\n",
            "GET / HTTP/1.1\nHost: a\nHOST: a\n\n", "GET / HTTP/1.1\nContent-Length: 1\nContent-Length: 1\n\n",
            "GET / HTTP/1.1\nSec-WebSocket-Key: a\nsec-websocket-key: a\n\n",
            "GET / HTTP/1.1\nSec-WebSocket-Accept: a\nSec-WebSocket-Accept: a\n\n",
            "GET / HTTP/1.1\nSec-WebSocket-Version: 13\nSec-WebSocket-Version: 13\n\n",
            "GET / HTTP/1.1\nOrigin: a\nOrigin: a\n\n", "GET / HTTP/1.1\nLocation: a\nLocation: a\n\n",
            "GET / HTTP/1.1\nAuthorization: a\nAuthorization: a\n\n",
            "GET / HTTP/1.1\nContent-Type: a\nContent-Type: a\n\n",
        ]
    )
    func malformedRequest(text: String) {
        guard case .failed(let error) = request([bytes(text)[...]]) else {
            Issue.record("not refused")
            return
        }
        #expect(error.status == 400)
    }

    @Test(
        "bare CR and bare LF end no line",
        arguments: [
            "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n", "GET / HTTP/1.1\rHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\rX",
        ]
    )
    func bareLineEnds(text: String) {
        guard case .failed(.malformed) = request([Array(text.utf8)[...]]) else {
            Issue.record("not refused")
            return
        }
    }

    @Test(arguments: [
        "HTTP/1.1 20 OK\n\n", "HTTP/1.1 2000 OK\n\n", "HTTP/1.1  200 OK\n\n", "HTTP/1.1 099 Low\n\n",
        "HTTP/1.1 +99 X\n\n", "HTTP/1.1\n\n", "ICY 200 OK\n\n", "SSH-2.0-OpenSSH_9.2\n\n", "HTTP/1.1 20a OK\n\n",
        "HTTP/1.1\t200 OK\n\n", "HTTP/1.1 200\tOK\n\n", "\u{16}\u{3}\u{1}", "HTTP/1.1 200 a\u{1}\n\n",
    ])
    func malformedResponse(text: String) {
        guard case .failed(let error) = response([bytes(text)[...]]) else {
            Issue.record("not refused")
            return
        }
        #expect(error.status == 400)
    }

    @Test func otherVersionsAreNotSupported() {
        #expect(request([bytes("GET / HTTP/2.0\n\n")[...]]) == .failed(.unsupportedVersion("HTTP/2.0")))
        #expect(response([bytes("HTTP/1.2 101 X\n\n")[...]]) == .failed(.unsupportedVersion("HTTP/1.2")))
        #expect(HeadError.unsupportedVersion("HTTP/2.0").status == 505)
    }

    @Test func onlyRequestsRefuseASecondVersionField() {
        let text = "Sec-WebSocket-Version: 13\nSec-WebSocket-Version: 8\n\n"
        guard case .head(let head, _) = response([bytes("HTTP/1.1 426 Upgrade Required\n" + text)[...]]) else {
            Issue.record("no head")
            return
        }
        #expect(head.fields.all("sec-websocket-version") == ["13", "8"])
    }

    @Test(
        "the cut makes no difference",
        arguments: [
            opening + "\u{1}\u{2}", "GET / HTTP/1.0\n\n", "GET / HTTP/1.1\nA: b\n\nGET /2 HTTP/1.1\n\n", "\n", "GET /",
            "GET / HTTP/1.1\nHost: a\nHost: b\n\n", "GET / HTTP/1.1\nA: b\u{0}\n\n", "GET / HTTP/3.0\nA : b\n\n",
            "GET / HTTP/1.1\nA: b\n c\n\n", "GET / HTTP/1.1\nA: b\r\n\n\n", "HTTP/1.1 101 Switching\nA: b\n\n\u{ff}",
            "HTTP/1.1 200\n\n", "HTTP/1.1 99 x\n\n", "HTTP/1.1 302 Found\nLocation: a\nLocation: b\n\n",
        ]
    )
    func everySplit(text: String) {
        let whole = bytes(text)
        let expectedRequest = request([whole[...]])
        let expectedResponse = response([whole[...]])
        for pieces in cuts(whole) {
            #expect(request(pieces) == expectedRequest)
            #expect(response(pieces) == expectedResponse)
        }
    }

    @Test func decodesOneHeadAfterAnother() throws {
        var decoder = RequestHeadDecoder(limits: .opening)
        var input = ByteBuffer(bytes: bytes("GET /1 HTTP/1.1\nA: 1\n\nGET /2 HTTP/1.1\n\nG"))
        #expect(try decoder.decode(&input)?.target == "/1")
        #expect(try decoder.decode(&input)?.target == "/2")
        #expect(decoder.isEmpty)
        #expect(try decoder.decode(&input) == nil)
        #expect(!decoder.isEmpty)
    }

    @Test("a read ends where it says, whatever lies behind it in memory", arguments: ["\n", "\r\n", "x\n"])
    func endsOfReads(_ next: String) throws {
        // Each cut, and another continuation than the one that the memory holds.
        let whole = ByteBuffer(bytes: bytes("GET / HTTP/1.1\nHost: a\nA: b\n\n"))
        for count in 1..<whole.readableBytes {
            var first = try #require(whole.getSlice(at: whole.readerIndex, length: count))
            var decoder = RequestHeadDecoder(limits: .opening)
            guard try decoder.decode(&first) == nil else { continue }
            let expected = request([Array(whole.readableBytesView.prefix(count))[...] + Array(next.utf8)])
            var rest = ByteBuffer(string: next)
            let found: Outcome<RequestHead>
            do throws(HeadError) {
                let head = try decoder.decode(&rest)
                found = head.map { .head($0, consumed: count + next.utf8.count - rest.readableBytes) } ?? .incomplete
            } catch {
                found = .failed(error)
            }
            #expect(found == expected, "\(count)")
        }
    }

    @Test func staysFailed() {
        var decoder = RequestHeadDecoder(limits: .opening)
        var bad = ByteBuffer(string: "\u{0}")
        #expect(throws: HeadError.self) { try decoder.decode(&bad) }
        var good = ByteBuffer(bytes: bytes("GET / HTTP/1.1\n\n"))
        #expect(throws: HeadError.self) { try decoder.decode(&good) }
    }

    @Test func fuzz() {
        var generator = SeededGenerator(seed: 69)
        let seeds = [
            opening, "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Basic realm=\"a\"\nContent-Length: 3\n\nabc",
        ]
        let limits = HeadLimits(lineBytes: 60, headBytes: 300, fieldCount: 8)
        var accepted = 0
        for round in 0..<4000 {
            let text = generator.mutated(bytes(seeds[round % 2]))
            let cut = Int.random(in: 0...text.count, using: &generator)
            let other = Int.random(in: cut...text.count, using: &generator)
            let pieces = [text[..<cut], text[cut..<other], text[other...]]
            let one = request([text[...]], limits)
            #expect(request(pieces, limits) == one)
            let two = response([text[...]], limits)
            #expect(response(pieces, limits) == two)
            if case .head(let head, _) = one {
                accepted += 1
                var written = ByteBuffer()
                head.write(into: &written)
                #expect(
                    request([Array(written.readableBytesView)[...]]) == .head(head, consumed: written.readableBytes)
                )
            }
        }
        #expect(accepted > 100)
    }
}

@Suite struct HeadLimitTests {
    private let limits = HeadLimits(lineBytes: 32, headBytes: 100, fieldCount: 3)

    private func outcome(_ text: String) -> Outcome<RequestHead> {
        let whole = bytes(text)
        let result = request([whole[...]], self.limits)
        for pieces in cuts(whole) { #expect(request(pieces, self.limits) == result) }
        return result
    }

    @Test func requestLine() {
        let target = "/" + String(repeating: "x", count: 32 - 14)
        guard case .head = self.outcome("GET \(target) HTTP/1.1\n\n") else {
            Issue.record("a line of just the limit is taken")
            return
        }
        #expect(self.outcome("GET \(target)x HTTP/1.1\n\n") == .failed(.lineTooLong(isStartLine: true)))
        #expect(HeadError.lineTooLong(isStartLine: true).status == 414)
    }

    @Test func fieldLine() {
        let value = String(repeating: "x", count: 32 - 3)
        guard case .head = self.outcome("GET / HTTP/1.1\nA: \(value)\n\n") else {
            Issue.record("a line of just the limit is taken")
            return
        }
        #expect(self.outcome("GET / HTTP/1.1\nA: \(value)x\n\n") == .failed(.lineTooLong(isStartLine: false)))
        #expect(
            self.outcome("GET / HTTP/1.1\n" + String(repeating: "n", count: 40))
                == .failed(.lineTooLong(isStartLine: false))
        )
        #expect(HeadError.lineTooLong(isStartLine: false).status == 431)
    }

    @Test func head() {
        // 16 bytes of request line, two for the blank line, 82 for fields.
        let fields = "A: \(String(repeating: "x", count: 25))\nB: \(String(repeating: "x", count: 25))\n"
        guard case .head = self.outcome("GET / HTTP/1.1\n\(fields)C: \(String(repeating: "x", count: 17))\n\n") else {
            Issue.record("a head of just the limit is taken")
            return
        }
        #expect(
            self.outcome("GET / HTTP/1.1\n\(fields)C: \(String(repeating: "x", count: 18))\n\n")
                == .failed(.headTooLarge)
        )
        #expect(HeadError.headTooLarge.status == 431)
    }

    @Test func fieldCount() {
        guard case .head = self.outcome("GET / HTTP/1.1\nA:\nB:\nC:\n\n") else {
            Issue.record("as many fields as the limit are taken")
            return
        }
        #expect(self.outcome("GET / HTTP/1.1\nA:\nB:\nC:\nD:\n\n") == .failed(.tooManyFields))
    }

    @Test("an endless line is refused as soon as it is too long (threat A1)")
    func endlessLine() {
        var decoder = RequestHeadDecoder(limits: .opening)
        var taken = 0
        while taken < 100_000 {
            var piece = ByteBuffer(repeating: 0x61, count: 1000)
            do throws(HeadError) {
                #expect(try decoder.decode(&piece) == nil)
                taken += 1000
            } catch {
                #expect(error == .lineTooLong(isStartLine: true))
                break
            }
        }
        #expect(taken == 8000)
    }
}

@Suite struct RequestBeginningTests {
    @Test(
        "D19: the beginnings of requests",
        arguments: [
            "", "G", "GET", "GET ", "GET /", "GET /x HTTP/1.1\r\n", "VERSION-CONTROL", "P", "PROP", "QUERY *",
            "OPTIONS *",
        ]
    )
    func possible(prefix: String) {
        #expect(RequestHeadDecoder.canBeginRequest(Array(prefix.utf8)))
    }

    @Test(
        "D19: bytes that cannot begin a request",
        arguments: [
            "Hello", "get /", "g", "GETT", "GET\t/", "GET  /", "GET \r", "HTTP/1.1 200", "FROB /", "{", "\u{0}", "GET/",
        ]
    )
    func impossible(prefix: String) {
        #expect(!RequestHeadDecoder.canBeginRequest(Array(prefix.utf8)))
    }
}
