// The response to one ordinary request of HTTP/1, written piece by piece: its head says how its content ends, and its
// content is what the head says (RFC 9112 section 6). Sans-I/O.
//
//   head ──▶ content of a known length, in chunks, or up to the end of the connection ──▶ over
//     └── HEAD, 204, 304: content is dropped ──▶ over

package import HTTPTypes
package import NIOCore

package struct OrdinaryResponse {
    /// A response that its application cannot give.
    package enum Fault: Error, Equatable {
        /// There is one already.
        case repeated
        /// It cannot stand in HTTP, as the sentence says.
        case invalid(String)
        /// The content is longer than its Content-Length, or shorter.
        case wrongLength
    }

    /// A piece of content as it goes out.
    package struct Piece: Equatable {
        /// The framing before the content, and behind it.
        package var before = ByteBuffer()
        package var content = ByteBuffer()
        package var behind = ByteBuffer()
    }

    private enum State {
        case head
        case length(Int)
        case chunks
        /// Up to the end of the connection.
        case stream
        /// Nothing is sent; how much of a known length is left.
        case dropped(Int?)
        case over
    }

    private let method: String
    private let minorVersion: Int
    private var state = State.head
    /// `false` where the connection ends behind the response.
    package private(set) var isKept: Bool

    /// - Parameter isKept: `false` where another request could not be answered on the connection.
    package init(to request: RequestHead, isKept: Bool) {
        self.method = request.method
        self.minorVersion = request.minorVersion
        self.isKept = isKept && request.keepsConnection
    }

    package var hasBegun: Bool { if case .head = self.state { false } else { true } }

    package var isOver: Bool { if case .over = self.state { true } else { false } }

    /// `true` while the content would be taken for whole where the connection ended in good order.
    package var wouldLookWhole: Bool { if case .stream = self.state { true } else { false } }

    /// No request follows, before the head is written at the latest.
    package mutating func endsConnection() { self.isKept = false }

    /// The head.
    /// - Parameter length: the length of the content where that is known; otherwise the response's own Content-Length
    ///   counts, and without one the content ends where ``end()`` says so.
    package mutating func begin(
        status: Int,
        reason: String,
        fields: HTTPFields,
        length: Int?,
        date: String
    ) throws(Fault) -> ByteBuffer {
        guard !self.hasBegun else { throw .repeated }
        if let fault = AnswerFault.of(status: status, reason: reason, fields: fields, isFinal: true, isHandshake: false)
        {
            throw .invalid(fault)
        }
        var length = length
        if length == nil { length = try Self.length(in: fields) }
        let hasContent = status != 204 && status != 304
        var bytes = ByteBuffer()
        bytes.reserveCapacity(512)
        bytes.writeStaticString("HTTP/1.1 ")
        bytes.writeString(String(status))
        bytes.writeInteger(Bytes.space)
        bytes.writeString(reason.isEmpty ? StatusReason.phrase(for: status) : reason)
        bytes.writeStaticString("\r\n")
        if hasContent, length == nil, self.minorVersion == 0, self.method != "HEAD" { self.isKept = false }
        if !self.isKept {
            bytes.writeStaticString("Connection: close\r\n")
        } else if self.minorVersion == 0 {
            bytes.writeStaticString("Connection: keep-alive\r\n")
        }
        if fields[.date] == nil { bytes.writeField("Date", date) }
        for field in fields where !Self.isOurs(field.name) { bytes.writeField(field.name.rawName, field.text) }
        if let length {
            // A 304 speaks of the content that 200 would have.
            if status != 204 { bytes.writeField("Content-Length", String(length)) }
        } else if hasContent, self.minorVersion == 1 {
            bytes.writeStaticString("Transfer-Encoding: chunked\r\n")
        }
        bytes.writeStaticString("\r\n")
        if !hasContent {
            self.state = .dropped(nil)
        } else if self.method == "HEAD" {
            self.state = .dropped(length)
        } else if let length {
            self.state = .length(length)
        } else {
            self.state = self.minorVersion == 1 ? .chunks : .stream
        }
        return bytes
    }

    private static func length(in fields: HTTPFields) throws(Fault) -> Int? {
        let values = fields[values: .contentLength]
        guard let value = values.first else { return nil }
        guard values.count == 1, !value.isEmpty, value.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let length = Int(value)
        else { throw .invalid("The Content-Length is not a number.") }
        return length
    }

    /// The fields that frame the message.
    private static func isOurs(_ name: HTTPField.Name) -> Bool {
        switch name.canonicalName {
        case "connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade": true
        case let name: name.hasPrefix(":")
        }
    }

    /// Some of the content; `nil` where nothing of it goes out.
    package mutating func write(_ content: ByteBuffer) throws(Fault) -> Piece? {
        let count = content.readableBytes
        guard count > 0 else { return nil }
        switch self.state {
        case .head, .over:
            throw .wrongLength
        case .length(let left):
            guard count <= left else { throw .wrongLength }
            self.state = .length(left - count)
            return Piece(content: content)
        case .dropped(let left):
            guard let left else { return nil }
            guard count <= left else { throw .wrongLength }
            self.state = .dropped(left - count)
            return nil
        case .stream:
            return Piece(content: content)
        case .chunks:
            return Piece(
                before: ByteBuffer(string: String(count, radix: 16) + "\r\n"),
                content: content,
                behind: ByteBuffer(staticString: "\r\n")
            )
        }
    }

    /// The end of the content.
    /// - Returns: the bytes to send for it, if there are any.
    package mutating func end() throws(Fault) -> ByteBuffer? {
        switch self.state {
        case .head: throw .wrongLength
        case .length(let left):
            guard left == 0 else { throw .wrongLength }
            self.state = .over
            return nil
        case .chunks:
            self.state = .over
            return ByteBuffer(staticString: "0\r\n\r\n")
        case .stream, .dropped, .over:
            self.state = .over
            return nil
        }
    }
}
