// One step of a frame transform at a time: what goes on, what waits, and what would never end.

import NIOCore
import Testing

@testable import KHPProtocol

@Suite("Steps of frame transforms")
struct FramePipelineTests {
    /// A step of a transform: the bytes that it takes and makes.
    struct Step: Sendable {
        var taken: Int
        var made: Int
        var isDone: Bool

        init(_ taken: Int, _ made: Int, isDone: Bool) {
            (self.taken, self.made, self.isDone) = (taken, made, isDone)
        }
    }

    /// Does as it is told.
    private struct Scripted: FrameTransform {
        var steps: [Step]

        mutating func inbound(_ piece: inout MessagePiece, into output: inout ByteBuffer, room: Int) throws -> Bool {
            guard !self.steps.isEmpty else { throw WebSocketError(.extensionFailed, "no step is left") }
            let step = self.steps.removeFirst()
            piece.bytes.moveReaderIndex(forwardBy: step.taken)
            output.writeRepeatingByte(0x61, count: step.made)
            return step.isDone
        }

        mutating func outbound(_ piece: inout MessagePiece, into output: inout ByteBuffer) {}
    }

    /// The deliveries of pieces of four bytes, as `size first last`, and `nothing` where more input is needed.
    private func deliveries(_ steps: [Step], pieces: Int = 1) throws -> [String] {
        var pipeline = FramePipeline(count: 1)
        var transforms: [any FrameTransform] = [Scripted(steps: steps)]
        var words: [String] = []
        for index in 0..<pieces {
            pipeline.push(
                MessagePiece(
                    .binary,
                    ByteBuffer(repeating: 0, count: 4),
                    reservedBits: .rsv1,
                    isFirst: index == 0,
                    isLast: index == pieces - 1
                )
            )
            while pipeline.isPending {
                var output = ByteBuffer()
                guard let delivery = try pipeline.pull(&transforms, [.rsv1], into: &output, room: 100) else {
                    words.append("nothing")
                    break
                }
                let marks = (delivery.isFirst ? " first" : "") + (delivery.isLast ? " last" : "")
                words.append("\(output.readableBytes)\(marks)")
            }
        }
        return words
    }

    @Test("a piece that gives nothing is not delivered, unless it ends its message")
    func empty() throws {
        #expect(try self.deliveries([Step(4, 0, isDone: true)]) == ["0 first last"])
        #expect(
            try self.deliveries([Step(4, 0, isDone: true), Step(4, 2, isDone: true)], pieces: 2)
                == ["nothing", "2 first last"]
        )
        #expect(
            try self.deliveries([Step(4, 1, isDone: true), Step(4, 0, isDone: true)], pieces: 2)
                == ["1 first", "0 last"]
        )
    }

    @Test("a step goes on where it takes or makes something")
    func progress() throws {
        #expect(try self.deliveries([Step(1, 0, isDone: false), Step(3, 2, isDone: true)]) == ["2 first last"])
        #expect(
            try self.deliveries([Step(0, 1, isDone: false), Step(4, 2, isDone: true)]) == ["1 first", "2 last"]
        )
    }

    @Test("threat B17: a step that neither takes nor makes anything is an error, and not tried again for ever")
    func standstill() {
        let error = #expect(throws: WebSocketError.self) { try self.deliveries([Step(0, 0, isDone: false)]) }
        #expect(error?.code == .protocolViolation)
    }
}
