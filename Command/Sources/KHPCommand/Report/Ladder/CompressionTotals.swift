import KHPProtocol

/// The savings of compression on one connection: bytes of messages, and the bytes that they took in frames.
struct CompressionTotals: Equatable {
    private struct Direction: Equatable {
        var bytes = 0
        var wireBytes = 0

        mutating func count(_ frame: FrameInfo) {
            self.bytes += frame.bytes
            self.wireBytes += frame.wireBytes
        }

        func words(_ name: String) -> String {
            guard self.bytes > 0 else { return "\(name) nothing" }
            let saved = 100 - (Double(self.wireBytes) / Double(self.bytes) * 100).rounded(.up)
            return "\(name) \(self.bytes) bytes in \(self.wireBytes) (\(Int(saved)) % saved)"
        }
    }

    private var sent = Direction()
    private var received = Direction()
    private var isInUse = false

    mutating func count(_ event: ConnectionEvent) {
        switch event {
        case .open(let negotiation):
            self.isInUse = negotiation.extensions.contains { $0.name == "permessage-deflate" }
        case .frameSent(let frame) where !frame.isControl: self.sent.count(frame)
        case .frameReceived(let frame) where !frame.isControl: self.received.count(frame)
        default: break
        }
    }

    /// One line for the end of the connection; `nil` where nothing was to be compressed.
    var summary: String? {
        self.isInUse ? "compression: \(self.sent.words("sent")), \(self.received.words("received"))" : nil
    }
}

extension FrameInfo {
    fileprivate var isControl: Bool { self.kind == .ping || self.kind == .pong || self.kind == .close }
}
