// Which names mean a credential: one list for header fields, for parameters of URLs, and for the parts of subprotocols
// that carry tokens. A name is judged by its words, so that it does not matter how they are joined or spelt.

package enum SecretName {
    /// Names of credentials by themselves; in longer names these words mean other things.
    private static let names = Table(["auth", "code", "key", "pass", "sid", "sig"])
    /// Words that mean a credential in any name.
    private static let words = Table([
        "authentication", "authorization", "bearer", "cookie", "cookie2", "hmac", "jwt", "otp", "pwd",
    ])
    /// Words that do at the end of a name.
    private static let lastWords = Table(["assertion", "auth", "key", "sid", "sig", "ticket"])
    /// Words before `key` with which it opens nothing.
    private static let harmlessKeys = Table([
        "cache", "foreign", "idempotency", "partition", "primary", "public", "routing", "socket", "sort", "surrogate",
        "websocket",
    ])
    /// Parts of a word that mean a credential, with any text around them: apiKey, JSESSIONID, X-Csrftoken.
    private static let parts = Table([
        "accesskey", "accountkey", "apikey", "authkey", "credential", "masterkey", "passphrase", "passwd", "password",
        "privatekey", "secret", "sessid", "session", "sharedkey", "signature", "signingkey", "subscriptionkey",
        "token",
    ])

    /// True where the value of a field or parameter of that name is a credential. The name may be percent-encoded.
    package static func isSecret(_ name: String) -> Bool { Self.isSecret(Array(name.utf8)[...]) }

    /// As ``isSecret(_:)-(String)``. A URL may have thousands of names: nothing is allocated for one.
    static func isSecret(_ name: ArraySlice<UInt8>) -> Bool {
        guard name.count >= 3 else { return false }
        if name.contains(Bytes.percent) {
            return PercentEncoding.decoded(name).withUnsafeBufferPointer { Self.isSecret($0) }
        }
        return name.withUnsafeBufferPointer { Self.isSecret($0) }
    }

    /// Judges the name with capitals as the beginnings of words, and without: the names of fields are the same in every
    /// case, Set-CookiE as well (RFC 9110 section 5.1).
    private static func isSecret(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        Self.isSecret(name, cutsAtCapitals: true) || Self.isSecret(name, cutsAtCapitals: false)
    }

    /// Cuts the name into its words: parts between characters that are no letters or digits, and from each capital
    /// behind a small letter on; api_key, api-key and apiKey are one name.
    private static func isSecret(_ name: UnsafeBufferPointer<UInt8>, cutsAtCapitals: Bool) -> Bool {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: name.count) { letters in
            var count = 0
            var last = 0..<0
            var secondLast = 0..<0
            var start = 0
            var previous: UInt8 = 0
            /// True where the word that ends here means a credential by itself.
            func endWord() -> Bool {
                guard start < count else { return false }
                secondLast = last
                last = start..<count
                start = count
                return Self.words.contains(letters[last])
            }
            for byte in name {
                let isLetter = Bytes.isLetter(byte)
                if isLetter || Bytes.isDigit(byte) {
                    let isCapital = cutsAtCapitals && isLetter && byte & 0x20 == 0
                    if isCapital, Bytes.isLetter(previous), previous & 0x20 != 0, endWord() { return true }
                    letters[count] = Bytes.lowercased(byte)
                    count += 1
                } else if endWord() {
                    return true
                }
                previous = byte
            }
            if endWord() { return true }
            let joined = letters[..<count]
            if Self.names.contains(joined) || Self.parts.isWithin(joined) { return true }
            guard Self.lastWords.contains(letters[last]) else { return false }
            let isKey = last.count == 3 && letters[last.lowerBound] == UInt8(ascii: "k")
            return !isKey || !Self.harmlessKeys.contains(letters[secondLast])
        }
    }

    /// A few words, looked up by their first letter.
    private struct Table: Sendable {
        private let byLetter: [[[UInt8]]]

        init(_ words: [String]) {
            var table = [[[UInt8]]](repeating: [], count: 26)
            for word in words.map({ Array($0.utf8) }) { table[Int(word[0] - 0x61)].append(word) }
            self.byLetter = table
        }

        /// - Parameter text: letters in lower case, and digits.
        func contains(_ text: Slice<UnsafeMutableBufferPointer<UInt8>>) -> Bool {
            guard let first = text.first, first >= 0x61 else { return false }
            return self.byLetter[Int(first - 0x61)].contains { $0.count == text.count && $0.elementsEqual(text) }
        }

        /// True where one of the words stands somewhere in the text.
        func isWithin(_ text: Slice<UnsafeMutableBufferPointer<UInt8>>) -> Bool {
            for start in text.indices where text[start] >= 0x61 {
                let words = self.byLetter[Int(text[start] - 0x61)]
                if !words.isEmpty, words.contains(where: { text[start...].starts(with: $0) }) { return true }
            }
            return false
        }
    }
}

extension Redaction {
    /// The value of a field with subprotocols, without the tokens that travel in it: `bearer.…`, the element behind the
    /// name of a credential, and long elements that are no words.
    package static func subprotocols(_ value: String) -> String {
        var output = ""
        var hidesNext = false
        for (index, element) in value.split(separator: ",", omittingEmptySubsequences: false).enumerated() {
            if index > 0 { output += "," }
            let blanks = element.prefix { $0 == " " || $0 == "\t" }
            let name = element.dropFirst(blanks.count)
            output += blanks
            let shown = hidesNext && !name.isEmpty ? Self.mark : Self.subprotocol(String(name))
            output += shown
            hidesNext = shown == name && SecretName.isSecret(String(name))
        }
        return output
    }

    /// A subprotocol's name without the token that some clients send in it, such as `bearer.…`.
    public static func subprotocol(_ name: String) -> String {
        let bytes = Array(name.utf8)
        // The word that announces a token: `bearer.`, `auth-`, `…authorization.k8s.io.`.
        var start = 0
        var end: Int?
        for (index, byte) in bytes.enumerated() where byte == 0x2E || byte == 0x2D || byte == 0x5F || byte == 0x7E {
            if index + 1 < bytes.count, Self.announces(bytes[start..<index]) { end = index + 1 }
            start = index + 1
        }
        if var end {
            let kubernetes = Array("k8s.io.".utf8)
            if bytes[end...].starts(with: kubernetes) { end += kubernetes.count }
            if end < bytes.count { return String(decoding: bytes[..<end], as: UTF8.self) + Self.mark }
        }
        return Self.isOpaque(bytes) ? Self.mark : name
    }

    /// True where the part behind this word is a credential.
    private static func announces(_ word: ArraySlice<UInt8>) -> Bool {
        switch String(decoding: word.map(Bytes.lowercased), as: UTF8.self) {
        case "auth", "authorization", "bearer", "jwt", "token": true
        default: false
        }
    }

    /// True where a name is made of no words: long, with digits among the letters of one part, or mostly digits.
    private static func isOpaque(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= 20 else { return false }
        let digits = bytes.count(where: Bytes.isDigit)
        if digits * 4 >= bytes.count { return true }
        return bytes.split(whereSeparator: { !Bytes.isLetter($0) && !Bytes.isDigit($0) }).contains { part in
            part.count >= 40 || part.count >= 16 && part.contains(where: Bytes.isDigit)
        }
    }
}
