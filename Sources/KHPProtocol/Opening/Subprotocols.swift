// Subprotocol lists (RFC 6455 sections 1.9 and 4) and the one subprotocol that is ours (KHP-O1, KHP-O2).

package enum Subprotocols {
    /// The subprotocol that stands for the extended handshake.
    package static let extendedHandshake = "x-kaazing-handshake"

    /// The subprotocols that a client offers in the opening: x-kaazing-handshake before the application's own (KHP-O1).
    package static func offered(_ application: [String], extendedHandshake: Bool) -> [String] {
        extendedHandshake ? [Self.extendedHandshake] + application : application
    }

    /// Throws unless every name is valid in the dialect and stands there once (RFC 6455 section 4.1, item 10).
    /// x-kaazing-handshake is not allowed: this stack offers it by itself.
    /// - Parameter dialect: that of the opening; the extended handshake speaks tokens in every one (D42).
    package static func validate(
        _ application: [String],
        in dialect: Dialect = .rfc6455
    ) throws(WebSocketError) {
        var seen = Set<String>()
        for name in application {
            // Some are tokens.
            var shown: String { quoted(Redaction.subprotocol(name)) }
            guard isName(name, in: dialect) else {
                let what =
                    switch dialect.opening {
                    case .acceptKey: "an HTTP token"
                    case .twoKeys: "printable ASCII without blanks"
                    case .invariant: "printable ASCII"
                    }
                throw WebSocketError(.invalidArgument, "The subprotocol \(shown) is not \(what).")
            }
            guard name != extendedHandshake else {
                throw WebSocketError(
                    .invalidArgument,
                    "\(extendedHandshake) is not a subprotocol of the application; the extended handshake is an option."
                )
            }
            guard seen.insert(name).inserted else {
                throw WebSocketError(.invalidArgument, "The subprotocol \(shown) is listed twice.")
            }
        }
    }

    /// True where a subprotocol can have this name (D42): a token in RFC 6455; printable and without blanks where a
    /// list is separated by them (W10); printable in hixie-75, where the name is the whole value of its field.
    static func isName(_ name: String, in dialect: Dialect) -> Bool {
        switch dialect.opening {
        case .acceptKey: Token.isToken(name)
        case .twoKeys: !name.isEmpty && name.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        case .invariant:
            // Blanks around a field's value are not part of it.
            name.utf8.first != Bytes.space && name.utf8.last != Bytes.space && !name.isEmpty
                && name.utf8.allSatisfy { (0x20...0x7E).contains($0) }
        }
    }

    /// Reads all Sec-WebSocket-Protocol fields of a head into `names`, which keeps the first of equal names. Empty
    /// elements, and so empty fields, are ignored (deployed clients send them). `false`: some element is no token.
    package static func parse(_ fields: HeadFields, into names: inout [String]) -> Bool {
        var offer = Offer(names: names, offersExtendedHandshake: false)
        let isValid = offer.read(fields)
        names = offer.names
        if offer.offersExtendedHandshake { names.append(Self.extendedHandshake) }
        return isValid
    }

    /// The subprotocols that a request offers.
    struct Offer {
        /// The application's own, the first of equal ones.
        private(set) var names: [String]
        private(set) var offersExtendedHandshake: Bool

        init(names: [String] = [], offersExtendedHandshake: Bool = false) {
            self.names = names
            self.offersExtendedHandshake = offersExtendedHandshake
        }

        var isEmpty: Bool { self.names.isEmpty && !self.offersExtendedHandshake }

        /// Adds those of all Sec-WebSocket-Protocol fields. `false`: some element is no token.
        mutating func read(_ fields: HeadFields) -> Bool {
            var isValid = true
            var list = DistinctNames(self.names)
            fields.forEachValue(of: .subprotocol) { value in
                isValid = Subprotocols.parse(value, into: &list, &self.offersExtendedHandshake)
                return isValid
            }
            self.names = list.names
            return isValid
        }

        /// The same under another name of the field.
        mutating func read(_ fields: HeadFields, named field: String) -> Bool {
            var isValid = true
            var list = DistinctNames(self.names)
            fields.forEachValue(of: field) { value in
                isValid = Subprotocols.parse(value, into: &list, &self.offersExtendedHandshake)
                return isValid
            }
            self.names = list.names
            return isValid
        }
    }

    private static func parse(
        _ value: UnsafeRawBufferPointer,
        into names: inout DistinctNames,
        _ offersExtendedHandshake: inout Bool
    ) -> Bool {
        let extended: StaticString = "x-kaazing-handshake"
        let extendedHandshake = UnsafeRawBufferPointer(start: extended.utf8Start, count: extended.utf8CodeUnitCount)
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
            if Bytes.equal(name, extendedHandshake) { offersExtendedHandshake = true } else { names.append(name) }
        }
        return true
    }

    /// The server's choice among what was offered: the first of its own list, as deployed gateways choose, whatever the
    /// client's order. `nil`: none (R-S1).
    package static func choose(supported: [String], offered: [String]) -> String? {
        supported.first { offered.contains($0) }
    }
}

/// Names in their order, the first of equal ones. A few are compared one by one; a peer that sends thousands of them
/// gets a table.
struct DistinctNames {
    private(set) var names: [String]
    private var known: Set<String> = []

    init(_ names: [String] = []) {
        self.names = names
    }

    mutating func append(_ name: UnsafeRawBufferPointer) {
        if self.names.count < 8 {
            let isKnown = self.names.contains { known in Bytes.withUTF8(of: known) { Bytes.equal($0, name) } }
            if !isKnown { self.names.append(FieldText.string(name)) }
            return
        }
        if self.known.isEmpty { self.known = Set(self.names) }
        let name = FieldText.string(name)
        if self.known.insert(name).inserted { self.names.append(name) }
    }

    mutating func append(_ name: String) {
        Bytes.withUTF8(of: name) { self.append($0) }
    }
}
