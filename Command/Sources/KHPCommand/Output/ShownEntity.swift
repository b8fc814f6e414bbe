import KHPProtocol
import NIOCore

/// The entity of a response as the command shows it: that of a redirect or a refusal is for people and names URLs, which
/// may hold credentials. All others are the application's, and stay as they are.
enum ShownEntity {
    static func of(_ body: ByteBuffer, status: Int) -> ByteBuffer {
        guard let text = text(body, status) else { return body }
        return ByteBuffer(string: Redaction.shown(text))
    }

    /// As long as it was, so that the length in its head stays true.
    static func sameLength(_ body: ByteBuffer, status: Int) -> ByteBuffer {
        guard let text = text(body, status) else { return body }
        return ByteBuffer(string: Redaction.shown(text) { Array(repeating: UInt8(ascii: "x"), count: $0.count) })
    }

    private static func text(_ body: ByteBuffer, _ status: Int) -> String? {
        status >= 300 ? String(validating: body.readableBytesView, as: UTF8.self) : nil
    }
}
