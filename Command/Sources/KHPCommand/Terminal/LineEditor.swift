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
    var text: String { String(characters) }

    /// Takes what was read from the terminal.
    mutating func feed(_ bytes: some Sequence<UInt8>) -> [Effect] {
        var effects: [Effect] = []
        for byte in bytes {
            if let effect = feed(byte) {
                if effect == .redraw, effects.last == .redraw { continue }
                effects.append(effect)
            }
        }
        return effects
    }

    private mutating func feed(_ byte: UInt8) -> Effect? {
        if partial.first == 0x1B { return escape(byte) }
        if !partial.isEmpty || byte >= 0x80 { return multibyte(byte) }
        switch byte {
        case 0x0D, 0x0A: return finish()
        case 0x1B: partial = [byte]
        case 0x7F, 0x08: return deleteBackwards()
        case 0x01: return move(to: 0)
        case 0x05: return move(to: characters.count)
        case 0x02: return move(to: cursor - 1)
        case 0x06: return move(to: cursor + 1)
        case 0x04: return characters.isEmpty ? .end : deleteForwards()
        case 0x0B: return remove(cursor..<characters.count)
        case 0x15: return remove(0..<cursor)
        case 0x17: return remove(wordStart()..<cursor)
        case 0x10: return recall(-1)
        case 0x0E: return recall(1)
        case 0x0C: return .redraw
        case 0x09: return insert("\t")
        case 0x20...: return insert(Character(Unicode.Scalar(byte)))
        default: break
        }
        return nil
    }

    /// UTF-8: gathers the bytes of one scalar; a wrong byte drops what was gathered.
    private mutating func multibyte(_ byte: UInt8) -> Effect? {
        partial.append(byte)
        let needed =
            switch partial[0] {
            case 0xC2...0xDF: 2
            case 0xE0...0xEF: 3
            case 0xF0...0xF4: 4
            default: 1
            }
        if partial.count < needed, partial.count == 1 || byte & 0xC0 == 0x80 { return nil }
        let bytes = partial
        partial = []
        guard let text = String(validating: bytes, as: UTF8.self), let scalar = text.unicodeScalars.first else {
            return nil
        }
        // A combining scalar joins the character before it.
        if cursor > 0, let joined = Self.join(characters[cursor - 1], scalar) {
            characters[cursor - 1] = joined
            return .redraw
        }
        return insert(Character(scalar))
    }

    private static func join(_ character: Character, _ scalar: Unicode.Scalar) -> Character? {
        var text = String(character)
        text.unicodeScalars.append(scalar)
        return text.count == 1 ? text.first : nil
    }

    /// `ESC [ … final` and `ESC O final`; anything else after ESC is dropped.
    private mutating func escape(_ byte: UInt8) -> Effect? {
        partial.append(byte)
        if partial.count == 2 {
            if byte != UInt8(ascii: "["), byte != UInt8(ascii: "O") { partial = [] }
            return nil
        }
        guard (0x40...0x7E).contains(byte) || partial.count > 16 else { return nil }
        let sequence = partial.dropFirst(2)
        partial = []
        switch String(decoding: sequence, as: UTF8.self) {
        case "A": return recall(-1)
        case "B": return recall(1)
        case "C": return move(to: cursor + 1)
        case "D": return move(to: cursor - 1)
        case "H", "1~", "7~": return move(to: 0)
        case "F", "4~", "8~": return move(to: characters.count)
        case "3~": return deleteForwards()
        default: return nil
        }
    }

    private mutating func finish() -> Effect {
        let line = text
        if !line.isEmpty, history.last != line {
            history.append(line)
            if history.count > Self.maximumHistory { history.removeFirst() }
        }
        historyPosition = history.count
        draft = ""
        characters = []
        cursor = 0
        return .line(line)
    }

    private mutating func insert(_ character: Character) -> Effect? {
        guard characters.count < Self.maximumCharacters else { return nil }
        characters.insert(character, at: cursor)
        cursor += 1
        return .redraw
    }

    private mutating func move(to position: Int) -> Effect? {
        cursor = min(max(0, position), characters.count)
        return .redraw
    }

    private mutating func deleteBackwards() -> Effect? {
        cursor > 0 ? remove(cursor - 1..<cursor) : nil
    }

    private mutating func deleteForwards() -> Effect? {
        cursor < characters.count ? remove(cursor..<cursor + 1) : nil
    }

    private mutating func remove(_ range: Range<Int>) -> Effect? {
        characters.removeSubrange(range)
        cursor = range.lowerBound
        return .redraw
    }

    private func wordStart() -> Int {
        var position = cursor
        while position > 0, characters[position - 1] == " " { position -= 1 }
        while position > 0, characters[position - 1] != " " { position -= 1 }
        return position
    }

    private mutating func recall(_ step: Int) -> Effect? {
        let position = historyPosition + step
        guard position >= 0, position <= history.count else { return nil }
        if historyPosition == history.count { draft = text }
        historyPosition = position
        characters = Array(position == history.count ? draft : history[position])
        cursor = characters.count
        return .redraw
    }
}

extension LineEditor {
    /// The prompt and the part of the line that fits beside it, with the cursor where it belongs. One row always, so
    /// that it can be taken away when a message arrives.
    func rendered(prompt: String, columns: Int) -> String {
        let room = max(8, columns - prompt.count - 1)
        // From the cursor outwards, so that a long line costs no more than what fits.
        var start = cursor
        var end = cursor
        var used = 0
        while start > 0, used + TerminalText.columns(characters[start - 1]) < room {
            start -= 1
            used += TerminalText.columns(characters[start])
        }
        while end < characters.count, used + TerminalText.columns(characters[end]) <= room {
            used += TerminalText.columns(characters[end])
            end += 1
        }
        let shown = characters[start..<end].map { TerminalText.escaped(String($0)) }.joined()
        let behind = Self.width(characters[cursor..<end])
        return "\r\u{1B}[K" + prompt + shown + (behind > 0 ? "\u{1B}[\(behind)D" : "")
    }

    private static func width(_ characters: ArraySlice<Character>) -> Int {
        characters.reduce(0) { $0 + TerminalText.columns($1) }
    }
}
