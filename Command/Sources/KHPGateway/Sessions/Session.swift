// One client's session, as operators see it: who it is, where it leads, how much it has carried.

import KHPProtocol
import NIOCore

/// All that is known of a session when it opens, and does not change.
struct SessionFacts: Sendable {
    /// The same in logs, at the admin address and in the PROXY header.
    var id: String
    var service: String
    var listener = ""
    /// The address that the connection comes from.
    var peer = ""
    /// The client's address, as trusted proxies name it.
    var client = ""
    var realm: String?
    var principal: String?
    var roles: [String] = []
    var subprotocol: String?
    var dialect = "rfc6455"
    var isExtended = false
    /// The backend's URL; `nil` where the gateway answers itself.
    var backend: String?
    /// Seconds since 1970.
    var since = 0.0
    /// The client as it has proved to be, for a judgement later.
    var proof = Proof()

    struct Proof: Sendable {
        var principal: Principal?
        var address: SocketAddress?
    }

    init(id: String, service: String) {
        self.id = id
        self.service = service
    }

    /// An identifier that no other session has.
    static func makeID() -> String {
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// How much went each way. `in` is from the client.
struct Tally: Sendable, Equatable {
    var inBytes = 0
    var inMessages = 0
    var outBytes = 0
    var outMessages = 0

    static func += (all: inout Tally, one: Tally) {
        all.inBytes += one.inBytes
        all.inMessages += one.inMessages
        all.outBytes += one.outBytes
        all.outMessages += one.outMessages
    }
}

/// A session on its event loop; nothing else touches it.
final class Session {
    let facts: SessionFacts
    let opened: NIODeadline
    var tally = Tally()
    /// Reading from the client stands still, for the backend's sake.
    var clientPause = Pause()
    /// Reading from the backend stands still, for the client's sake.
    var backendPause = Pause()
    /// When something last moved, as far as anybody looked.
    var movedAt: NIODeadline
    /// Ends it. Set while it is open.
    var close: ((SessionEnd) -> Void)?
    /// How many bytes wait in it. Set while it is open.
    var buffered: () -> Int = { 0 }
    private let onEnd: (Session, SessionEnd) -> Void

    /// - Parameter onEnd: called once, when the client's socket has closed.
    init(_ facts: SessionFacts, now: NIODeadline = .now(), onEnd: @escaping (Session, SessionEnd) -> Void) {
        self.facts = facts
        self.opened = now
        self.movedAt = now
        self.onEnd = onEnd
    }

    func ended(_ end: SessionEnd) {
        self.close = nil
        self.buffered = { 0 }
        self.onEnd(self, end)
    }
}
