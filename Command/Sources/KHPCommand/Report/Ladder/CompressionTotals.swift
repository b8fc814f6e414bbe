import KHPProtocol

/// The savings of compression on one connection: bytes of messages, and the bytes that they took in frames.
struct CompressionTotals: Equatable {
    private struct Direction: Equatable {
        var bytes = 0
        var wireBytes = 0

        mutating func count(_ frame: FrameInfo) {
            bytes += frame.bytes
            wireBytes += frame.wireBytes
        }

        func words(_ name: String) -> String {
            guard bytes > 0 else { return "\(name) nothing" }
            let saved = 100 - (Double(wireBytes) / Double(bytes) * 100).rounded(.up)
            return "\(name) \(bytes) bytes in \(wireBytes) (\(Int(saved)) % saved)"
        }
    }

    private var sent = Direction()
    private var received = Direction()
    private var isInUse = false

    mutating func count(_ event: ConnectionEvent) {
        switch event {
        case .open(let negotiation):
            isInUse = negotiation.extensions.contains { $0.name == "permessage-deflate" }
        case .frameSent(let frame) where !frame.isControl: sent.count(frame)
        case .frameReceived(let frame) where !frame.isControl: received.count(frame)
        default: break
        }
    }

    /// One line for the end of the connection; `nil` where nothing was to be compressed.
    var summary: String? {
        isInUse ? "compression: \(sent.words("sent")), \(received.words("received"))" : nil
    }
}

extension FrameInfo {
    fileprivate var isControl: Bool { kind == .ping || kind == .pong || kind == .close }
}
