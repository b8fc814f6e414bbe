// Each state of the diagrams in the headers of OrdinaryRequests and OrdinaryResponse, with each thing that may come in it.

import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite("Each state of ordinary requests and of their responses")
struct OrdinaryCellsTests {
    private static let get = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
    private static let other = "GET /b HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n"
    private static let refused = "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n"
    private static let unreadable = "GET\r\n\r\n"
    private static let chunked = "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    private static let post = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n"

    // MARK: Requests

    private enum State: CaseIterable { case head, insideHead, begins, content, inChunks, whole, over }

    private static func requests(_ state: State) throws -> OrdinaryRequests {
        var requests = OrdinaryRequests(limits: Limits().openingHead, mostContent: 4) {
            !OpeningServer.isWebSocketRequest($0.head)
        }
        switch state {
        case .head: break
        case .insideHead: _ = self.receive("GET /a HT", &requests)
        case .begins:
            var fields = HeadFields()
            fields.append("Host", "h")
            fields.append("Content-Length", "2")
            let request = try CheckedRequest(RequestHead(method: "POST", target: "/first", fields: fields))
            requests.begin(request, unread: ByteBuffer())
        case .content: _ = self.receive(Self.post, &requests)
        case .inChunks: _ = self.receive(Self.chunked, &requests)
        case .whole: _ = self.receive(Self.get, &requests)
        case .over: _ = self.receive(Self.other, &requests)
        }
        return requests
    }

    private static func take(_ requests: inout OrdinaryRequests) -> [String] {
        var steps: [String] = []
        while let step = requests.next() {
            switch step {
            case .head(let request): steps.append("head \(request.path)")
            case .refused(_, let refusal): steps.append("refused \(refusal.status)")
            case .content(let bytes): steps.append("content \(String(buffer: bytes))")
            case .end: steps.append("end")
            case .broken(let refusal): steps.append("broken \(refusal.status)")
            case .other(let bytes): steps.append("other \(bytes.readableBytes)")
            }
        }
        return steps
    }

    private static func receive(_ text: String, _ requests: inout OrdinaryRequests) -> [String] {
        requests.receive(ByteBuffer(string: text))
        return self.take(&requests)
    }

    /// The state, told by what happens next in a copy.
    private static func name(_ requests: OrdinaryRequests) -> String {
        if requests.isInsideContent { return "content" }
        if requests.isInsideHead { return "inside a head" }
        var copy = requests
        if self.receive(self.get, &copy).first == "head /a" { return "head" }
        copy = requests
        copy.proceed()
        return self.receive(self.get, &copy).isEmpty ? "over" : "whole"
    }

    @Test("bytes")
    func bytes() throws {
        // The state, what comes, the steps, and the state behind them.
        let rows: [(State, String, [String], String)] = [
            (.head, "", [], "head"), (.head, "\r\n", [], "head"), (.head, "GET /", [], "inside a head"),
            (.head, Self.get, ["head /a", "end"], "whole"),
            (.head, Self.post, ["head /a"], "content"),
            (.head, Self.other, ["other \(Self.other.utf8.count)"], "over"),
            (.head, Self.unreadable, ["other \(Self.unreadable.utf8.count)"], "over"),
            (.head, Self.refused, ["refused 501"], "over"),
            (.insideHead, "TP/1.1\r\nHost: h\r\n\r\n", ["head /a", "end"], "whole"),
            (.insideHead, "\r\n\r\n", ["other 13"], "over"),
            (.begins, "", ["head /first"], "content"), (.begins, "ab", ["head /first", "content ab", "end"], "whole"),
            (.content, "", [], "content"), (.content, "a", ["content a"], "content"),
            (.content, "abc", ["content abc", "end"], "whole"),
            (.content, "abc\(Self.get)", ["content abc", "end"], "whole"),
            (.inChunks, "3\r\nabc\r\n", ["content abc"], "content"), (.inChunks, "x\r\n", ["broken 400"], "over"),
            (.inChunks, "5\r\nabcde\r\n", ["broken 413"], "over"), (.inChunks, "0\r\n\r\n", ["end"], "whole"),
            (.whole, Self.get, [], "whole"), (.whole, Self.unreadable, [], "whole"),
            (.over, Self.get, [], "over"),
        ]
        for (state, text, steps, name) in rows {
            var requests = try Self.requests(state)
            let taken = Self.receive(text, &requests)
            #expect(taken == steps, "\(state) × \(text)")
            // The bytes behind a request that is whole wait for its response.
            if state == .whole || text.hasSuffix("abc\(Self.get)") {
                #expect(requests.unreadBytes > 0, "\(state) × \(text)")
                continue
            }
            #expect(Self.name(requests) == name, "\(state) × \(text)")
        }
        #expect(Set(rows.map(\.0)) == Set(State.allCases))
    }

    @Test("the response is sent")
    func proceeding() throws {
        for state in State.allCases {
            var requests = try Self.requests(state)
            let before = Self.name(requests)
            requests.proceed()
            // In all other states it changes nothing.
            #expect(Self.name(requests) == (state == .whole ? "head" : before), "\(state)")
        }
        var requests = try Self.requests(.whole)
        requests.receive(ByteBuffer(string: Self.get + Self.other))
        #expect(Self.take(&requests).isEmpty)
        requests.proceed()
        #expect(Self.take(&requests) == ["head /a", "end"])
        requests.proceed()
        #expect(Self.take(&requests) == ["other \(Self.other.utf8.count)"])
        #expect(requests.unreadBytes == 0)
    }

    // MARK: Responses

    private enum Place: CaseIterable { case head, length, chunks, stream, dropped, droppedLength, over }

    private static func response(_ place: Place) throws -> OrdinaryResponse {
        let method = place == .droppedLength ? "HEAD" : "GET"
        var head = RequestHead(method: method, target: "/", fields: HeadFields())
        if place == .stream { head.minorVersion = 0 }
        var response = OrdinaryResponse(to: head, isKept: true)
        if place == .head { return response }
        let hasLength = [.length, .droppedLength, .over].contains(place)
        _ = try response.begin(
            status: place == .dropped ? 204 : 200,
            reason: "",
            fields: HTTPFields(),
            length: hasLength ? 3 : nil,
            date: ""
        )
        if place == .over {
            _ = try response.write(ByteBuffer(string: "abc"))
            _ = try response.end()
        }
        return response
    }

    private static func outcome(_ body: () throws -> String) -> String {
        do { return try body() } catch {
            switch error as? OrdinaryResponse.Fault {
            case .repeated?: return "repeated"
            case .wrongLength?: return "wrong length"
            default: return "invalid"
            }
        }
    }

    private static func write(_ text: String, _ response: inout OrdinaryResponse) -> String {
        self.outcome {
            guard let piece = try response.write(ByteBuffer(string: text)) else { return "nothing" }
            return String(buffer: piece.before) + String(buffer: piece.content) + String(buffer: piece.behind)
        }
    }

    @Test("a response's head, content and end")
    func responses() throws {
        /// The outcomes of a head, three bytes, four bytes, no byte, and an end.
        let rows: [(Place, [String])] = [
            (.head, ["begun", "wrong length", "wrong length", "nothing", "wrong length"]),
            (.length, ["repeated", "abc", "wrong length", "nothing", "wrong length"]),
            (.chunks, ["repeated", "3\r\nabc\r\n", "4\r\nabcd\r\n", "nothing", "0\r\n\r\n"]),
            (.stream, ["repeated", "abc", "abcd", "nothing", ""]),
            (.dropped, ["repeated", "nothing", "nothing", "nothing", ""]),
            (.droppedLength, ["repeated", "nothing", "wrong length", "nothing", ""]),
            (.over, ["repeated", "wrong length", "wrong length", "nothing", ""]),
        ]
        for (place, outcomes) in rows {
            let response = try Self.response(place)
            #expect(response.isOver == (place == .over), "\(place)")
            #expect(response.wouldLookWhole == (place == .stream), "\(place)")
            var copies = (0..<5).map { _ in response }
            let begun = Self.outcome {
                _ = try copies[0].begin(status: 200, reason: "", fields: HTTPFields(), length: nil, date: "")
                return "begun"
            }
            let ended = Self.outcome { try copies[4].end().map { String(buffer: $0) } ?? "" }
            let seen = [
                begun, Self.write("abc", &copies[1]), Self.write("abcd", &copies[2]), Self.write("", &copies[3]), ended,
            ]
            #expect(seen == outcomes, "\(place)")
            #expect(copies[4].isOver == (ended != "wrong length"), "\(place)")
        }
        #expect(rows.map(\.0) == Place.allCases)
    }
}
