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
    /// The last bytes that went out as binary, three at most; kept where the kind may change.
    private var last: [UInt8] = []
    /// How many bytes of a character that has begun in a binary message are to follow, before messages of text.
    private var missing = 0

    init(_ frames: GatewayConfiguration.Frames) {
        self.frames = frames
        self.kind = frames == .text ? .text : .binary
    }

    /// The client has sent a message of this kind.
    mutating func clientSent(_ kind: MessageKind) {
        // In the middle of a character it stays as it is until that is whole.
        guard self.frames == .auto, kind != self.kind, self.cut.isWhole else { return }
        self.kind = kind
        self.missing = kind == .text ? CharacterCut.missing(behind: self.last) : 0
    }

    /// Calls `body` with each message of the bytes.
    mutating func forEach(
        of bytes: ByteBuffer,
        _ body: (MessageKind, ByteBuffer) -> Void
    ) throws(CharacterCut.NoText) {
        var bytes = bytes
        if self.missing > 0 { self.complete(&bytes, body) }
        while let piece = bytes.readSlice(length: min(bytes.readableBytes, Self.most)), piece.readableBytes > 0 {
            if self.kind == .binary {
                self.sends(piece)
                body(.binary, piece)
            } else {
                let text = try self.cut.whole(piece)
                if text.readableBytes > 0 { body(.text, text) }
            }
        }
    }

    /// Sends the rest of a character whose beginning was binary as binary, too. Where something else follows there was none.
    private mutating func complete(_ bytes: inout ByteBuffer, _ body: (MessageKind, ByteBuffer) -> Void) {
        let rest = bytes.readableBytesView.prefix(self.missing).prefix { (0x80...0xBF).contains($0) }.count
        self.missing = rest < bytes.readableBytes ? 0 : self.missing - rest
        guard rest > 0, let piece = bytes.readSlice(length: rest) else { return }
        self.sends(piece)
        body(.binary, piece)
    }

    /// Notes the end of what goes out as binary.
    private mutating func sends(_ piece: ByteBuffer) {
        guard self.frames == .auto else { return }
        self.last = Array((self.last + piece.readableBytesView.suffix(3)).suffix(3))
    }

    /// `false` where the stream must not end here, in the middle of a character.
    var mayEnd: Bool { self.cut.isWhole }
}
