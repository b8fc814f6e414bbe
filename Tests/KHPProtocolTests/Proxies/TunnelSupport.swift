// A tunnel's machine and what became of it, for tables of conversations.

import KHPProtocol
import NIOCore

/// The bytes of a tunnel's machine and its end, comparable.
struct TunnelRun: Equatable {
    /// Everything sent, in order.
    var sent: [[UInt8]] = []
    /// The status of each 407, and whether the connection was said to stay open.
    var challenges: [String] = []
    var entity: String?
    var leftover: [UInt8]?
    var error: WebSocketError.Code?
    var status: Int?
    var message = ""
    var isRetry = false

    mutating func take(_ action: TunnelAction) {
        switch action {
        case .wait: break
        case .send(let bytes): self.sent.append(Array(bytes.readableBytesView))
        case .challenge(let response, let staysOpen):
            self.challenges.append("\(response.status) \(staysOpen ? "open" : "closed")")
            self.entity = String(buffer: response.body)
        case .established(let bytes, _): self.leftover = Array(bytes.readableBytesView)
        case .retry: self.isRetry = true
        case .failed(let error):
            self.error = error.code
            self.message = error.message
            self.status = error.response?.status
            self.entity = error.response.map { String(buffer: $0.body) }
        }
    }

    var isOver: Bool { self.leftover != nil || self.error != nil || self.isRetry }

    /// Feeds `pieces`, joined or cut as they are; what comes once the tunnel stands is the tunnel's.
    static func of(_ tunnel: Tunnel, _ pieces: [[UInt8]], ends: Bool = false) -> TunnelRun {
        var tunnel = tunnel
        var run = TunnelRun()
        run.take(tunnel.start())
        for piece in pieces {
            if run.leftover != nil {
                run.leftover?.append(contentsOf: piece)
            } else {
                run.take(tunnel.receive(ByteBuffer(bytes: piece)))
            }
        }
        if ends, !run.isOver { run.take(tunnel.inputEnded()) }
        return run
    }
}

/// `bytes` whole, byte by byte, and cut in two at each place.
func splits(_ bytes: [UInt8]) -> [[[UInt8]]] {
    [[bytes], bytes.map { [$0] }] + bytes.indices.dropFirst().map { [Array(bytes[..<$0]), Array(bytes[$0...])] }
}
