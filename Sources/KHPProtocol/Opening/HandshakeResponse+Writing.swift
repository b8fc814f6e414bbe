// How a server's answers other than 101 look, in either handshake (D10): Content-Type, Date, the answer's own fields,
// Content-Length, and a short readable entity (D39).

import HTTPTypes
package import NIOCore

/// A response as it goes out, with what its sender need not read back from the bytes.
package struct WrittenResponse: Sendable {
    /// A 101 of our own making is written where it goes.
    enum Content {
        case bytes(ByteBuffer, bodyLength: Int)
        case acceptance(Acceptance)
    }

    package let status: Int
    let content: Content

    init(status: Int, bytes: ByteBuffer, bodyLength: Int = 0) {
        self.status = status
        self.content = .bytes(bytes, bodyLength: bodyLength)
    }

    init(_ acceptance: Acceptance) {
        self.status = 101
        self.content = .acceptance(acceptance)
    }

    /// Head and body.
    package var bytes: ByteBuffer {
        switch self.content {
        case .bytes(let bytes, _): return bytes
        case .acceptance(let acceptance):
            var bytes = ByteBuffer()
            acceptance.write(into: &bytes)
            return bytes
        }
    }

    var body: ByteBuffer {
        guard case .bytes(let bytes, let length) = self.content else { return ByteBuffer() }
        return bytes.getSlice(at: bytes.writerIndex - length, length: length) ?? ByteBuffer()
    }
}

extension HandshakeResponse {
    /// The response as it goes out in the extended handshake.
    func written(date: String, method: String, negotiated: Agreement = Agreement()) -> WrittenResponse {
        var buffer = ByteBuffer()
        let length = self.write(into: &buffer, layer: .extended, date: date, method: method, negotiated: negotiated)
        return WrittenResponse(status: self.status, bytes: buffer, bodyLength: length)
    }

    /// Appends the response.
    ///
    /// - Parameters:
    ///   - layer: in the opening, the connection ends with the answer, which says so (threat A4).
    ///   - method: the request's; HEAD is answered without content.
    ///   - negotiated: the agreement of a completing answer.
    /// - Returns: the length of the body.
    @discardableResult
    package func write(
        into buffer: inout ByteBuffer,
        layer: HandshakeLayer,
        date: String,
        method: String = "GET",
        negotiated: Agreement = Agreement()
    ) -> Int {
        let phrase = self.reason.isEmpty ? StatusReason.phrase(for: self.status) : self.reason
        let content = self.content
        buffer.reserveCapacity(minimumWritableBytes: 256 + content.readableBytes)
        buffer.writeStaticString("HTTP/1.1 ")
        buffer.writeString(String(self.status))
        buffer.writeInteger(Bytes.space)
        buffer.writeString(phrase)
        buffer.writeStaticString("\r\n")
        if layer == .opening, self.status >= 200 {
            buffer.writeStaticString("Connection: close\r\n")
        }
        let contentTypes = self.headers.texts(.contentType)
        if content.readableBytes > 0, contentTypes.isEmpty {
            buffer.writeStaticString("Content-Type: text/plain; charset=utf-8\r\n")
        }
        for type in contentTypes {
            buffer.writeField("Content-Type", type)
        }
        if self.status >= 200 {
            buffer.writeField("Date", date)
        }
        for field in self.headers where field.name != .contentType {
            guard !ApplicationFields.isReservedInAnswer(field.name, status: self.status) else { continue }
            buffer.writeField(field.name.rawName, field.text)
        }
        negotiated.write(into: &buffer)
        if self.hasContent {
            buffer.writeField("Content-Length", String(content.readableBytes))
        }
        buffer.writeStaticString("\r\n")
        guard method != "HEAD" else { return 0 }
        return buffer.writeImmutableBuffer(content)
    }

    /// Its own content, or the usual text of its status.
    package var content: ByteBuffer {
        guard self.hasContent else { return ByteBuffer() }
        return self.ownBody ?? self.usualBody(self.reason.isEmpty ? StatusReason.phrase(for: self.status) : self.reason)
    }

    private func usualBody(_ phrase: String) -> ByteBuffer {
        400...599 ~= self.status
            ? Explanation.entity(for: self.status, phrase: phrase, fields: self.headers)
            : ByteBuffer(string: "\(self.status) \(phrase)\n")
    }

    /// `false` for a status whose response ends with its head.
    private var hasContent: Bool {
        switch self.status {
        case 100...199, 204, 205, 304: false
        default: true
        }
    }
}

/// The server's selection as fields: one line for each extension, then the subprotocol (D10).
package struct Agreement: Sendable, Equatable {
    package var subprotocol: String?
    package var extensions: [NegotiatedExtension]

    package init(subprotocol: String? = nil, extensions: [NegotiatedExtension] = []) {
        self.subprotocol = subprotocol
        self.extensions = extensions
    }

    func write(into buffer: inout ByteBuffer) {
        for item in self.extensions {
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
        self.writeString(name)
        self.writeStaticString(": ")
        self.writeFieldText(value)
        self.writeStaticString("\r\n")
    }
}
