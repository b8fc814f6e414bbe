/// A `.netrc` file: which name and password belong to which host.
///
/// The format of ftp(1): tokens separated by blanks and line ends; `machine`, `default`, `login`, `password`,
/// `account`, `macdef` (skipped up to an empty line); `#` begins a comment where a keyword could stand; a value may be
/// quoted, with `\"` and `\\` inside. Other words, such as the `port` of some programs, are passed over with a note.
struct Netrc: Sendable {
    struct Entry: Sendable, Equatable {
        /// `nil` is the `default` entry.
        var machine: String?
        var login: String?
        var password: String?
    }

    let entries: [Entry]
    /// Tells whoever wrote the file what was passed over; nothing of its content is in it.
    let notes: [String]

    init(_ text: String, name: String) throws(CommandFailure) {
        var scanner = Scanner(text)
        var entries: [Entry] = []
        var unknown: [Int] = []
        while let word = scanner.word(commentsAllowed: true) {
            switch word {
            case "machine": entries.append(Entry(machine: try scanner.value(of: word, in: name).lowercased()))
            case "default": entries.append(Entry())
            case "macdef": scanner.skipMacro()
            case "login", "password", "account":
                let value = try scanner.value(of: word, in: name)
                guard !entries.isEmpty else {
                    throw .usage("line \(scanner.line) of \(name) has `\(word)` before any `machine`")
                }
                if word == "login" { entries[entries.count - 1].login = value }
                if word == "password" { entries[entries.count - 1].password = value }
            default:
                unknown.append(scanner.line)
            }
        }
        self.entries = entries
        self.notes =
            unknown.first.map { line in
                let others = unknown.count > 1 ? ", as are \(unknown.count - 1) more" : ""
                return ["a word in line \(line) of \(name) is none that khp knows and is passed over\(others)"]
            } ?? []
    }

    /// The first entry for a host, or the default one where that may answer.
    /// - Parameter allowsDefault: `true` when the host is the one that was asked for: `default` means wherever its
    ///   owner goes, not wherever a server sends him.
    func entry(for host: String, allowsDefault: Bool = true) -> Entry? {
        let host = host.lowercased()
        return self.entries.first { $0.machine == host }
            ?? (allowsDefault ? self.entries.first { $0.machine == nil } : nil)
    }

    /// The password of a user whose name is known, at a host. An entry without a login is for everyone.
    func password(of login: String, at host: String) -> String? {
        let host = host.lowercased()
        for machine in [host, nil] {
            let entries = entries.filter { $0.machine == machine }
            if let entry = entries.first(where: { $0.login == login }) ?? entries.first(where: { $0.login == nil }),
                let password = entry.password
            {
                return password
            }
        }
        return nil
    }

    private struct Scanner {
        private var rest: Substring
        private(set) var line = 1
        /// `true` when the text ended within the quotes of its last word.
        private var isUnclosed = false

        init(_ text: String) {
            self.rest = text[...]
        }

        private mutating func take() -> Character? {
            guard let character = self.rest.popFirst() else { return nil }
            if character.isNewline { self.line += 1 }
            return character
        }

        mutating func word(commentsAllowed: Bool) -> String? {
            while let next = self.rest.first {
                if next.isWhitespace {
                    _ = self.take()
                } else if next == "#", commentsAllowed {
                    while let character = self.rest.first, !character.isNewline { _ = self.take(); _ = character }
                } else {
                    break
                }
            }
            guard let first = self.rest.first else { return nil }
            return first == "\"" ? self.quoted() : self.plain()
        }

        private mutating func plain() -> String {
            var word = ""
            while let next = self.rest.first, !next.isWhitespace {
                word.append(next)
                _ = self.take()
            }
            return word
        }

        private mutating func quoted() -> String {
            _ = self.take()
            var word = ""
            while let next = self.take() {
                if next == "\"" { return word }
                if next == "\\", let escaped = self.take() {
                    word.append(escaped)
                } else {
                    word.append(next)
                }
            }
            self.isUnclosed = true
            return word
        }

        mutating func value(of keyword: String, in name: String) throws(CommandFailure) -> String {
            guard let value = self.word(commentsAllowed: false) else {
                throw .usage("\(name) ends after `\(keyword)`, where its value belongs")
            }
            guard !self.isUnclosed else { throw .usage("\(name) ends within the quotes of a `\(keyword)`") }
            return value
        }

        /// A macro ends at an empty line.
        mutating func skipMacro() {
            var previousWasNewline = false
            while let next = self.take() {
                if next.isNewline {
                    if previousWasNewline { return }
                    previousWasNewline = true
                } else {
                    previousWasNewline = false
                }
            }
        }
    }
}
