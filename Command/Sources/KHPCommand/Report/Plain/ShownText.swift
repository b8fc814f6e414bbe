import NIOCore

/// Bytes of a peer as they are shown to a person on lines of their own: a refusal's entity, the content of a 201.
struct ShownText: Sendable, Equatable {
    private let text: String?
    private let bytes: [UInt8]
    private let count: Int

    init(_ bytes: ByteBuffer) {
        self.count = bytes.readableBytes
        self.text = String(validating: bytes.readableBytesView, as: UTF8.self)
        self.bytes = self.text == nil ? Array(bytes.readableBytesView.prefix(1024)) : []
    }

    /// Its lines that hold something, without the blanks around them; `nil` where it is no text.
    var wordyLines: [String]? {
        self.text?.split { $0.isNewline }.map { String($0.trimmingSpaces()) }.filter { !$0.isEmpty }
    }

    /// Its lines, without the last line end. On a terminal control characters are escaped; elsewhere text stays as it is.
    func lines(forTerminal isTerminal: Bool) -> [String] {
        guard let text else { return ["(binary, \(self.count) bytes) \(TerminalText.preview(self.bytes, limit: 512))"] }
        var lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }
        while lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { isTerminal ? TerminalText.escaped($0) : String($0) }
    }
}
