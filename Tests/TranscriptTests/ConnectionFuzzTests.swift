// Random and mutated bytes for whole connections, in both roles and at each stage that some transcript leads to. Each
// round ends with everything taken, or with a documented error and close code; nothing traps, nothing hangs past its
// deadlines, nothing grows. The seed is fixed: a failure names its round and can be repeated.

import Foundation
import KHPProtocol
import KHPTesting
import NIOCore
import Testing

@Suite struct ConnectionFuzzTests {
    /// SplitMix64.
    struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            self.state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = self.state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }

        /// Eight bytes of each number: in a debug build one at a time takes longer than all that is done with them.
        mutating func bytes(_ count: Int) -> [UInt8] {
            var bytes: [UInt8] = []
            while bytes.count < count { withUnsafeBytes(of: self.next()) { bytes.append(contentsOf: $0) } }
            return Array(bytes.prefix(count))
        }

        /// Letters for the most part, and a byte that is no UTF-8 now and then.
        mutating func text(_ count: Int) -> [UInt8] {
            self.bytes(count).map { 0x20 + $0 % 0x61 }
        }
    }

    /// A stage of a conversation.
    struct Stage {
        var name: String
        var role: Role
        var dialect: Dialect
        var read: Int
        var play: ImprovisedPlay

        /// `true` when the keys are answered behind this read, and not behind the first.
        var isAnsweredEarly: Bool { self.name == "hixie-76-early-answer.khp" && self.read == 1 }
        /// `true` when an open connection is pinged: in the old dialects one may be silent for ever.
        var hasPings: Bool { self.dialect == .rfc6455 }
    }

    static func stages(_ role: Role) throws -> [Stage] {
        var stages: [Stage] = []
        for (name, transcript) in Performance.transcripts.sorted(by: { $0.key < $1.key })
        where transcript.roles.contains(role) {
            var read = 0
            while let play = try ImprovisedPlay(transcript, role: role, read: read), read < 6 {
                stages.append(Stage(name: name, role: role, dialect: transcript.dialect, read: read, play: play))
                read += 1
            }
        }
        return stages
    }

    /// The codes that the doing of a peer can lead to.
    static let documented: [Role: Set<WebSocketError.Code>] = [
        .client: [
            .timeout, .openingRefused, .openingInvalid, .extendedRequired, .extendedRefused, .extendedInvalid,
            .closedDuringHandshake, .redirectRefused, .redirectMethod, .authenticationFailed,
            .proxyAuthenticationRequired, .protocolViolation, .messageTooBig, .limitExceeded, .closed,
        ],
        .server: [
            .timeout, .extendedInvalid, .closedDuringHandshake, .protocolViolation, .messageTooBig, .limitExceeded,
            .closed,
        ],
    ]

    /// The bytes of one round.
    static func bytes(_ stage: Stage, _ generator: inout Generator) -> [UInt8] {
        let scripted = stage.play.scripted
        var bytes = scripted.prefix(Int.random(in: 1...3, using: &generator)).flatMap { Array($0.readableBytesView) }
        switch Int.random(in: 0..<8, using: &generator) {
        case 0:
            return generator.bytes(Int.random(in: 0...400, using: &generator))
        case 1:
            // Random frames: a sensible header, then anything.
            return (0..<20).flatMap { _ in Self.frame(stage.role, &generator) }
        case 2:
            bytes.insert(
                contentsOf: Self.frame(stage.role, &generator),
                at: Int.random(in: 0...bytes.count, using: &generator)
            )
        case 3:
            bytes.removeLast(Int.random(in: 0...bytes.count, using: &generator))
        default:
            Self.spoil(&bytes, &generator)
        }
        return bytes
    }

    /// One to four things go wrong.
    static func spoil(_ bytes: inout [UInt8], _ generator: inout Generator) {
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 2: bytes.remove(at: index)
            case 3: bytes.insert(bytes[index], at: index)
            default:
                let end = min(bytes.count, index + Int.random(in: 1...40, using: &generator))
                bytes.append(contentsOf: Array(bytes[index..<end]))
            }
        }
    }

    static func frame(_ role: Role, _ generator: inout Generator) -> [UInt8] {
        let opcode = [0, 1, 2, 8, 9, 10, 3].randomElement(using: &generator) ?? 1
        let first = UInt8(opcode) | (Int.random(in: 0..<4, using: &generator) == 0 ? 0 : 0x80)
        let count = Int.random(in: 0...130, using: &generator)
        let masked: UInt8 = (role == .server) != (Int.random(in: 0..<12, using: &generator) == 0) ? 0x80 : 0
        var bytes: [UInt8] = count < 126 ? [first, masked | UInt8(count)] : [first, masked | 126, 0, UInt8(count)]
        if masked != 0 { bytes += [0, 0, 0, 0] }
        if opcode == 8, count >= 2 {
            bytes += [3, 232]
            return bytes + [UInt8](repeating: 0x61, count: count - 2)
        }
        return bytes + generator.text(count)
    }

    /// The fault in a connection's output, or `nil`: heads that can be read, frames of the right kind, close
    /// codes that may be sent.
    static func problem(_ output: ByteBuffer, of stage: Stage) -> String? {
        var output = output
        if stage.role == .server, stage.read == 0, output.readableBytes > 0 {
            var decoder = ResponseHeadDecoder(limits: Limits().openingHead)
            guard let head = try? decoder.decode(&output) else { return "no head: \(String(buffer: output))" }
            guard head.status == 101 else {
                return head.status >= 300 && output.readableBytes < 4096 ? nil : "a refusal with \(head.status)"
            }
        }
        // A 401 to the opening can be answered on the same connection: one more request before any frame.
        while stage.role == .client, output.readableBytesView.starts(with: "GET ".utf8) {
            var decoder = RequestHeadDecoder(limits: Limits().openingHead)
            guard (try? decoder.decode(&output)) != nil else { return "no request: \(String(buffer: output))" }
        }
        // The sixteen bytes behind a 101 can be any.
        if stage.role == .server, stage.dialect.opening == .twoKeys, stage.read == 0 || stage.isAnsweredEarly {
            output.moveReaderIndex(forwardBy: min(16, output.readableBytes))
        }
        var reader = FrameCodec(
            stage.dialect,
            role: stage.role == .client ? .server : .client,
            limits: MessageLimits(),
            agreesOnBinary: true
        )
        do {
            while let event = try reader.next(&output) {
                if case .close(let code, _) = event, let code, !code.isValidOnWire { return "close \(code)" }
            }
        } catch {
            return "a frame that breaks the rules: \(error)"
        }
        return output.readableBytes == 0 || reader.isFinished ? nil : "half a frame"
    }

    @Test("bytes at each stage", arguments: [Role.client, .server])
    func everyStage(_ role: Role) throws {
        let stages = try Self.stages(role)
        #expect(stages.count > 60)
        // For longer runs, and others.
        let environment = ProcessInfo.processInfo.environment
        let rounds = environment["KHP_FUZZ_ROUNDS"].flatMap(Int.init) ?? 4000
        let seed = environment["KHP_FUZZ_SEED"].flatMap(UInt64.init) ?? 1
        var generator = Generator(state: role == .client ? seed : ~seed)
        var (opened, failed) = (0, 0)
        for round in 0..<rounds {
            let stage = stages[round % stages.count]
            var play = stage.play.copy()
            _ = play.takeOutput()
            func fail(_ message: String) {
                Issue.record("round \(round), \(stage.name) \(role) \(stage.read): \(message)")
            }
            var bytes = ByteBuffer(bytes: Self.bytes(stage, &generator))
            while bytes.readableBytes > 0 {
                let count = min(bytes.readableBytes, Int.random(in: 1...300, using: &generator))
                if let piece = bytes.readSlice(length: count) { play.feed(piece) }
                if play.heldBytes > 65_536 { fail("\(play.heldBytes) bytes are held") }
            }
            let mayStay = !stage.hasPings && play.isOpen
            if !play.hasEnded, !play.hasDeadline, !mayStay { fail("nothing bounds it") }
            if Bool.random(using: &generator) { play.endInput() }
            // Whatever state it is in: without another byte it is over in bounded time.
            for _ in 0..<6 where !play.hasEnded { play.advance(by: .seconds(60)) }
            if !play.hasEnded, stage.hasPings || !play.isOpen { fail("it is still there after minutes") }
            if let problem = Self.problem(play.takeOutput(), of: stage) { fail(problem) }
            if let error = play.failure, Self.documented[role]?.contains(error.code) != true { fail("\(error)") }
            if play.isOpen { opened += 1 }
            if play.failure != nil { failed += 1 }
        }
        // Both happen, or the rounds are not what they are meant to be.
        #expect(opened > 100)
        #expect(failed > 500)
    }

    @Test("endless input is not kept", arguments: [Role.client, .server])
    func endless(_ role: Role) throws {
        let mask: [UInt8] = role == .server ? [0x80, 0, 0, 0, 0] : [0]
        let kinds: [[UInt8]] = [
            Array("a".utf8), Array("A: b\r\n".utf8), [0],
            // Empty fragments, fragments of text without an end, pings, pongs, small messages, one huge frame.
            [0x00, mask[0]] + mask.dropFirst(),
            [0x01, mask[0] | 2] + mask.dropFirst() + [0x61, 0x61],
            [0x89, mask[0] | 1] + mask.dropFirst() + [0x61],
            [0x8A, mask[0]] + mask.dropFirst(),
            [0x82, mask[0] | 3] + mask.dropFirst() + [0x47, 0x45, 0x54],
            [0x82, mask[0] | 127, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF] + mask.dropFirst(),
        ]
        let stages = try Self.stages(role).filter {
            ["echo-and-close.khp", "challenge-then-complete.khp"].contains($0.name)
        }
        #expect(stages.count >= 4)
        for stage in stages {
            for kind in kinds {
                var play = stage.play.copy()
                let burst = ByteBuffer(bytes: Array(repeatElement(kind, count: 16_384 / kind.count).joined()))
                var said = 0
                for _ in 0..<32 {
                    play.feed(burst)
                    #expect(play.heldBytes <= 65_536, "\(stage.name) \(stage.read) \(kind)")
                    said += play.takeOutput().readableBytes
                    _ = play.takeReceivedBytes()
                }
                #expect(said <= 131_072, "\(stage.name) \(stage.read) \(kind) was answered with \(said) bytes")
            }
        }
    }
}
