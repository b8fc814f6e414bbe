// Ordinary HTTP beside WebSockets: requests that are read one after the other, their responses, and a connection of
// somebody else's that is watched for a request of ours.

import HTTPTypes
import KHPProtocol
import NIOCore

extension FuzzTarget {
    private static let requestTexts = [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\nHEAD /x?y HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /ours HTTP/1.1\r\nHost: h\r\n\r\n\u{81}\0",
        "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
            + "3;x=y\r\nabc\r\n00A\r\n0123456789\r\n0\r\nT: x\r\n\r\nGET /ours HTTP/1.1\r\nHost: h\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: h\r\nExpect: more\r\n\r\n", "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "\r\n\r\nGET",
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\nPRI",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n\r", "\r",
    ].map { Array($0.utf8) }

    // MARK: Requests and responses

    static let ordinaryRequests = FuzzTarget(name: "ordinary-requests") { seeds in
        (requestTexts + seeds.heads(of: .client)).deciding([[0, 0, 0], [1, 5, 0], [2, 9, 0], [2, 0, 1]])
    } run: { input in
        var input = input
        let most = [nil, 10, 0][input.choice(3)]
        var cuts = input.cuts()
        let limits = input.flag() ? HeadLimits(lineBytes: 64, headBytes: 200, fieldCount: 3) : .opening
        let content = input.content
        let whole = RequestReading(content.isEmpty ? [] : [ByteBuffer(bytes: content)], limits, most)
        let cut = RequestReading(cuts.pieces(of: content), limits, most)
        check(whole.requests == cut.requests, "whole it is \(whole.requests), in pieces \(cut.requests)")
        check(whole.ending == cut.ending, "whole it ends with \(whole.ending), in pieces with \(cut.ending)")
        // All the bytes that are somebody else's are handed on, from the first one.
        if whole.ending == .other {
            check(content.suffix(whole.rest.count) == whole.rest[...], "bytes are lost on their way")
            check(whole.rest.starts(with: cut.rest), "in pieces other bytes are handed on")
        }
        if let most { check(whole.requests.allSatisfy { $0.content.count <= most }, "content beyond \(most) bytes") }
    }

    static let ordinaryResponses = FuzzTarget(name: "ordinary-responses") { _ in
        let texts = [
            "Content-Type: text/plain\nX: \u{E9}\n\nhello", "Content-Length: 5\n\nhello", "Content-Length: x\n\n",
            "Content-Length: 5\n\nhello there", "Connection: close\nTransfer-Encoding: gzip\nDate: now\n\nhello",
            "A: b\rc: d\n\n", "Location: a b\n\n",
        ]
        return texts.map { Array($0.utf8) }.deciding([
            [200, 0, 0, 1, 0, 0, 3], [200, 0, 1, 1, 1, 0, 9], [204, 0, 2, 1, 0, 0, 0], [48, 1, 0, 0, 1, 1, 1],
            [200, 0, 0, 0, 1, 0, 0], [148, 1, 3, 1, 1, 6, 2],
        ])
    } run: { input in
        var input = input
        let status = input.choice(256) | input.choice(256) << 8
        let method = ["GET", "HEAD", "POST", "PUT"][input.choice(4)]
        let minor = input.choice(2)
        let isKept = input.flag()
        let length = input.byte()
        var cuts = input.cuts()
        let lines = input.lines
        let divide = lines.firstIndex(of: "") ?? lines.endIndex
        var fields = HTTPFields()
        for line in lines[..<divide] {
            let parts = line.split(separator: ":", maxSplits: 1).map(String.init)
            guard parts.count == 2, let name = HTTPField.Name(parts[0]) else { continue }
            fields.append(HTTPField(name: name, value: parts[1]))
        }
        let content = Array(lines[divide...].dropFirst().joined(separator: "\n").utf8)
        let said = length == 0 ? nil : Int(length) - 1
        let request = RequestHead(method: method, target: "/", minorVersion: minor)
        var response = OrdinaryResponse(to: request, isKept: isKept)
        var wire = ByteBuffer()
        do throws(OrdinaryResponse.Fault) {
            wire.writeImmutableBuffer(
                try response.begin(status: status, reason: "", fields: fields, length: said, date: "now")
            )
            for piece in cuts.pieces(of: content) {
                guard let written = try response.write(piece) else { continue }
                for part in [written.before, written.content, written.behind] { wire.writeImmutableBuffer(part) }
            }
            if let last = try response.end() { wire.writeImmutableBuffer(last) }
            check(response.isOver, "it has ended, and is not over")
        } catch {
            // Bytes of a response that nobody can end are the last ones of their connection.
            check(!response.isOver, "it is over, and fails with \(error)")
            return
        }
        check((200...999).contains(status), "a response of \(status)")
        Self.readBack(wire, request, content, isKept: response.isKept)
    }

    /// A client reads the response that was meant, and one who watches from outside sees it end where it ends.
    private static func readBack(_ wire: ByteBuffer, _ request: RequestHead, _ content: [UInt8], isKept: Bool) {
        var rest = wire
        var decoder = ResponseHeadDecoder(limits: HeadLimits(lineBytes: 1 << 20, headBytes: 1 << 20))
        guard let head = try? decoder.decode(&rest) else { return check(false, "no client can read \(wire)") }
        if request.method != "HEAD" {
            guard var body = try? BodyReader(of: head, limit: 1 << 20), (try? body.receive(&rest)) != nil else {
                return check(false, "no client can read the content")
            }
            let hasNone = head.status == 204 || head.status == 304
            check(hasNone || Array(body.entity.readableBytesView) == content, "another content than \(content)")
            check(body.isWhole || !isKept, "the connection goes on, and no client knows from where")
        }
        check(rest.readableBytes == 0, "\(rest.readableBytes) bytes come behind the end")

        var watched = SharedConnection(limits: .opening) { $0.target == "/ours" }
        var bytes = ByteBuffer()
        request.write(into: &bytes)
        watched.receive(bytes)
        while watched.next() != nil {}
        watched.receive(ByteBuffer(string: "GET /ours HTTP/1.1\r\nHost: h\r\n\r\n"))
        check(watched.next() == nil && watched.isHolding, "our request goes ahead of their response")
        watched.send(wire)
        guard isKept else { return }
        guard case .ours = watched.next() else { return check(false, "their response has ended, and ours waits") }
    }

    // MARK: A connection of somebody else's

    static let sharedConnections = FuzzTarget(name: "shared-connections") { seeds in
        let responses = [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nto the end", "nonsense\r\n\r\n",
        ].map { Array($0.utf8) }
        return requestTexts.flatMap { request in
            responses.map { request + [0xC0] + $0 }
        }.deciding([[0, 0, 0], [5, 1, 0], [9, 0, 1]])
            + seeds.heads(of: .client).prefix(20).map { $0 + [0xC0] + responses[0] + [0, 0, 0] }
    } run: { input in
        var input = input
        var cuts = input.cuts()
        let givesUp = input.flag()
        let counts = input.flag()
        // A byte that is in no UTF-8 divides what the client says from what the other HTTP answers.
        let parts = input.content.split(separator: 0xC0, maxSplits: 1, omittingEmptySubsequences: false).map {
            Array($0)
        }
        let (said, answered) = (parts[0], parts.count > 1 ? parts[1] : [])

        // Nobody answers: the same at every cut, and all passes or is held.
        var whole = Watching(said.isEmpty ? [] : [ByteBuffer(bytes: said)])
        var cut = Watching(cuts.pieces(of: said))
        for watching in [whole, cut] {
            let passed = watching.theirs + watching.ours
            check(said.starts(with: passed), "other bytes pass than came")
        }
        check(whole.theirs == cut.theirs && whole.ours == cut.ours, "in pieces other bytes are theirs")
        // Without answers ours may come behind empty lines alone: behind a request of theirs it would be ahead of its
        // response.
        check(
            whole.ours.isEmpty || whole.theirs.allSatisfy { $0 == 0x0D || $0 == 0x0A },
            "our request goes ahead of a response that is owed"
        )
        if givesUp {
            whole.giveUp()
            cut.giveUp()
            check(whole.theirs + whole.ours == said && cut.theirs + cut.ours == said, "bytes are lost")
        }

        // The other HTTP answers between the pieces.
        var both = Watching([])
        var answers = cuts.pieces(of: answered)
        for piece in cuts.pieces(of: said) {
            both.receive(piece)
            guard !answers.isEmpty, Int.random(in: 0..<3, using: &cuts) > 0 else { continue }
            both.send(answers.removeFirst(), counts: counts)
        }
        for answer in answers { both.send(answer, counts: counts) }
        check(said.starts(with: both.theirs + both.ours), "other bytes pass than came, beside answers")
        both.giveUp()
        check(both.theirs + both.ours == said, "bytes are lost beside answers")
    }
}

/// The steps of the requests of a connection, put together so that cuts do not show.
private struct RequestReading {
    struct Request: Equatable {
        var line: String
        var content: [UInt8] = []
        var expects = false
        var keeps = false
    }

    enum Ending: Equatable {
        case none, refused(Int), broken, other
    }

    var requests: [Request] = []
    var ending = Ending.none
    var rest: [UInt8] = []

    init(_ pieces: [ByteBuffer], _ limits: HeadLimits, _ most: Int?) {
        var reader = OrdinaryRequests(limits: limits, mostContent: most) { !OpeningServer.isWebSocketRequest($0.head) }
        for piece in pieces {
            let before = reader.unreadBytes
            reader.receive(piece)
            check(reader.unreadBytes == before || self.ending == .none, "it keeps bytes that come behind its end")
            while let step = reader.next() { self.take(step, &reader) }
            // The first half of an empty line waits for its other half.
            let isHalfLine = reader.unreadBytes == 1 && piece.readableBytesView.last == 13
            check(
                reader.unreadBytes == 0 || isHalfLine || self.ending != .none,
                "\(reader.unreadBytes) bytes lie there"
            )
        }
        // Content that goes on, or broke a rule, came as the cuts have it.
        if self.ending == .broken || reader.isInsideContent { self.requests[self.requests.count - 1].content = [] }
    }

    private mutating func take(_ step: OrdinaryRequests.Step, _ reader: inout OrdinaryRequests) {
        check(self.ending == .none, "something comes behind the end")
        switch step {
        case .head(let request):
            let head = request.head
            let line = "\(head.method) \(head.target) \(head.minorVersion) \(head.fields.count)"
            self.requests.append(Request(line: line, expects: head.expectsContinue, keeps: head.keepsConnection))
        case .content(let bytes):
            check(bytes.readableBytes > 0, "empty content")
            self.requests[self.requests.count - 1].content += bytes.readableBytesView
        case .end:
            check(reader.next() == nil, "the next request comes before the response")
            reader.proceed()
        case .refused(_, let refusal): self.ending = .refused(refusal.status)
        case .broken: self.ending = .broken
        case .other(let bytes):
            self.ending = .other
            self.rest = Array(bytes.readableBytesView)
        }
    }
}

/// The bytes that a watched connection lets pass.
private struct Watching {
    private var connection = SharedConnection(limits: .opening) { $0.target == "/ours" }
    private(set) var theirs: [UInt8] = []
    private(set) var ours: [UInt8] = []

    init(_ pieces: [ByteBuffer]) {
        for piece in pieces { self.receive(piece) }
    }

    mutating func receive(_ bytes: ByteBuffer) {
        // Behind the request of ours the connection is ours, and nobody watches it.
        guard self.ours.isEmpty else { return self.ours += bytes.readableBytesView }
        self.connection.receive(bytes)
        self.run()
    }

    mutating func send(_ bytes: ByteBuffer, counts: Bool) {
        if counts, bytes.readableBytes % 5 == 0 {
            self.connection.send(count: bytes.readableBytes)
        } else {
            self.connection.send(bytes)
        }
        self.run()
    }

    mutating func giveUp() {
        if let bytes = self.connection.giveUp() { self.theirs += bytes.readableBytesView }
        self.run()
    }

    private mutating func run() {
        while let step = self.connection.next() {
            check(self.ours.isEmpty, "a step behind the request of ours")
            switch step {
            case .theirs(let bytes):
                check(bytes.readableBytes > 0, "no bytes of theirs")
                self.theirs += bytes.readableBytesView
            case .ours(let bytes):
                self.ours += bytes.readableBytesView
                check(String(decoding: self.ours, as: UTF8.self).contains(" /ours "), "another request is ours")
            }
        }
    }
}
