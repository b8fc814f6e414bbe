// Subprotocol lists (RFC 6455 sections 1.9 and 4) and the one subprotocol that is ours (KHP-O1, KHP-O2).

package enum Subprotocols {
    /// The subprotocol that stands for the extended handshake.
    package static let extendedHandshake = "x-kaazing-handshake"

    /// What a client offers in the opening: x-kaazing-handshake before the application's own (KHP-O1).
    package static func offered(_ application: [String], extendedHandshake: Bool) -> [String] {
        extendedHandshake ? [Self.extendedHandshake] + application : application
    }

    /// Throws unless every name is a token and none comes twice (RFC 6455 section 4.1, item 10), nor is one
    /// x-kaazing-handshake: that is this stack's to offer.
    package static func validate(_ application: [String]) throws(WebSocketError) {
        var seen = Set<String>()
        for name in application {
            guard Token.isToken(name) else {
                throw WebSocketError(.invalidArgument, "The subprotocol \(quoted(name)) is not an HTTP token.")
            }
            guard name != extendedHandshake else {
                throw WebSocketError(
                    .invalidArgument,
                    "\(extendedHandshake) is not a subprotocol of the application; the extended handshake is an option."
                )
            }
            guard seen.insert(name).inserted else {
                throw WebSocketError(.invalidArgument, "The subprotocol \(quoted(name)) is listed twice.")
            }
        }
    }

    /// Reads all Sec-WebSocket-Protocol fields of a head into `names`, which keeps the first of equal names. Empty
    /// elements, and so empty fields, are ignored (deployed clients send them). `false`: some element is no token.
    package static func parse(
        _ fields: HeadFields,
        named field: String = "Sec-WebSocket-Protocol",
        into names: inout [String]
    ) -> Bool {
        var isValid = true
        fields.forEachValue(of: field) { value in
            isValid = parse(value, into: &names)
            return isValid
        }
        return isValid
    }

    private static func parse(_ value: UnsafeRawBufferPointer, into names: inout [String]) -> Bool {
        var position = 0
        while position < value.count {
            if Bytes.isWhitespace(value[position]) || value[position] == Bytes.comma {
                position += 1
                continue
            }
            let end = Token.end(in: value, from: position, to: value.count)
            guard end > position else { return false }
            let name = UnsafeRawBufferPointer(rebasing: value[position..<end])
            position = end
            while position < value.count, Bytes.isWhitespace(value[position]) { position += 1 }
            guard position == value.count || value[position] == Bytes.comma else { return false }
            let isKnown = names.contains { known in
                Bytes.withUTF8(of: known) { $0.count == name.count && $0.elementsEqual(name) }
            }
            if !isKnown { names.append(String(decoding: name, as: UTF8.self)) }
        }
        return true
    }

    /// The server's choice among what was offered: the first of its own list, as deployed gateways choose, whatever the
    /// client's order. `nil`: none (R-S1).
    package static func choose(supported: [String], offered: [String]) -> String? {
        supported.first { offered.contains($0) }
    }
}
