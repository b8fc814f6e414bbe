// URLs and request targets as they may be shown: without user information, and without the values of parameters whose
// names say that they are credentials (threat G12). All that the library and the command show of a URL passes here.
//
// A peer chooses the text, so the work is linear in it: one pass over the text itself, and one over what it is when it
// is percent-decoded once, twice and three times, for URLs that stand in the parameters of others.

extension Redaction {
    /// The text with the user information of each URL in it hidden, and the value of each parameter that
    /// ``SecretName`` tells of: in queries, and in paths behind a semicolon; in queries also what is long and
    /// has no name. All else stays readable.
    ///
    /// The text is a URL, a target, or anything with such in it: a field's value, an entity.
    /// - Parameter stand: the text in the place of a secret; ``mark`` unless told otherwise.
    package static func shown(
        _ text: String,
        _ stand: (ArraySlice<UInt8>) -> [UInt8] = { _ in Array(Self.mark.utf8) }
    ) -> String {
        let bytes = Array(text.utf8)
        let secrets = Self.secrets(in: bytes)
        guard !secrets.isEmpty else { return text }
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var copied = 0
        for secret in secrets {
            output += bytes[copied..<secret.lowerBound]
            output += stand(bytes[secret])
            copied = secret.upperBound
        }
        output += bytes[copied...]
        return String(decoding: output, as: UTF8.self)
    }

    /// The length in bytes from which a part of a query without a name is hidden: tokens are long.
    private static let namelessSecret = 16

    /// How deep URLs are looked for inside the parameters of others.
    private static let maximumDepth = 3

    /// The parts to hide, in order and apart from each other.
    private static func secrets(in bytes: [UInt8]) -> [Range<Int>] {
        guard bytes.contains(where: { $0 == 0x3D || $0 == 0x40 || $0 == 0x3F }) else { return [] }
        let plain = Self.scan(bytes)
        guard !plain.values.isEmpty, bytes.contains(Bytes.percent) else { return plain.secrets }
        // A value that is a URL with a secret of its own, encoded once or more, is hidden as a whole.
        let isEncoded = plain.values.map { bytes[$0].contains(Bytes.percent) }
        var isHidden = [Bool](repeating: false, count: plain.values.count)
        var decoded = DecodedText(bytes)
        for _ in 0..<Self.maximumDepth {
            guard decoded.decode() else { break }
            var value = 0
            for secret in Self.scan(decoded.bytes).secrets {
                let position = decoded.origins[secret.lowerBound]
                while value < plain.values.count, plain.values[value].upperBound <= position { value += 1 }
                guard value < plain.values.count else { break }
                if isEncoded[value], plain.values[value].contains(position) { isHidden[value] = true }
            }
        }
        let whole = plain.values.indices.filter { isHidden[$0] }.map { plain.values[$0] }
        return Self.merged(plain.secrets, whole)
    }

    /// Two lists in order as one, each secret of the first that lies in one of the second left out.
    private static func merged(_ secrets: [Range<Int>], _ values: [Range<Int>]) -> [Range<Int>] {
        var output: [Range<Int>] = []
        var rest = values[...]
        for secret in secrets {
            while let value = rest.first, value.lowerBound <= secret.lowerBound {
                output.append(value)
                rest = rest.dropFirst()
            }
            if let last = output.last, secret.lowerBound < last.upperBound {
                // One that goes on behind the value is hidden to its end.
                output[output.count - 1] = last.lowerBound..<max(last.upperBound, secret.upperBound)
                continue
            }
            output.append(secret)
        }
        return output + rest
    }

    /// - Returns: the secrets that stand in a text as it is, and the values of all parameters that are in no other one;
    ///   both in order.
    private static func scan(_ bytes: [UInt8]) -> (secrets: [Range<Int>], values: [Range<Int>]) {
        var secrets: [Range<Int>] = []
        var values: [Range<Int>] = []
        var position = 0
        var place = Place.elsewhere
        // Where the value ends that a query's parameter was found in last: those behind a question mark in it end there
        // as well.
        var queryValueEnd = 0
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case _ where Self.endsURL(byte): place = .elsewhere
            case Bytes.slash where Self.beginsAuthority(bytes, position, in: place):
                let end =
                    bytes[position...].dropFirst().firstIndex {
                        Self.endsAuthority($0) || place == .query && Self.endsValue($0, in: place)
                    } ?? bytes.count
                if let at = bytes[position..<end].lastIndex(of: 0x40) { secrets.append((position + 1)..<at) }
                if place == .elsewhere { place = .path }
                position = end
            case Bytes.slash where place == .elsewhere: place = .path
            case 0x3F: place = .query
            default: break
            }
            guard byte == 0x3F || byte == 0x26 || byte == 0x3B && place != .elsewhere else { continue }
            let name = bytes[position...].prefix { !Self.endsName($0) }
            guard name.endIndex < bytes.count, bytes[name.endIndex] == 0x3D else {
                guard place == .query, name.count >= Self.namelessSecret else { continue }
                secrets.append(name.startIndex..<name.endIndex)
                position = name.endIndex
                continue
            }
            let start = name.endIndex + 1
            var end = queryValueEnd
            if place != .query || start > end {
                end = bytes[start...].firstIndex { Self.endsValue($0, in: place) } ?? bytes.count
                if place == .query { queryValueEnd = end }
            }
            guard start < end else { continue }
            if values.last.map({ $0.upperBound <= start }) ?? true { values.append(start..<end) }
            guard SecretName.isSecret(name) else { continue }
            secrets.append(start..<end)
            position = end
        }
        return (secrets, values)
    }

    /// Where in a text a parameter was found.
    private enum Place {
        case elsewhere
        case path
        case query
    }

    /// White space, controls, quotation marks and angle brackets: no URL holds them, and they stand around URLs.
    private static func endsURL(_ byte: UInt8) -> Bool {
        byte <= 0x20 || byte == 0x7F || byte == 0x22 || byte == 0x3C || byte == 0x3E
    }

    /// True where the second slash of `//` follows: at the beginning, behind a scheme, or at the beginning of a value.
    private static func beginsAuthority(_ bytes: [UInt8], _ position: Int, in place: Place) -> Bool {
        guard position < bytes.count, bytes[position] == Bytes.slash else { return false }
        guard place != .elsewhere, position >= 2 else { return place == .elsewhere }
        let before = bytes[position - 2]
        return before == Bytes.colon || before == Bytes.equals
    }

    private static func endsAuthority(_ byte: UInt8) -> Bool {
        byte == Bytes.slash || byte == 0x3F || byte == 0x23 || Self.endsURL(byte)
    }

    private static func endsName(_ byte: UInt8) -> Bool {
        byte == 0x3D || byte == 0x26 || byte == 0x3B || Self.endsAuthority(byte)
    }

    /// `&`, `;` and `#`; in a path `/` and `?` as well.
    private static func endsValue(_ byte: UInt8, in place: Place) -> Bool {
        switch byte {
        case 0x26, 0x3B, 0x23: true
        case Bytes.slash, 0x3F: place == .path
        default: Self.endsURL(byte)
        }
    }
}

/// A text that is percent-decoded as a whole, again and again, and where each byte of it came from.
private struct DecodedText {
    private(set) var bytes: [UInt8]
    /// For each byte the place in the first text where it, or its percent sign, stands.
    private(set) var origins: [Int]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        self.origins = Array(bytes.indices)
    }

    /// Decodes once more.
    /// - Returns: `false` where nothing was encoded.
    mutating func decode() -> Bool {
        var output: [UInt8] = []
        var places: [Int] = []
        output.reserveCapacity(self.bytes.count)
        places.reserveCapacity(self.bytes.count)
        var index = 0
        while index < self.bytes.count {
            places.append(self.origins[index])
            if let byte = PercentEncoding.decodedByte(self.bytes[...], at: index) {
                output.append(byte)
                index += 3
            } else {
                output.append(self.bytes[index])
                index += 1
            }
        }
        guard output.count < self.bytes.count else { return false }
        self.bytes = output
        self.origins = places
        return true
    }
}

extension PercentEncoding {
    /// The byte that the three characters from there on stand for, where they stand for one.
    static func decodedByte(_ text: ArraySlice<UInt8>, at index: Int) -> UInt8? {
        guard text[index] == Bytes.percent, index + 2 < text.endIndex, let high = Bytes.hexValue(text[index + 1]),
            let low = Bytes.hexValue(text[index + 2])
        else { return nil }
        return high << 4 | low
    }

    /// The bytes that a text stands for. A malformed escape stays as it is.
    static func decoded(_ text: ArraySlice<UInt8>) -> [UInt8] {
        guard text.contains(Bytes.percent) else { return Array(text) }
        var output: [UInt8] = []
        output.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            if let byte = Self.decodedByte(text, at: index) {
                output.append(byte)
                index += 3
            } else {
                output.append(text[index])
                index += 1
            }
        }
        return output
    }
}
