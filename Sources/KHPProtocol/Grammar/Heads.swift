package import NIOCore

/// A request's head.
package struct RequestHead: Sendable, Equatable, CustomStringConvertible {
    package var method: String
    /// As it was sent: origin-form for us.
    package var target: String
    /// 0 or 1.
    package var minorVersion: Int
    package var fields: HeadFields

    package init(method: String, target: String, minorVersion: Int = 1, fields: HeadFields = HeadFields()) {
        self.method = method
        self.target = target
        self.minorVersion = minorVersion
        self.fields = fields
    }

    /// Appends the head with its blank line.
    package func write(into buffer: inout ByteBuffer) {
        buffer.writeString(self.method)
        buffer.writeInteger(Bytes.space)
        buffer.writeString(self.target)
        buffer.writeStaticString(self.minorVersion == 0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n")
        self.fields.write(into: &buffer)
        buffer.writeStaticString("\r\n")
    }

    /// The head as text, lines separated by LF, credentials hidden.
    package var description: String {
        "\(self.method) \(Redaction.shown(self.target)) HTTP/1.\(self.minorVersion)\n\(self.fields)"
    }
}

extension RequestHead: CustomReflectable {
    /// Shows no more than ``description`` does.
    package var customMirror: Mirror { Mirror(self, children: ["head": self.description]) }
}

/// A response's head.
package struct ResponseHead: Sendable, Equatable, CustomStringConvertible {
    /// 100…999.
    package var status: Int
    /// May be empty.
    package var reason: String
    /// 0 or 1.
    package var minorVersion: Int
    package var fields: HeadFields

    package init(status: Int, reason: String, minorVersion: Int = 1, fields: HeadFields = HeadFields()) {
        self.status = status
        self.reason = reason
        self.minorVersion = minorVersion
        self.fields = fields
    }

    /// Appends the head with its blank line.
    package func write(into buffer: inout ByteBuffer) {
        buffer.writeStaticString(self.minorVersion == 0 ? "HTTP/1.0 " : "HTTP/1.1 ")
        buffer.writeInteger(0x30 + UInt8(truncatingIfNeeded: self.status / 100 % 10))
        buffer.writeInteger(0x30 + UInt8(truncatingIfNeeded: self.status / 10 % 10))
        buffer.writeInteger(0x30 + UInt8(truncatingIfNeeded: self.status % 10))
        buffer.writeInteger(Bytes.space)
        buffer.writeString(self.reason)
        buffer.writeStaticString("\r\n")
        self.fields.write(into: &buffer)
        buffer.writeStaticString("\r\n")
    }

    /// The head as text, lines separated by LF, credentials hidden.
    package var description: String {
        "HTTP/1.\(self.minorVersion) \(self.status) \(self.reason)\n\(self.fields)"
    }
}
