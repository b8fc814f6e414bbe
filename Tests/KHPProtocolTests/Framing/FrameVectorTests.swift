import KHPProtocol
import NIOCore
import Testing

/// RFC 6455 5.2, 5.4, 5.5, 5.7, 8.1 and threats B1 to B6, B10 and B11, from `Specs/vectors/frames.json`.
@Suite("Frame vectors")
struct FrameVectorTests {
    @Test func theFileIsThere() {
        #expect(FrameVector.all.count > 200)
    }

    @Test(arguments: FrameVector.all)
    func whole(_ vector: FrameVector) {
        let result = FrameSupport.read(vector.bytes, with: vector.makeReader(.whole))
        for case .chunk(_, _, _, _, let reserved) in result.events {
            #expect(reserved != 0, "only what an extension transforms comes in parts")
        }
        #expect(FrameSupport.joined(result) == vector.expected)
    }

    @Test(arguments: FrameVector.all)
    func everyCutGivesTheSame(_ vector: FrameVector) {
        let bytes = vector.bytes
        let single = bytes.indices.map { bytes[$0...$0] }
        for mode in [MessageReader.Mode.whole, .streaming] {
            let reader = vector.makeReader(mode)
            let one = FrameSupport.read(single, with: reader)
            #expect(FrameSupport.joined(one) == vector.expected, "byte by byte, \(mode)")
            for cut in bytes.indices.dropFirst() {
                let two = FrameSupport.read([bytes[..<cut], bytes[cut...]], with: reader)
                #expect(FrameSupport.joined(two) == vector.expected, "cut at \(cut), \(mode)")
            }
        }
    }

    @Test(arguments: FrameVector.all.filter { $0.violation != nil })
    func aViolationIsThrownOnceAndTheRestIgnored(_ vector: FrameVector) {
        var reader = vector.makeReader(.whole)
        var input = ByteBuffer(bytes: vector.bytes)
        #expect(throws: FrameViolation.self) {
            while try reader.next(&input) != nil {}
        }
        #expect(reader.isFinished)
        input.writeBytes(vector.bytes)
        #expect((try? reader.next(&input)) == .some(nil))
        #expect(input.readableBytes == 0)
    }

    @Test("a length of 2⁶³ or more fails at its first byte (threat B1)", arguments: [Role.server, .client])
    func failsEarly(_ role: Role) {
        var reader = MessageReader(role: role, mode: .whole)
        var input = ByteBuffer(bytes: [0x82, role == .server ? 0xFF : 0x7F])
        #expect((try? reader.next(&input)) == .some(nil))
        input.writeInteger(0x80 as UInt8)
        #expect(throws: FrameViolation.self) {
            while try reader.next(&input) != nil {}
        }
    }

    /// The writer gives back the frames of RFC 6455 section 5.7 byte for byte.
    @Test func writingTheExamplesOfSection57() {
        let hello = ByteBuffer(string: "Hello")
        let server = FrameWriter(role: .server)
        let client = FrameWriter(role: .client)
        let mask: UInt32 = 0x37FA_213D
        func hex(_ body: (inout ByteBuffer) -> Void) -> [UInt8] {
            var output = ByteBuffer()
            body(&output)
            return Array(output.readableBytesView)
        }
        #expect(hex { server.write("Hello", into: &$0) } == FrameSupport.bytes(hex: "810548656c6c6f"))
        #expect(
            hex { client.write("Hello", mask: mask, into: &$0) } == FrameSupport.bytes(hex: "818537fa213d7f9f4d5158")
        )
        #expect(hex { server.writePing(hello, into: &$0) } == FrameSupport.bytes(hex: "890548656c6c6f"))
        #expect(
            hex { client.writePong(hello, mask: mask, into: &$0) } == FrameSupport.bytes(hex: "8a8537fa213d7f9f4d5158")
        )
        let fragments = hex {
            server.write("Hel", fin: false, into: &$0)
            server.write(.continuation, payload: ByteBuffer(string: "lo"), into: &$0)
        }
        #expect(fragments == FrameSupport.bytes(hex: "010348656c80026c6f"))
        #expect(
            hex { server.write(.binary, payload: ByteBuffer(repeating: 0, count: 256), into: &$0) }.prefix(4)
                == [0x82, 0x7E, 0x01, 0x00]
        )
        #expect(
            hex { server.write(.binary, payload: ByteBuffer(repeating: 0, count: 65536), into: &$0) }.prefix(10)
                == [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]
        )
    }
}
