// The payload of a close frame by itself: what may be said is written and read, and nothing else.

import KHPProtocol
import NIOCore
import Testing

/// RFC 6455 sections 5.5.1 and 7.4; threats B10 and B11.
@Suite("Payloads of close frames")
struct ClosePayloadTests {
    private static func written(_ code: UInt16?, _ reason: String = "") -> [UInt8] {
        var output = ByteBuffer()
        ClosePayload(code: code.map { WebSocketCloseCode(rawValue: $0) }, reason: reason).write(into: &output)
        return Array(output.readableBytesView)
    }

    private static func read(_ bytes: [UInt8]) -> Result<ClosePayload, FrameViolation> {
        Result { () throws(FrameViolation) in try ClosePayload.read(ByteBuffer(bytes: bytes)) }
    }

    private static func bytes(_ code: UInt16) -> [UInt8] { [UInt8(code >> 8), UInt8(code & 0xFF)] }

    /// The codes on both sides of each bound.
    @Test(
        arguments: [
            (999, false), (1000, true), (1003, true), (1004, false), (1005, false), (1006, false), (1007, true),
            (1014, true), (1015, false), (1016, false), (2999, false), (3000, true), (4999, true), (5000, false),
        ] as [(UInt16, Bool)]
    )
    func codes(_ code: UInt16, _ isSent: Bool) throws {
        #expect(Self.written(code, "r") == (isSent ? Self.bytes(code) + [0x72] : []))
        let result = Self.read(Self.bytes(code) + [0x72])
        if isSent {
            #expect(try result.get() == ClosePayload(code: WebSocketCloseCode(rawValue: code), reason: "r"))
        } else {
            let error = #expect(throws: FrameViolation.self) { try result.get() }
            #expect(error?.closeCode == .protocolError)
        }
    }

    @Test func emptyOrHalf() throws {
        #expect(Self.written(nil, "a reason needs a code") == [])
        #expect(try Self.read([]).get() == ClosePayload(code: nil))
        #expect(throws: FrameViolation.self) { try Self.read([0x03]).get() }
    }

    @Test(arguments: [[0xFF], [0x61, 0x80], [0xC3], [0x61, 0xF0, 0x9F]] as [[UInt8]])
    func reasonsAreText(_ reason: [UInt8]) {
        let error = #expect(throws: FrameViolation.self) { try Self.read([0x03, 0xE8] + reason).get() }
        #expect(error?.closeCode == .invalidPayload)
    }

    @Test func longReasons() {
        let longest = String(repeating: "r", count: 123)
        #expect(Self.written(1000, longest) == Self.bytes(1000) + Array(longest.utf8))
        #expect(Self.written(1000, longest + "s") == Self.bytes(1000) + Array(longest.utf8))
        // The last character does not fit as a whole.
        #expect(Self.written(1000, longest.dropLast() + "é") == Self.bytes(1000) + Array(longest.utf8.dropLast()))
    }
}
