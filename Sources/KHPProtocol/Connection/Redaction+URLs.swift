// URLs and request targets as they may be shown: without user information, and without the values of parameters whose
// names say that they are credentials (threat G12). All that the library and the command show of a URL passes here.

extension Redaction {
    /// The text with the user information of each URL in it hidden, and the value of each parameter that
    /// ``isSecretParameter(_:)`` tells of: in queries, and in paths behind a semicolon; in queries also what is long and
    /// has no name. All else stays readable.
    ///
    /// The text is a URL, a target, or anything with such in it: a field's value, an entity.
    /// - Parameter stand: what stands in the place of a secret; ``mark`` unless told otherwise.
    package static func shown(
        _ text: String,
        _ stand: (ArraySlice<UInt8>) -> [UInt8] = { _ in Array(Self.mark.utf8) }
    ) -> String {
        Self.shown(Array(text.utf8), 0, stand).map { String(decoding: $0, as: UTF8.self) } ?? text
    }

    /// Whether the value of a parameter is a credential, by its name: percent-encoded or not, in any case, its words
    /// joined in any way.
    package static func isSecretParameter(_ name: String) -> Bool {
        Self.isSecretParameter(Array(name.utf8)[...])
    }

    /// Names that are those of credentials as a whole; in longer ones these words mean other things.
    private static let secretNames: Set<String> = [
        "auth", "authorization", "bearer", "code", "hmac", "jwt", "key", "otp", "pass", "pwd", "session", "sid", "sig",
    ]
    /// What the names of others end with: access_token, client_secret, X-Amz-Signature, JSESSIONID and their like.
    private static let secretEndings = [
        "accesskey", "apikey", "assertion", "credential", "credentials", "passphrase", "passwd", "password", "secret",
        "sessid", "sessionid", "sessionkey", "signature", "ticket", "token",
    ]

    private static func isSecretParameter(_ name: ArraySlice<UInt8>) -> Bool {
        // api_key, api-key and apiKey are one name.
        let letters = PercentEncoding.decoded(name).compactMap { byte -> UInt8? in
            switch byte {
            case 0x41...0x5A: byte | 0x20
            case 0x61...0x7A, 0x30...0x39: byte
            default: nil
            }
        }
        let name = String(decoding: letters, as: UTF8.self)
        return Self.secretNames.contains(name) || Self.secretEndings.contains { name.hasSuffix($0) }
    }

    /// From how many bytes on a part of a query without a name is hidden: nobody says what it is, and tokens are long.
    private static let namelessSecret = 16

    /// How deep URLs are looked for inside the parameters of others.
    private static let maximumDepth = 3

    /// - Returns: `nil` where there is nothing to hide.
    private static func shown(
        _ bytes: [UInt8],
        _ depth: Int,
        _ stand: (ArraySlice<UInt8>) -> [UInt8]
    ) -> [UInt8]? {
        guard bytes.contains(where: { $0 == 0x3D || $0 == 0x40 || $0 == 0x3F }) else { return nil }
        var output: [UInt8] = []
        var copied = 0
        var position = 0
        var place = Place.elsewhere
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
                if let at = bytes[position..<end].lastIndex(of: 0x40) {
                    output += bytes[copied...position] + stand(bytes[(position + 1)..<at])
                    copied = at
                }
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
                output += bytes[copied..<name.startIndex] + stand(name)
                copied = name.endIndex
                position = name.endIndex
                continue
            }
            let value = bytes[(name.endIndex + 1)...].prefix { !Self.endsValue($0, in: place) }
            guard !value.isEmpty, Self.isSecretParameter(name) || Self.holdsSecret(value, depth) else { continue }
            output += bytes[copied..<value.startIndex] + stand(value)
            copied = value.endIndex
            position = value.endIndex
        }
        guard copied > 0 else { return nil }
        return output + bytes[copied...]
    }

    /// Whether a value is a URL with a secret of its own, percent-encoded once or more.
    private static func holdsSecret(_ value: ArraySlice<UInt8>, _ depth: Int) -> Bool {
        var value = Array(value)
        for depth in depth..<max(depth, Self.maximumDepth) where value.contains(Bytes.percent) {
            value = PercentEncoding.decoded(value[...])
            if Self.shown(value, depth + 1, { Array($0) }) != nil { return true }
        }
        return false
    }

    /// Where in a text a parameter was found.
    private enum Place {
        case elsewhere
        case path
        case query
    }

    /// White space, controls, quotation marks and angle brackets: what no URL holds and what stands around URLs.
    private static func endsURL(_ byte: UInt8) -> Bool {
        byte <= 0x20 || byte == 0x7F || byte == 0x22 || byte == 0x3C || byte == 0x3E
    }

    /// Whether the second slash of `//` follows: at the beginning, or behind a scheme.
    private static func beginsAuthority(_ bytes: [UInt8], _ position: Int, in place: Place) -> Bool {
        guard position < bytes.count, bytes[position] == Bytes.slash else { return false }
        return place == .elsewhere || position >= 2 && bytes[position - 2] == Bytes.colon
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

extension PercentEncoding {
    /// The bytes that a text stands for; what is no encoding stays as it is.
    fileprivate static func decoded(_ text: ArraySlice<UInt8>) -> [UInt8] {
        guard text.contains(Bytes.percent) else { return Array(text) }
        var output: [UInt8] = []
        output.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            if text[index] == Bytes.percent, index + 2 < text.endIndex, let high = Bytes.hexValue(text[index + 1]),
                let low = Bytes.hexValue(text[index + 2])
            {
                output.append(high << 4 | low)
                index += 3
            } else {
                output.append(text[index])
                index += 1
            }
        }
        return output
    }
}
