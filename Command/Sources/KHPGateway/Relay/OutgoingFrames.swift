// The kind of messages that a backend's bytes become: protocols of text are text to their clients, all others binary.

import KHPProtocol
import NIOCore

/// Makes messages of a byte stream.
struct OutgoingFrames {
    /// The most bytes of one message: a client that takes messages whole is not to need more memory than a read.
    static let most = 16 * 1024

    private let frames: GatewayConfiguration.Frames
    private var kind: MessageKind
    private var cut = CharacterCut()

    init(_ frames: GatewayConfiguration.Frames) {
        self.frames = frames
        self.kind = frames == .text ? .text : .binary
    }

    /// The client has sent a message of this kind.
    mutating func clientSent(_ kind: MessageKind) {
        // In the middle of a character it stays as it is until that is whole.
        if self.frames == .auto, self.cut.isWhole { self.kind = kind }
    }

    /// Calls `body` with each message of the bytes.
    mutating func forEach(
        of bytes: ByteBuffer,
        _ body: (MessageKind, ByteBuffer) -> Void
    ) throws(CharacterCut.NoText) {
        var bytes = bytes
        while let piece = bytes.readSlice(length: min(bytes.readableBytes, Self.most)), piece.readableBytes > 0 {
            if self.kind == .binary {
                body(.binary, piece)
            } else {
                let text = try self.cut.whole(piece)
                if text.readableBytes > 0 { body(.text, text) }
            }
        }
    }

    /// `false` where the stream must not end here, in the middle of a character.
    var mayEnd: Bool { self.cut.isWhole }
}
