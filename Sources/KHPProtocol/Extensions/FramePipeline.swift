// Received messages on their way through the frame transforms. They are pulled out step by step: neither a message nor
// the output of a small input is ever whole in here.

import NIOCore

struct FramePipeline {
    /// The output of the last transform.
    struct Delivery {
        var kind: MessageKind
        var isFirst: Bool
        var isLast: Bool
    }

    private struct Stage {
        /// The piece that waits before this stage.
        var pending: MessagePiece?
        /// `true` once it has handed on a piece of the current message.
        var hasBegun = false
    }

    /// The most bytes that one transform hands to the next at a time. A frame of it fits the caches.
    static let stepBytes = 65_536

    /// The first stage is the application's; pieces come in behind the last.
    private var stages: [Stage]

    init(count: Int) {
        self.stages = Array(repeating: Stage(), count: count)
    }

    /// `true` when there is something to pull.
    var isPending: Bool { self.stages.contains { $0.pending != nil } }

    /// Bytes of the pieces that wait.
    var heldBytes: Int { self.stages.reduce(0) { $0 + ($1.pending?.bytes.readableBytes ?? 0) } }

    /// Takes a piece that has arrived; nothing may be pending.
    mutating func push(_ piece: MessagePiece) {
        guard !self.stages.isEmpty else { return }
        self.stages[self.stages.count - 1].pending = piece
    }

    /// Goes on until there is output or nothing is pending any more.
    ///
    /// - Parameters:
    ///   - transforms: of the application's side first.
    ///   - claims: their reserved bits.
    ///   - output: where to append.
    ///   - room: the most bytes to append.
    /// - Returns: the bytes that were appended; `nil` when more input is needed.
    mutating func pull(
        _ transforms: inout [any FrameTransform],
        _ claims: [ReservedBits],
        into output: inout ByteBuffer,
        room: Int
    ) throws -> Delivery? {
        // The stage nearest to the application goes first: then nothing piles up in between.
        while let index = self.stages.firstIndex(where: { $0.pending != nil }) {
            guard let piece = self.stages[index].pending.take() else { return nil }
            if index == 0 {
                if let delivery = try self.step(0, piece, &transforms, claims, &output, room) { return delivery }
            } else {
                var part = ByteBuffer()
                guard let delivery = try self.step(index, piece, &transforms, claims, &part, Self.stepBytes) else {
                    continue
                }
                self.stages[index - 1].pending = MessagePiece(
                    piece.kind,
                    part,
                    reservedBits: piece.reservedBits.subtracting(claims[index]),
                    isFirst: delivery.isFirst,
                    isLast: delivery.isLast
                )
            }
        }
        return nil
    }

    /// Runs one transform once.
    private mutating func step(
        _ index: Int,
        _ piece: MessagePiece,
        _ transforms: inout [any FrameTransform],
        _ claims: [ReservedBits],
        _ output: inout ByteBuffer,
        _ room: Int
    ) throws -> Delivery? {
        var piece = piece
        let before = output.readableBytes
        let input = piece.bytes.readableBytes
        var isDone = true
        if piece.reservedBits.isDisjoint(with: claims[index]) {
            // Not meant for this one.
            if before == 0 { output = piece.bytes } else { output.writeImmutableBuffer(piece.bytes) }
        } else {
            isDone = try transforms[index].inbound(&piece, into: &output, room: max(room, 1))
        }
        let count = output.readableBytes - before
        if !isDone {
            guard count > 0 || piece.bytes.readableBytes < input else {
                throw WebSocketError(.protocolViolation, "An extension makes no progress with a message.")
            }
            self.stages[index].pending = piece
        }
        let isLast = isDone && piece.isLast
        guard count > 0 || isLast else { return nil }
        defer { self.stages[index].hasBegun = !isLast }
        return Delivery(kind: piece.kind, isFirst: !self.stages[index].hasBegun, isLast: isLast)
    }
}
