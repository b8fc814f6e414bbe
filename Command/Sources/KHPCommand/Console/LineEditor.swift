/// The line that a person is typing: keys in, edits and finished lines out. Pure, so that it can be tested without a
/// terminal.
///
/// Knows the keys that fingers know: arrows, Home, End, Delete, Ctrl-A E B F D H K U W, and a history with Up, Down,
/// Ctrl-P, Ctrl-N.
struct LineEditor {
    enum Effect: Equatable {
        /// The line changed: draw it again.
        case redraw
        /// Return was pressed.
        case line(String)
        /// Ctrl-D on an empty line.
        case end
    }

    /// Longest line that is kept; what is typed or pasted beyond is ignored.
    static let maximumCharacters = 1 << 16
    /// Lines that Up brings back.
    static let maximumHistory = 200

    private(set) var characters: [Character] = []
    private(set) var cursor = 0
    private var history: [String] = []
    private var historyPosition = 0
    private var draft = ""
    /// Bytes of a character or escape sequence that is not complete yet.
    private var partial: [UInt8] = []

    /// The line as it stands.
    var text: String { String(self.characters) }

    /// Takes what was read from the terminal.
    mutating func feed(_ bytes: some Sequence<UInt8>) -> [Effect] {
        var effects: [Effect] = []
        for byte in bytes {
            if let effect = self.feed(byte) {
                if effect == .redraw, effects.last == .redraw { continue }
                effects.append(effect)
            }
        }
        return effects
    }

    private mutating func feed(_ byte: UInt8) -> Effect? {
        if self.partial.first == 0x1B { return self.escape(byte) }
        if !self.partial.isEmpty || byte >= 0x80 { return self.multibyte(byte) }
        switch byte {
        case 0x0D, 0x0A: return self.finish()
        case 0x1B: self.partial = [byte]
        case 0x7F, 0x08: return self.deleteBackwards()
        case 0x01: return self.move(to: 0)
        case 0x05: return self.move(to: self.characters.count)
        case 0x02: return self.move(to: self.cursor - 1)
        case 0x06: return self.move(to: self.cursor + 1)
        case 0x04: return self.characters.isEmpty ? .end : self.deleteForwards()
        case 0x0B: return self.remove(self.cursor..<self.characters.count)
        case 0x15: return self.remove(0..<self.cursor)
        case 0x17: return self.remove(self.wordStart()..<self.cursor)
        case 0x10: return self.recall(-1)
        case 0x0E: return self.recall(1)
        case 0x0C: return .redraw
        case 0x09: return self.insert("\t")
        case 0x20...: return self.insert(Character(Unicode.Scalar(byte)))
        default: break
        }
        return nil
    }

    /// UTF-8: gathers the bytes of one scalar; a wrong byte drops what was gathered.
    private mutating func multibyte(_ byte: UInt8) -> Effect? {
        self.partial.append(byte)
        let needed =
            switch self.partial[0] {
            case 0xC2...0xDF: 2
            case 0xE0...0xEF: 3
            case 0xF0...0xF4: 4
            default: 1
            }
        if self.partial.count < needed, self.partial.count == 1 || byte & 0xC0 == 0x80 { return nil }
        let bytes = self.partial
        self.partial = []
        guard let text = String(validating: bytes, as: UTF8.self), let scalar = text.unicodeScalars.first else {
            return nil
        }
        // A combining scalar joins the character before it.
        if self.cursor > 0, let joined = Self.join(self.characters[self.cursor - 1], scalar) {
            self.characters[self.cursor - 1] = joined
            return .redraw
        }
        return self.insert(Character(scalar))
    }

    private static func join(_ character: Character, _ scalar: Unicode.Scalar) -> Character? {
        var text = String(character)
        text.unicodeScalars.append(scalar)
        return text.count == 1 ? text.first : nil
    }

    /// `ESC [ … final` and `ESC O final`; anything else after ESC is dropped.
    private mutating func escape(_ byte: UInt8) -> Effect? {
        self.partial.append(byte)
        if self.partial.count == 2 {
            if byte != UInt8(ascii: "["), byte != UInt8(ascii: "O") { self.partial = [] }
            return nil
        }
        guard (0x40...0x7E).contains(byte) || self.partial.count > 16 else { return nil }
        let sequence = self.partial.dropFirst(2)
        self.partial = []
        switch String(decoding: sequence, as: UTF8.self) {
        case "A": return self.recall(-1)
        case "B": return self.recall(1)
        case "C": return self.move(to: self.cursor + 1)
        case "D": return self.move(to: self.cursor - 1)
        case "H", "1~", "7~": return self.move(to: 0)
        case "F", "4~", "8~": return self.move(to: self.characters.count)
        case "3~": return self.deleteForwards()
        default: return nil
        }
    }

    private mutating func finish() -> Effect {
        let line = self.text
        if !line.isEmpty, self.history.last != line {
            self.history.append(line)
            if self.history.count > Self.maximumHistory { self.history.removeFirst() }
        }
        self.historyPosition = self.history.count
        self.draft = ""
        self.characters = []
        self.cursor = 0
        return .line(line)
    }

    private mutating func insert(_ character: Character) -> Effect? {
        guard self.characters.count < Self.maximumCharacters else { return nil }
        self.characters.insert(character, at: self.cursor)
        self.cursor += 1
        return .redraw
    }

    private mutating func move(to position: Int) -> Effect? {
        self.cursor = min(max(0, position), self.characters.count)
        return .redraw
    }

    private mutating func deleteBackwards() -> Effect? {
        self.cursor > 0 ? self.remove(self.cursor - 1..<self.cursor) : nil
    }

    private mutating func deleteForwards() -> Effect? {
        self.cursor < self.characters.count ? self.remove(self.cursor..<self.cursor + 1) : nil
    }

    private mutating func remove(_ range: Range<Int>) -> Effect? {
        self.characters.removeSubrange(range)
        self.cursor = range.lowerBound
        return .redraw
    }

    private func wordStart() -> Int {
        var position = self.cursor
        while position > 0, self.characters[position - 1] == " " { position -= 1 }
        while position > 0, self.characters[position - 1] != " " { position -= 1 }
        return position
    }

    private mutating func recall(_ step: Int) -> Effect? {
        let position = self.historyPosition + step
        guard position >= 0, position <= self.history.count else { return nil }
        if self.historyPosition == self.history.count { self.draft = self.text }
        self.historyPosition = position
        self.characters = Array(position == self.history.count ? self.draft : self.history[position])
        self.cursor = self.characters.count
        return .redraw
    }
}

extension LineEditor {
    /// The prompt and the part of the line that fits beside it, with the cursor where it belongs. One row always, so
    /// that it can be taken away when a message arrives.
    func rendered(prompt: String, columns: Int) -> String {
        let room = max(8, columns - prompt.count - 1)
        // From the cursor outwards, so that a long line costs no more than what fits.
        var start = self.cursor
        var end = self.cursor
        var used = 0
        while start > 0, used + TerminalText.columns(self.characters[start - 1]) < room {
            start -= 1
            used += TerminalText.columns(self.characters[start])
        }
        while end < self.characters.count, used + TerminalText.columns(self.characters[end]) <= room {
            used += TerminalText.columns(self.characters[end])
            end += 1
        }
        let shown = self.characters[start..<end].map { TerminalText.escaped(String($0)) }.joined()
        let behind = Self.width(self.characters[self.cursor..<end])
        return "\r\u{1B}[K" + prompt + shown + (behind > 0 ? "\u{1B}[\(behind)D" : "")
    }

    private static func width(_ characters: ArraySlice<Character>) -> Int {
        characters.reduce(0) { $0 + TerminalText.columns($1) }
    }
}
