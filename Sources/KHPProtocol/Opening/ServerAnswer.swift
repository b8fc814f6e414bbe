// How a server's answers other than 101 look, in either handshake (D10): Content-Type, Date, the answer's own fields,
// Content-Length, and a short readable entity (D39).

package import HTTPTypes
package import NIOCore

/// A response that a server gives instead of (or on the way to) a WebSocket.
package struct ServerAnswer: Sendable, Equatable {
    package var status: Int
    /// `nil`: the usual phrase for the status.
    package var reason: String?
    package var fields: HTTPFields
    /// `nil`: what ``Explanation`` says of a 4xx or 5xx; one line with the status and its phrase for others that can
    /// have content.
    package var entity: ByteBuffer?
    /// A 401 whose request had the right credentials for a nonce that is used no more (`stale=true`).
    package var isStale = false
    /// Why it cannot be sent, where whoever made it found that already.
    package var fault: String?

    package init(status: Int, reason: String? = nil, fields: HTTPFields = [:], entity: ByteBuffer? = nil) {
        self.status = status
        self.reason = reason
        self.fields = fields
        self.entity = entity
    }

    /// Appends the answer.
    ///
    /// - Parameters:
    ///   - layer: in the opening, the connection ends with the answer, which says so (threat A4).
    ///   - method: the request's; HEAD is answered without content.
    ///   - negotiated: what a completing answer agrees on.
    package func write(
        into buffer: inout ByteBuffer,
        layer: HandshakeLayer,
        date: String,
        method: String = "GET",
        negotiated: Negotiated = Negotiated()
    ) {
        let phrase = reason ?? StatusReason.phrase(for: status)
        let content = hasContent ? entity ?? usualEntity(phrase) : ByteBuffer()
        buffer.reserveCapacity(minimumWritableBytes: 256 + content.readableBytes)
        buffer.writeStaticString("HTTP/1.1 ")
        buffer.writeString(String(status))
        buffer.writeInteger(Bytes.space)
        buffer.writeString(phrase)
        buffer.writeStaticString("\r\n")
        if layer == .opening, status >= 200 {
            buffer.writeStaticString("Connection: close\r\n")
        }
        let contentTypes = fields.texts(.contentType)
        if content.readableBytes > 0, contentTypes.isEmpty {
            buffer.writeStaticString("Content-Type: text/plain; charset=utf-8\r\n")
        }
        for type in contentTypes {
            buffer.writeField("Content-Type", type)
        }
        if status >= 200 {
            buffer.writeField("Date", date)
        }
        for field in fields where field.name != .contentType {
            guard !ApplicationFields.isReservedInAnswer(field.name, status: status) else { continue }
            buffer.writeField(field.name.rawName, field.text)
        }
        negotiated.write(into: &buffer)
        if hasContent {
            buffer.writeField("Content-Length", String(content.readableBytes))
        }
        buffer.writeStaticString("\r\n")
        if method != "HEAD" {
            buffer.writeImmutableBuffer(content)
        }
    }

    private func usualEntity(_ phrase: String) -> ByteBuffer {
        400...599 ~= status
            ? Explanation.entity(for: status, phrase: phrase, fields: fields)
            : ByteBuffer(string: "\(status) \(phrase)\n")
    }

    /// `false` for a status whose response ends with its head.
    private var hasContent: Bool {
        switch status {
        case 100...199, 204, 205, 304: false
        default: true
        }
    }
}

/// The server's selection as fields: one line for each extension, then the subprotocol (D10).
package struct Negotiated: Sendable, Equatable {
    package var subprotocol: String?
    package var extensions: [NegotiatedExtension]

    package init(subprotocol: String? = nil, extensions: [NegotiatedExtension] = []) {
        self.subprotocol = subprotocol
        self.extensions = extensions
    }

    func write(into buffer: inout ByteBuffer) {
        for item in extensions {
            buffer.writeField("Sec-WebSocket-Extensions", item.description)
        }
        if let subprotocol {
            buffer.writeField("Sec-WebSocket-Protocol", subprotocol)
        }
    }
}

extension ByteBuffer {
    /// One field line.
    mutating func writeField(_ name: String, _ value: String) {
        writeString(name)
        writeStaticString(": ")
        writeFieldText(value)
        writeStaticString("\r\n")
    }
}
