import KHPProtocol
import NIOCore
import Testing

/// RFC 6455 5.5.1, 7.4; threat B11.
@Suite("Close frames")
struct CloseFrameTests {
    private func mayBeSent(_ code: UInt16) -> Bool {
        switch code {
        case 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014: true
        case 3000...3999, 4000...4999: true
        default: false
        }
    }

    /// Every code, received and sent: a reserved one is 1002 when received, and an empty frame when sent.
    @Test func theWholeTable() {
        var wrong: [UInt16] = []
        for code in 0...UInt16.max {
            let bytes: [UInt8] = [0x88, 2, UInt8(code >> 8), UInt8(code & 0xFF)]
            let result = FrameSupport.read(bytes, with: MessageReader(role: .client))
            let closeCode = WebSocketCloseCode(rawValue: code)
            let expected =
                self.mayBeSent(code)
                ? ReaderResult(events: [.close(code: closeCode, reason: "")])
                : ReaderResult(violation: .protocolError)
            var written = ByteBuffer()
            FrameWriter(role: .server).writeClose(code: closeCode, into: &written)
            let isWritten = written == ByteBuffer(bytes: self.mayBeSent(code) ? bytes : [0x88, 0])
            if result != expected || !isWritten { wrong.append(code) }
        }
        #expect(wrong.isEmpty, "\(wrong.prefix(9))")
    }

    @Test(
        "a reason that is no UTF-8 is 1007, at whichever byte that shows (threat B10)",
        arguments: [[0xFF], [0x61, 0x80], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xC3], [0x61, 0xF0, 0x9F]] as [[UInt8]]
    )
    func reasonsAreText(_ reason: [UInt8]) {
        let bytes = [0x88, UInt8(2 + reason.count), 0x03, 0xE8] + reason
        let result = FrameSupport.read(bytes, with: MessageReader(role: .client))
        #expect(result == ReaderResult(violation: .invalidPayload))
    }

    /// A reason of any length and any characters gives a frame that a strict peer takes.
    @Test(arguments: [
        "", "bye", String(repeating: "a", count: 200), String(repeating: "é", count: 62),
        String(repeating: "日", count: 42), "a" + String(repeating: "😀", count: 40),
    ])
    func reasonsAreCutBetweenCharacters(_ reason: String) throws {
        var output = ByteBuffer()
        FrameWriter(role: .client).writeClose(code: .goingAway, reason: reason, mask: 0x0102_0304, into: &output)
        var reader = MessageReader(role: .server)
        guard case .close(.goingAway, let received) = try reader.next(&output) else {
            Issue.record("no close frame")
            return
        }
        #expect(reason.hasPrefix(received))
        #expect(received.utf8.count <= 123)
        #expect(received == reason || received.utf8.count > 119)
    }
}
