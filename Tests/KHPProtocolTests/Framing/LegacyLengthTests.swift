// D7: Kaazing's Java client writes a payload of 65,535 bytes with a 64-bit length. No other client may, and no other
// length.

import KHPProtocol
import NIOCore
import Testing

@Suite struct LegacyLengthTests {
    private func read(_ role: Role, length: Int, tolerant: Bool) throws -> Int? {
        var reader = MessageReader(role: role)
        reader.toleratesLongLength = tolerant
        var input = ByteBuffer(bytes: [0x82, role == .server ? 0xFF : 0x7F])
        input.writeInteger(UInt64(length))
        if role == .server { input.writeInteger(UInt32(0)) }
        input.writeRepeatingByte(0x61, count: length)
        guard case .message(_, let payload, _) = try reader.next(&input) else { return nil }
        return payload.readableBytes
    }

    @Test(arguments: [0, 125, 126, 65_534, 65_535, 65_536], [false, true])
    func onlyThisLength(_ length: Int, tolerant: Bool) throws {
        for role in [Role.server, .client] {
            if length == 65_536 || length == 65_535 && tolerant {
                #expect(try self.read(role, length: length, tolerant: tolerant) == length)
            } else {
                #expect(throws: FrameViolation.self) { try self.read(role, length: length, tolerant: tolerant) }
            }
        }
    }
}
