/// The users of `--users`: one `name:hash` per line; empty lines and lines that begin with `#` do not count (D22).
struct UsersFile: Sendable {
    private let hashes: [String: String]
    /// Verified in the place of an unknown user's hash, so that the time does not tell which names exist.
    private let decoy: String?

    /// Reads the text of a file; `name` appears in errors.
    init(_ text: String, name: String) throws(CommandFailure) {
        var hashes: [String: String] = [:]
        var decoy: String?
        var number = 0
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: { $0.isNewline }) {
            number += 1
            let line = line.trimmingSpaces()
            if line.isEmpty || line.hasPrefix("#") { continue }
            guard let colon = line.firstIndex(of: ":"), colon != line.startIndex else {
                throw .usage("line \(number) of \(name) is not `name:hash`; `khp hash` makes such lines")
            }
            let user = String(line[..<colon])
            let hash = String(line[line.index(after: colon)...])
            guard PasswordHash.isSupported(hash) else {
                throw .usage(
                    "line \(number) of \(name) holds no bcrypt or SHA-crypt hash after `\(TerminalText.escaped(user)):`; "
                        + "`khp hash` makes one"
                )
            }
            guard hashes.updateValue(hash, forKey: user) == nil else {
                throw .usage("line \(number) of \(name) names the user `\(TerminalText.escaped(user))` a second time")
            }
            decoy = decoy ?? hash
        }
        self.hashes = hashes
        self.decoy = decoy
    }

    /// How many users there are.
    var count: Int { hashes.count }

    /// Whether the password is that user's. Slow on purpose: call it off the event loops.
    func verify(user: String, password: String) -> Bool {
        guard let hash = hashes[user] else {
            if let decoy { _ = PasswordHash.verify(password, decoy) }
            return false
        }
        return PasswordHash.verify(password, hash)
    }
}

extension Substring {
    /// Without the spaces and tabs at both ends.
    func trimmingSpaces() -> Substring {
        var text = self
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}
