// A server's stream: the client's request as bytes of HTTP/1.1, and the bytes of the answer as frames.
//
//   request:   head ──▶ tunnel, for an extended CONNECT; content of a known length; chunks; or nothing more
//   response:  head, provisional ones before it ──▶ tunnel, after 101; content ──▶ over

import KHPProtocol
import NIOCore
import NIOHPACK

/// The exchange on a server's stream.
struct ServerExchange: StreamExchange {
    private enum Request {
        case head
        case tunnel
        case content(isChunked: Bool)
        case over
    }

    private enum Response {
        case head
        case tunnel
        case content(BodyReader)
        case over
    }

    private var request = Request.head
    private var response = Response.head
    private var decoder: ResponseHeadDecoder
    /// The bytes to be sent of a head that is not complete, or of a chunk's size.
    private var unsent = ByteBuffer()
    private var isHead = false
    /// True for an extended CONNECT.
    private(set) var isConnect = false

    init() { self.decoder = ResponseHeadDecoder(limits: .ownHeads) }

    var isTunnel: Bool {
        if case .tunnel = self.response { true } else { false }
    }

    // MARK: The request

    mutating func receive(_ head: HPACKHeaders, isLast: Bool) throws(StreamFault) -> ByteBuffer {
        guard case .head = self.request else {
            // Trailers are ignored (RFC 9110 section 6.5).
            return ByteBuffer()
        }
        let target = try StreamTarget(head)
        self.isConnect = target.isExtended
        self.isHead = target.method == "HEAD"
        var bytes = ByteBuffer()
        bytes.writeString("\(target.isExtended ? "GET" : target.method) \(target.target) HTTP/1.1\r\n")
        if let host = target.host { try bytes.writeStreamField("Host", host) }
        if target.isExtended { bytes.writeStaticString("Upgrade: websocket\r\nConnection: Upgrade\r\n") }
        var cookies: [String] = []
        var hasLength = false
        for (name, value, _) in head where !name.hasPrefix(":") && name != "host" {
            if name == "cookie" {
                // RFC 9113 section 8.2.3
                cookies.append(value)
            } else if !ConnectionField.contains(name, isHandshake: target.isExtended) {
                if name == "content-length" { hasLength = true }
                try bytes.writeStreamField(name, value)
            }
        }
        if !cookies.isEmpty { try bytes.writeStreamField("cookie", cookies.joined(separator: "; ")) }
        if target.isExtended {
            self.request = .tunnel
        } else if isLast {
            self.request = .over
        } else {
            if !hasLength { bytes.writeStaticString("Transfer-Encoding: chunked\r\n") }
            self.request = .content(isChunked: !hasLength)
        }
        bytes.writeStaticString("\r\n")
        return bytes
    }

    mutating func receive(_ content: ByteBuffer) -> ByteBuffer {
        guard case .content(isChunked: true) = self.request, content.readableBytes > 0 else { return content }
        var chunk = ByteBuffer()
        chunk.writeString(String(content.readableBytes, radix: 16))
        chunk.writeStaticString("\r\n")
        chunk.writeImmutableBuffer(content)
        chunk.writeStaticString("\r\n")
        return chunk
    }

    mutating func receiveEnd() -> ByteBuffer {
        defer { self.request = .over }
        guard case .content(isChunked: true) = self.request else { return ByteBuffer() }
        return ByteBuffer(string: "0\r\n\r\n")
    }

    // MARK: The response

    mutating func send(_ bytes: ByteBuffer) throws(StreamFault) -> [StreamPiece] {
        if self.unsent.readableBytes == 0 { self.unsent = bytes } else { self.unsent.writeImmutableBuffer(bytes) }
        var pieces: [StreamPiece] = []
        while self.unsent.readableBytes > 0 {
            guard let piece = try self.nextPiece() else { break }
            pieces.append(piece)
        }
        return pieces
    }

    private mutating func nextPiece() throws(StreamFault) -> StreamPiece? {
        switch self.response {
        case .head:
            do throws(HeadError) {
                guard let head = try self.decoder.decode(&self.unsent) else { return nil }
                return .head(self.fields(of: head), isLast: try self.begin(head))
            } catch {
                throw StreamFault(500, "The head of the response cannot be read.")
            }
        case .tunnel:
            defer { self.unsent = ByteBuffer() }
            return .content(self.unsent, isLast: false)
        case .content(var reader):
            do throws(GrammarError) {
                try reader.receive(&self.unsent)
            } catch {
                throw StreamFault(500, "The content of the response cannot be read.")
            }
            let content = reader.takeEntity()
            self.response = reader.isWhole ? .over : .content(reader)
            guard content.readableBytes > 0 || reader.isWhole else { return nil }
            return .content(content, isLast: reader.isWhole)
        case .over:
            // Nothing follows the end of a stream.
            self.unsent = ByteBuffer()
            return nil
        }
    }

    /// - Returns: true where nothing follows the head.
    private mutating func begin(_ head: ResponseHead) throws(HeadError) -> Bool {
        if head.status < 200 {
            if head.status == 101, self.isConnect { self.response = .tunnel }
            return false
        }
        do throws(GrammarError) {
            let reader = try BodyReader(of: head, limit: .max)
            self.response = self.isHead || reader.isWhole ? .over : .content(reader)
        } catch {
            throw HeadError.malformed(error.message)
        }
        if case .over = self.response { return true }
        return false
    }

    private func fields(of head: ResponseHead) -> HPACKHeaders {
        let opens = head.status == 101 && self.isConnect
        var fields = HPACKHeaders([(":status", opens ? "200" : String(head.status))])
        fields.add(head.fields, isHandshake: self.isConnect)
        return fields
    }

    static func answer(to fault: StreamFault) -> [StreamPiece]? {
        let content = ByteBuffer(string: fault.what + "\n")
        let head = HPACKHeaders([
            (":status", String(fault.status)), ("content-type", "text/plain; charset=utf-8"),
            ("content-length", String(content.readableBytes)),
        ])
        return [.head(head, isLast: false), .content(content, isLast: true)]
    }
}

/// A request as its pseudo-header fields have it (RFC 9113 section 8.3.1).
private struct StreamTarget {
    let method: String
    /// As it stands in a request line.
    let target: String
    let host: String?
    let isExtended: Bool

    init(_ head: HPACKHeaders) throws(StreamFault) {
        guard let method = head.first(name: ":method"), Self.isVisible(method) else {
            throw StreamFault(400, "The request has no method.")
        }
        let authority = head.first(name: ":authority")
        let hosts = head["host"]
        // A proxy behind this one may go by the other.
        guard hosts.count <= 1 else { throw StreamFault(400, "The request has several Host fields.") }
        let host = hosts.first
        if let authority, let host, authority != host {
            throw StreamFault(400, "The Host field is not the :authority.")
        }
        self.method = method
        self.host = authority ?? host
        if let host = self.host, !Self.isVisible(host) { throw StreamFault(400, "The :authority cannot be read.") }
        let wanted = head.first(name: ":protocol")
        if method == "CONNECT", wanted == nil {
            guard let authority else { throw StreamFault(400, "The request has no :authority.") }
            (self.target, self.isExtended) = (authority, false)
            return
        }
        guard let scheme = head.first(name: ":scheme"), scheme == "https" || scheme == "http" else {
            throw StreamFault(400, "The :scheme is neither http nor https.")
        }
        guard let path = head.first(name: ":path"), Self.isVisible(path) else {
            throw StreamFault(400, "The :path cannot be read.")
        }
        if let wanted, Bytes.lowercasedASCII(wanted) != "websocket" {
            // RFC 9220 section 3 names the status for HTTP/3.
            throw StreamFault(501, "The :protocol is not websocket.")
        }
        self.target = path
        self.isExtended = wanted != nil
    }

    /// True for text that can stand in a request line, and be one part of it.
    private static func isVisible(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
    }
}
