// How Kaazing's extensions speak beside the application's messages: a control message begins with four bytes that the
// server chose, and an application's message that happens to begin with them follows an escape message of just these
// four bytes (Kaazing's "control frame injection").

import NIOCore

struct EscapedControl: Sendable {
    /// The meaning of a received message.
    enum Received: Equatable {
        /// The application's.
        case application
        /// Nothing to hand on: the next message is the application's, whatever it begins with.
        case escape
        /// The bytes behind the four.
        case control([UInt8])
    }

    /// The four bytes; below 0x80 each, since they begin text messages.
    let bytes: [UInt8]
    private var isEscaped = false

    /// Reads the one parameter of an answer: eight hexadecimal digits without a name of their own.
    init?(_ parameters: ExtensionParameters) {
        guard parameters.all.count == 1, let parameter = parameters.all.first, parameter.value == nil,
            parameter.name.utf8.count == 8, parameter.name.utf8.allSatisfy({ Bytes.hexValue($0) != nil }),
            let number = UInt32(parameter.name, radix: 16), number & 0x8080_8080 == 0
        else { return nil }
        self.bytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
    }

    /// The parameters of an answer that chooses these bytes; of each the lower seven bits.
    static func answer(_ bytes: UInt32) -> ExtensionParameters {
        let digits = String(bytes & 0x7F7F_7F7F, radix: 16)
        return [String(repeating: "0", count: 8 - digits.count) + digits: nil]
    }

    /// The four bytes as a message.
    var escape: WebSocketMessage { .text(String(decoding: self.bytes, as: UTF8.self)) }

    /// A control message.
    func message(_ content: [UInt8]) -> WebSocketMessage {
        .text(String(decoding: self.bytes + content, as: UTF8.self))
    }

    /// Returns `true` when the application's message has to be escaped.
    /// - Parameter binary: `true` where the peer looks for control messages among binary messages too.
    func needsEscape(_ message: WebSocketMessage, binary: Bool = false) -> Bool {
        switch message {
        case .text(let text): text.utf8.starts(with: self.bytes)
        case .binary(let payload): binary && payload.readableBytesView.starts(with: self.bytes)
        }
    }

    /// Tells what a received message is.
    mutating func receive(_ message: some Sequence<UInt8>) -> Received {
        if self.isEscaped {
            self.isEscaped = false
            return .application
        }
        guard message.starts(with: self.bytes) else { return .application }
        let content = Array(message.dropFirst(self.bytes.count))
        self.isEscaped = content.isEmpty
        return content.isEmpty ? .escape : .control(content)
    }
}
