// A client's stream: the bytes of its opening request as an extended CONNECT, and the answer as bytes of HTTP/1.1.
//
//   request:   head ──▶ tunnel
//   response:  head, provisional ones before it ──▶ tunnel, after 200; or content, up to the end of the stream

import KHPProtocol
import NIOCore
import NIOHPACK

/// The exchange on a client's stream.
struct ClientExchange: StreamExchange {
    private enum Response {
        case head
        case tunnel
        case content
    }

    private var response = Response.head
    private var hasAsked = false
    private var decoder: RequestHeadDecoder
    private var unsent = ByteBuffer()

    init() { self.decoder = RequestHeadDecoder(limits: .ownHeads) }

    var isTunnel: Bool {
        if case .tunnel = self.response { true } else { false }
    }

    mutating func receive(_ head: HPACKHeaders, isLast: Bool) throws(StreamFault) -> ByteBuffer {
        guard case .head = self.response else { return ByteBuffer() }
        guard let status = head.first(name: ":status"), status.utf8.count == 3, let number = Int(status), number >= 100,
            number != 101
        else { throw StreamFault(502, "The response has no status that HTTP/2 knows.") }
        let opens = number == 200
        var bytes = ByteBuffer()
        let line = opens ? "101 Switching Protocols" : "\(status) \(StatusReason.phrase(for: number))"
        bytes.writeString("HTTP/1.1 \(line)\r\n")
        if opens {
            bytes.writeStaticString("Upgrade: websocket\r\nConnection: Upgrade\r\n")
        } else if number >= 200 {
            // No request can follow on this stream.
            bytes.writeStaticString("Connection: close\r\n")
        }
        for (name, value, _) in head where !name.hasPrefix(":") {
            guard !ConnectionField.contains(name, isHandshake: true) else { continue }
            try bytes.writeStreamField(name, value)
        }
        if isLast, number >= 200, head.first(name: "content-length") == nil {
            bytes.writeStaticString("Content-Length: 0\r\n")
        }
        bytes.writeStaticString("\r\n")
        if number >= 200 { self.response = opens ? .tunnel : .content }
        return bytes
    }

    mutating func receive(_ content: ByteBuffer) -> ByteBuffer { content }

    mutating func receiveEnd() -> ByteBuffer { ByteBuffer() }

    mutating func send(_ bytes: ByteBuffer) throws(StreamFault) -> [StreamPiece] {
        if self.hasAsked { return [.content(bytes, isLast: false)] }
        if self.unsent.readableBytes == 0 { self.unsent = bytes } else { self.unsent.writeImmutableBuffer(bytes) }
        let head: RequestHead?
        do throws(HeadError) {
            head = try self.decoder.decode(&self.unsent)
        } catch {
            throw StreamFault(500, "The head of the request cannot be read.")
        }
        guard let head else { return [] }
        self.hasAsked = true
        var fields = HPACKHeaders([
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", head.target),
            (":authority", head.fields.first("Host") ?? ""),
        ])
        fields.add(head.fields, isHandshake: true, besides: "host")
        var pieces = [StreamPiece.head(fields, isLast: false)]
        if self.unsent.readableBytes > 0 { pieces.append(.content(self.unsent, isLast: false)) }
        self.unsent = ByteBuffer()
        return pieces
    }

    static func answer(to fault: StreamFault) -> [StreamPiece]? { nil }
}
