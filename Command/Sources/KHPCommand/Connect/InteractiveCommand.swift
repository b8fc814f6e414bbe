/// A line that a person types at the prompt of `khp connect`.
enum InteractiveCommand: Equatable {
    case send(String)
    /// A slash word that is none of ours: the application may know it.
    case sendUnknown(String)
    /// With this in it; empty: something of khp's own.
    case ping(String)
    case close(code: UInt16, reason: String)
    case help
    /// Something that cannot be done, with what to type instead.
    case mistake(String)

    static let summary = """
        a line             is sent as a text message
        //line             is sent with one slash less
        /ping [text]       sends a ping and shows how long its pong took
        /close [code [reason]]   closes, with 1000 unless told otherwise
        /help              shows this
        /other             is sent as it is
        Ctrl-D             closes with 1000; with --listen ends the typing alone
        """

    /// Said once, behind the first line of the kind.
    static let unknownHint = "that went out as it is; /help lists what khp itself understands"

    init(_ line: String) {
        guard line.hasPrefix("/") else {
            self = .send(line)
            return
        }
        if line.hasPrefix("//") {
            self = .send(String(line.dropFirst()))
            return
        }
        let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: true)
        switch words.first {
        case "/ping": self = Self.ping(line.dropFirst("/ping".count).trimmingSpaces())
        case "/help": self = .help
        case "/close": self = Self.close(words.dropFirst())
        default: self = .sendUnknown(line)
        }
    }

    private static func ping(_ text: Substring) -> InteractiveCommand {
        // RFC 6455 section 5.5: what a control frame holds.
        text.utf8.count <= 125 ? .ping(String(text)) : .mistake("a ping holds at most 125 bytes")
    }

    private static func close(_ words: ArraySlice<Substring>) -> InteractiveCommand {
        guard let word = words.first else { return .close(code: 1000, reason: "") }
        // RFC 6455 section 7.4: what an application may send.
        guard let code = UInt16(word),
            [1000, 1001, 1003].contains(code) || (1007...1014).contains(code) || (3000...4999).contains(code)
        else {
            return .mistake("a close code is 1000, 1001, 1003, 1007 to 1014 or 3000 to 4999")
        }
        let reason = words.dropFirst().first.map { String($0) } ?? ""
        guard reason.utf8.count <= 123 else { return .mistake("a reason has at most 123 bytes") }
        return .close(code: code, reason: reason)
    }
}
