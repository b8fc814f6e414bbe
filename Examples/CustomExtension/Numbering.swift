// The extension `x-number; from=N`: a running number goes before each text message and is checked on arrival.
// Negotiation and messages are all that it deals with; which handshake it was negotiated in makes no difference to it.

import KHPProtocol

struct Numbering: WebSocketExtension {
    let name = "x-number"
    var from = 1

    /// Client: the parameters to ask for. Without a `judge` of its own the
    /// extension takes no other answer.
    func offer() -> ExtensionParameters { ["from": String(self.from)] }

    /// Server: accepts any number, and declines an offer without one.
    func accept(_ offer: ExtensionParameters) -> ExtensionParameters? {
        Int(offer["from"] ?? "") == nil ? nil : offer
    }

    func makeTransform(
        role: Role,
        parameters: ExtensionParameters
    ) -> (any MessageTransform)? {
        guard let first = Int(parameters["from"] ?? "") else { return nil }
        return Numbers(sent: first, received: first)
    }
}

/// The state of one connection. Whatever is thrown here closes it with 1011.
private struct Numbers: MessageTransform {
    var sent: Int
    var received: Int

    mutating func outbound(_ message: WebSocketMessage) throws -> WebSocketMessage? {
        guard case .text(let text) = message else { return message }
        defer { self.sent &+= 1 }
        return .text("\(self.sent):\(text)")
    }

    mutating func inbound(_ message: WebSocketMessage) throws -> WebSocketMessage? {
        guard case .text(let text) = message else { return message }
        let number = "\(self.received):".unicodeScalars
        guard text.unicodeScalars.starts(with: number) else {
            throw WebSocketError(.protocolViolation, "A message came out of order.")
        }
        self.received &+= 1
        return .text(String(text.unicodeScalars.dropFirst(number.count)))
    }
}
