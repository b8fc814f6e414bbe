// Bytes come in pieces that know nothing of characters; a text message holds whole ones (RFC 6455 section 5.6).

import NIOCore

/// Cuts a stream of UTF-8 where characters end: a torn one waits for its other bytes, three at most.
struct CharacterBoundary: Sendable {
    /// The bytes are no UTF-8.
    struct NoText: Error {}

    private var torn: [UInt8] = []

    /// The text of the bytes up to the last whole character; empty where there is none yet.
    mutating func text(_ bytes: ByteBuffer) throws(NoText) -> String {
        let all = self.torn + bytes.readableBytesView
        let whole = all.count - Self.tornCount(all)
        guard let text = String(validating: all[..<whole], as: UTF8.self) else { throw NoText() }
        self.torn = Array(all[whole...])
        return text
    }

    /// To be called at the end of the stream.
    func end() throws(NoText) {
        if !self.torn.isEmpty { throw NoText() }
    }

    /// How many bytes at the end begin a character without ending it.
    private static func tornCount(_ bytes: [UInt8]) -> Int {
        for back in 1...3 where back <= bytes.count {
            let byte = bytes[bytes.count - back]
            if byte & 0xC0 == 0x80 { continue }
            return Self.length(after: byte) > back ? back : 0
        }
        return 0
    }

    /// The length of the character that a byte begins; 1 where it begins none of several bytes (RFC 3629 section 4).
    private static func length(after lead: UInt8) -> Int {
        switch lead {
        case 0xC2...0xDF: 2
        case 0xE0...0xEF: 3
        case 0xF0...0xF4: 4
        default: 1
        }
    }
}
