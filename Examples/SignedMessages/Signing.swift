// The extension `x-signed; algorithm=hmac-sha256`: each message carries a number and an HMAC over direction, number,
// kind and content. Who does not have the key can neither change a message nor play one again nor leave one out.

import CExampleCrypto
import KHPProtocol
import NIOCore

struct Signing: WebSocketExtension {
    let name = "x-signed"
    /// The secret of both ends, which they never send. Never shown: this type describes itself without it.
    let key: [UInt8]

    /// The one algorithm: a server declines any other, and a client that insists on signatures then sees that there are
    /// none.
    func offer() -> ExtensionParameters { ["algorithm": "hmac-sha256"] }

    func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? {
        Signatures(key: self.key, role: role)
    }
}

extension Signing: CustomStringConvertible, CustomReflectable {
    var description: String { self.name }
    var customMirror: Mirror { Mirror(self, children: []) }
}

/// The state of one connection: how many messages went either way.
private struct Signatures: MessageTransform {
    private static let size = 32

    let key: [UInt8]
    let role: Role
    var sent: UInt64 = 0
    var received: UInt64 = 0

    /// Text and binary alike leave as binary: kind, content, signature.
    mutating func outbound(_ message: WebSocketMessage) throws -> WebSocketMessage? {
        var bytes = ByteBuffer()
        switch message {
        case .text(let text): bytes.writeString("t" + text)
        case .binary(let content):
            bytes.writeString("b")
            bytes.writeImmutableBuffer(content)
        }
        bytes.writeBytes(try self.signature(of: bytes, number: self.sent, from: self.role))
        self.sent += 1
        return .binary(bytes)
    }

    mutating func inbound(_ message: WebSocketMessage) throws -> WebSocketMessage? {
        let peer: Role = self.role == .client ? .server : .client
        guard case .binary(var bytes) = message, bytes.readableBytes > Self.size,
            let content = bytes.readSlice(length: bytes.readableBytes - Self.size),
            let kind = content.getString(at: content.readerIndex, length: 1),
            let body = content.getSlice(at: content.readerIndex + 1, length: content.readableBytes - 1),
            CRYPTO_memcmp(
                try self.signature(of: content, number: self.received, from: peer),
                Array(bytes.readableBytesView),
                Self.size
            ) == 0
        else {
            throw WebSocketError(.protocolViolation, "A message is not signed.", closeCode: .policyViolation)
        }
        self.received += 1
        return kind == "t" ? .text(String(buffer: body)) : .binary(body)
    }

    private func signature(of bytes: ByteBuffer, number: UInt64, from role: Role) throws -> [UInt8] {
        var input = ByteBuffer(string: role == .client ? "C" : "S")
        input.writeInteger(number)
        input.writeImmutableBuffer(bytes)
        var output = [UInt8](repeating: 0, count: Self.size)
        var length: UInt32 = 0
        let isDone = input.withUnsafeReadableBytes { input in
            HMAC(EVP_sha256(), self.key, Int32(self.key.count), input.baseAddress, input.count, &output, &length) != nil
        }
        guard isDone, length == Self.size else {
            throw WebSocketError(.protocolViolation, "A message cannot be signed.")
        }
        return output
    }
}
