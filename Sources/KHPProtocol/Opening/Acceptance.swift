// The 101 of both handshakes, byte for byte as deployed clients expect it (D10).

package import HTTPTypes
package import NIOCore

package struct Acceptance: Sendable {
    /// Sec-WebSocket-Accept; the same in both handshakes of a connection. Empty in dialects without one, whose extended
    /// handshake leaves it out.
    package var acceptValue: String
    package var negotiated: Agreement
    /// `true` when the request said `Upgrade: WebSocket`, which is answered in the same letters.
    package var echoesOldUpgrade: Bool
    package var date: String
    package var server: String
    /// The application's own fields; each goes to its place in the alphabetical order.
    package var fields: HTTPFields

    package init(
        acceptValue: String,
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
        guard self.fields.isEmpty else {
            self.head.write(into: &buffer)
            return
        }
        let extensions = self.negotiated.extensions.isEmpty ? [] : self.negotiated.extensions.map(\.description)
        var capacity = 256 + self.date.utf8.count + self.acceptValue.utf8.count + self.server.utf8.count
        capacity += self.negotiated.subprotocol?.utf8.count ?? 0
        for item in extensions { capacity += item.utf8.count + 28 }
        buffer.writeText(capacity: capacity) { text in
            text.write("HTTP/1.1 101 Web Socket Protocol Handshake\r\nConnection: Upgrade\r\n")
            text.write("Date: ", self.date)
            if !self.acceptValue.isEmpty { text.write("Sec-WebSocket-Accept: ", self.acceptValue) }
            for item in extensions {
                text.write("Sec-WebSocket-Extensions: ", item)
            }
            if let subprotocol = self.negotiated.subprotocol {
                text.write("Sec-WebSocket-Protocol: ", subprotocol)
            }
            text.write("Server: ", self.server)
            text.write(self.echoesOldUpgrade ? "Upgrade: WebSocket\r\n\r\n" : "Upgrade: websocket\r\n\r\n")
        }
    }

    /// The same as a value.
    package var head: ResponseHead {
        var lines: [(name: String, value: String)] = [("Connection", "Upgrade"), ("Date", self.date)]
        if !self.acceptValue.isEmpty { lines.append(("Sec-WebSocket-Accept", self.acceptValue)) }
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
