// The 101 of both handshakes, byte for byte as deployed clients expect it (D10).

package import HTTPTypes
package import NIOCore

/// An object, since a copy of all its parts costs as much as writing it.
package final class Acceptance: Sendable {
    /// Sec-WebSocket-Accept; the same in both handshakes of a connection. Empty in dialects without one, whose extended
    /// handshake leaves it out.
    package let acceptValue: AcceptValue
    package let negotiated: Agreement
    /// `true` when the request said `Upgrade: WebSocket`, which is answered in the same letters.
    package let echoesOldUpgrade: Bool
    package let date: String
    package let server: String
    /// The application's own fields; each goes to its place in the alphabetical order.
    package let fields: HTTPFields

    package init(
        acceptValue: AcceptValue,
        negotiated: Agreement,
        echoesOldUpgrade: Bool = false,
        date: String,
        server: String,
        fields: HTTPFields = HTTPFields()
    ) {
        self.acceptValue = acceptValue
        self.negotiated = negotiated
        self.echoesOldUpgrade = echoesOldUpgrade
        self.date = date
        self.server = server
        self.fields = fields
    }

    /// Appends the whole head.
    package func write(into buffer: inout ByteBuffer) {
        buffer.writeText(capacity: self.capacity) { self.write(to: &$0) }
    }

    /// Appends the whole head, written where it goes.
    func write(into output: inout OutboundQueue) {
        output.writeText(atMost: self.capacity) { self.write(to: &$0) }
    }

    /// At least as many bytes as the head has.
    var capacity: Int {
        var capacity = 256 + self.date.utf8.count + self.server.utf8.count
        if let subprotocol = self.negotiated.subprotocol { capacity += subprotocol.utf8.count }
        for item in self.negotiated.extensions { capacity += item.description.utf8.count + 28 }
        for field in self.fields { capacity += field.name.rawName.utf8.count + field.text.utf8.count + 4 }
        return capacity
    }

    /// Writes the whole head.
    func write(to text: inout TextWriter) {
        guard self.fields.isEmpty else { return self.writeLines(to: &text) }
        text.write("HTTP/1.1 101 Web Socket Protocol Handshake\r\nConnection: Upgrade\r\nDate: ")
        text.write(self.date)
        if self.acceptValue.isEmpty {
            text.write("\r\n")
        } else {
            text.write("\r\nSec-WebSocket-Accept: ")
            text.write(self.acceptValue)
            text.write("\r\n")
        }
        for item in self.negotiated.extensions {
            text.write("Sec-WebSocket-Extensions: ", item.description)
        }
        if let subprotocol = self.negotiated.subprotocol {
            text.write("Sec-WebSocket-Protocol: ", subprotocol)
        }
        text.write("Server: ", self.server)
        text.write(self.echoesOldUpgrade ? "Upgrade: WebSocket\r\n\r\n" : "Upgrade: websocket\r\n\r\n")
    }

    private func writeLines(to text: inout TextWriter) {
        var lines = ByteBuffer()
        self.head.write(into: &lines)
        lines.withUnsafeReadableBytes { text.write($0) }
    }

    /// The same as a value.
    package var head: ResponseHead {
        var lines: [(name: String, value: String)] = [("Connection", "Upgrade"), ("Date", self.date)]
        if !self.acceptValue.isEmpty { lines.append(("Sec-WebSocket-Accept", self.acceptValue.text)) }
        lines += self.negotiated.extensions.map { ("Sec-WebSocket-Extensions", $0.description) }
        if let subprotocol = self.negotiated.subprotocol {
            lines.append(("Sec-WebSocket-Protocol", subprotocol))
        }
        lines.append(("Server", self.server))
        lines.append(("Upgrade", self.echoesOldUpgrade ? "WebSocket" : "websocket"))
        for field in self.fields where !ApplicationFields.isReservedInAnswer(field.name, status: 101) {
            let key = field.name.canonicalName
            let place = lines.firstIndex { Bytes.lowercasedASCII($0.name) > key } ?? lines.endIndex
            lines.insert((field.name.rawName, field.text), at: place)
        }
        var head = ResponseHead(status: 101, reason: StatusReason.switchingProtocols)
        for line in lines {
            head.fields.append(line.name, line.value)
        }
        return head
    }
}

extension Acceptance: CustomReflectable {
    /// Shows none of the fields.
    package var customMirror: Mirror { Mirror(self, children: ["negotiated": self.negotiated]) }
}
