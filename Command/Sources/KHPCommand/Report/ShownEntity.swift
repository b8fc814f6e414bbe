import KHPProtocol
import NIOCore

/// The entity of a response as the command shows it: that of a redirect or a refusal is for people and names URLs, which
/// may hold credentials. All others are the application's, and stay as they are.
enum ShownEntity {
    static func of(_ body: ByteBuffer, status: Int) -> ByteBuffer {
        guard status >= 300, let text = String(validating: body.readableBytesView, as: UTF8.self) else { return body }
        return ByteBuffer(string: Redaction.redacted(text))
    }
}
