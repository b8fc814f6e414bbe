import KHPProtocol
import NIOCore
import Testing

@Suite("Message reader")
struct MessageReaderTests {
    private let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]

    private func limits(messageBytes: Int = 1024 * 1024, fragments: Int = 1024) -> MessageLimits {
        var limits = MessageLimits()
        limits.messageBytes = messageBytes
        limits.fragments = fragments
        return limits
    }

    // MARK: Payloads that were handed out stay as they are

    /// Payloads of every size class, kept while the reader goes on for several blocks, are unchanged at the end; and
    /// writing to one changes no other.
    @Test(arguments: [Role.client, .server])
    func messagesOutliveTheReader(_ role: Role) throws {
        var reader = MessageReader(role: role)
        let writer = FrameWriter(role: role == .server ? .client : .server)
        var random = SeededGenerator(seed: 7)
        var sent: [ByteBuffer] = []
        var kept: [ByteBuffer] = []
        var input = ByteBuffer()
        for round in 0..<200 {
            let burst = Int.random(in: 1...12, using: &random)
            for _ in 0..<burst {
                let size = [0, 1, 7, 32, 125, 126, 511, 512, 513, 2047, 5000].randomElement(using: &random) ?? 0
                let payload = ByteBuffer(bytes: (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) })
                sent.append(payload)
                writer.write(
                    .binary,
                    payload: payload,
                    mask: UInt32.random(in: 0 ... .max, using: &random),
                    into: &input
                )
            }
            while let event = try reader.next(&input) {
                guard case .message(_, let payload, _) = event else { continue }
                kept.append(payload)
            }
            if round % 3 == 0 { input.discardReadBytes() }
        }
        #expect(kept == sent)
        for index in stride(from: 0, to: kept.count, by: 2) {
            kept[index].setRepeatingByte(0xEE, count: kept[index].readableBytes, at: kept[index].readerIndex)
            kept[index].writeString("more")
        }
        for index in stride(from: 1, to: kept.count, by: 2) { #expect(kept[index] == sent[index]) }
    }

    /// Copies of a reader share a block but never each other's bytes.
    @Test func copiesOfAReaderDoNotDisturbEachOther() throws {
        var first = MessageReader(role: .server)
        var input = ByteBuffer(bytes: FrameSupport.frame(0x82, Array("first".utf8), key: self.key))
        let before = try first.next(&input)
        var second = first
        input = ByteBuffer(bytes: FrameSupport.frame(0x82, Array("second".utf8), key: self.key))
        let one = try first.next(&input)
        input = ByteBuffer(bytes: FrameSupport.frame(0x82, Array("third!".utf8), key: self.key))
        let two = try second.next(&input)
        #expect(before == .message(kind: .binary, payload: ByteBuffer(string: "first"), rsv: 0))
        #expect(one == .message(kind: .binary, payload: ByteBuffer(string: "second"), rsv: 0))
        #expect(two == .message(kind: .binary, payload: ByteBuffer(string: "third!"), rsv: 0))
    }

    /// The input is never written to: a copy of it that someone else holds stays masked.
    @Test func theInputIsNotUnmaskedInPlace() throws {
        let bytes = FrameSupport.frame(0x81, Array("Hello".utf8), key: self.key)
        var input = ByteBuffer(bytes: bytes)
        let copy = input
        var reader = MessageReader(role: .server)
        _ = try reader.next(&input)
        #expect(copy == ByteBuffer(bytes: bytes))
    }

    // MARK: Bounds (CAP)

    /// Threat B2: a declared 1 TiB under a limit that allows it, and ten bytes of it: nothing is reserved for the rest.
    @Test(arguments: [MessageReader.Mode.whole, .streaming])
    func declaredLengthReservesNothing(_ mode: MessageReader.Mode) throws {
        let frame = FrameSupport.frame(0x82, Array("0123456789".utf8), declared: 1 << 40, key: self.key)
        var reader = MessageReader(role: .server, limits: self.limits(messageBytes: .max), mode: mode)
        var input = ByteBuffer(bytes: frame)
        if mode == .whole {
            // A message larger than one buffer can hold is refused at any limit.
            #expect(throws: FrameViolation.self) { try reader.next(&input) }
        } else {
            while try reader.next(&input) != nil {}
        }
        #expect(reader.retainedBytes <= 8192)

        var allowed = MessageReader(role: .server, limits: self.limits(messageBytes: .max), mode: mode)
        input = ByteBuffer(bytes: FrameSupport.frame(0x82, Array("0123456789".utf8), declared: 1 << 30, key: self.key))
        while try allowed.next(&input) != nil {}
        #expect(allowed.retainedBytes <= 8192)
    }

    /// Threat B2: the memory of a message that trickles in is at most twice its bytes, and a constant.
    @Test func growthFollowsWhatArrived() throws {
        var reader = MessageReader(role: .server)
        var input = ByteBuffer(bytes: FrameSupport.frame(0x82, declared: 1 << 20, key: self.key))
        #expect(try reader.next(&input) == nil)
        var received = 0
        for size in [1, 10, 100, 1000, 3000, 10_000, 50_000, 100_000, 500_000] {
            input = ByteBuffer(repeating: 0x55, count: size)
            #expect(try reader.next(&input) == nil)
            received += size
            #expect(input.readableBytes == 0)
            #expect(reader.retainedBytes <= 2 * received + 4096)
        }
    }

    /// Threat B7: a million empty fragments meet the limit early, and cost nothing before.
    @Test func emptyFragmentsAreCounted() {
        var reader = MessageReader(role: .server)
        let empty = FrameSupport.frame(0x00, key: self.key)
        var input = ByteBuffer(bytes: FrameSupport.frame(0x01, key: self.key))
        var sent = 1
        var violation: FrameViolation?
        while sent < 1_000_000 && violation == nil {
            do {
                _ = try reader.next(&input)
                #expect(reader.retainedBytes <= 4096)
            } catch { violation = error }
            input.writeBytes(empty)
            sent += 1
        }
        #expect(violation?.closeCode == .policyViolation)
        #expect(sent == 1026)
    }

    /// Threat B7: exactly as many fragments as allowed are taken, in one buffer no larger than twice the message.
    @Test func asManyFragmentsAsAllowed() throws {
        var reader = MessageReader(role: .client, limits: self.limits(fragments: 1000))
        var input = ByteBuffer()
        for index in 0..<1000 {
            input.writeBytes(FrameSupport.frame(index == 0 ? 0x02 : index == 999 ? 0x80 : 0x00, [UInt8(index & 0xFF)]))
        }
        let event = try reader.next(&input)
        guard case .message(_, let payload, _) = event else {
            Issue.record("no message: \(String(describing: event))")
            return
        }
        #expect(payload.readableBytes == 1000)
        #expect(payload.storageCapacity <= 2048)
    }

    @Test(arguments: [MessageReader.Mode.whole, .streaming], [0, 1, 125, 126, 65_535, 65_536, 100_000])
    func theMessageLimitIsExact(_ mode: MessageReader.Mode, _ limit: Int) {
        for (extra, fits) in [(0, true), (1, false)] {
            let payload = [UInt8](repeating: 0x61, count: limit + extra)
            let reader = MessageReader(role: .server, limits: self.limits(messageBytes: limit), mode: mode)
            let result = FrameSupport.joined(
                FrameSupport.read(FrameSupport.frame(0x81, payload, key: self.key), with: reader)
            )
            #expect(result.violation == (fits ? nil : .messageTooBig))
            let message = InboundFrameEvent.message(kind: .text, payload: ByteBuffer(bytes: payload), rsv: 0)
            #expect(result.events == (fits ? [message] : []))
        }
    }

    // MARK: Streaming

    /// Parts come as they arrive, the first and the last one marked, and an empty last fragment ends the message.
    @Test func chunks() throws {
        var reader = MessageReader(role: .client, mode: .streaming)
        var input = ByteBuffer(bytes: FrameSupport.frame(0x02, Array("abcdef".utf8)).dropLast(2))
        func chunk(_ text: String, first: Bool, last: Bool) -> InboundFrameEvent {
            .chunk(kind: .binary, payload: ByteBuffer(string: text), isFirst: first, isLast: last, rsv: 0)
        }
        #expect(try reader.next(&input) == chunk("abcd", first: true, last: false))
        #expect(try reader.next(&input) == nil)
        input.writeString("ef")
        #expect(try reader.next(&input) == chunk("ef", first: false, last: false))
        input.writeBytes(FrameSupport.frame(0x00) + FrameSupport.frame(0x80) + FrameSupport.frame(0x82, [0x67]))
        #expect(try reader.next(&input) == chunk("", first: false, last: true))
        #expect(try reader.next(&input) == chunk("g", first: true, last: true))
        #expect(try reader.next(&input) == nil)
        #expect(reader.retainedBytes == 0)
    }

    // MARK: Progress (threat B17)

    /// No more than an incomplete header or control frame is left in the input.
    @Test func littleIsLeftInTheInput() throws {
        for bytes in [
            FrameSupport.frame(0x89, [UInt8](repeating: 1, count: 125), key: self.key).dropLast(),
            FrameSupport.frame(0x82, declared: 70_000, key: self.key).dropLast(),
            (FrameSupport.frame(0x82, declared: 70_000, key: self.key) + [UInt8](repeating: 0, count: 9000))[...],
        ] {
            var reader = MessageReader(role: .server)
            var input = ByteBuffer(bytes: bytes)
            #expect(try reader.next(&input) == nil)
            #expect(input.readableBytes <= 131)
        }
    }
}
