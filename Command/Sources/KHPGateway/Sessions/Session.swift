// One client's session, as operators see it: who it is, where it leads, how much it has carried.

import KHPProtocol
import KHPServer
import NIOCore

/// All that is known of a session when it opens, and does not change.
struct SessionFacts: Sendable {
    /// The identifier of the session, in logs, at the admin address and in the PROXY header.
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
    /// The pool of the backend.
    var pool: String?
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

    /// The end of the client's proof, as people read it.
    var expires: String? { self.proof.principal?.expires.map(Self.text(of:)) }

    /// A second since 1970; the last year that has four digits is late enough.
    static func text(of second: Int64) -> String {
        Timestamp(milliseconds: min(max(second, 0), 253_402_300_799) * 1000).description
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
    private(set) var facts: SessionFacts
    let opened: NIODeadline
    var tally = Tally()
    /// Reading from the client stands still, for the backend's sake.
    var clientPause = Pause()
    /// Reading from the backend stands still, for the client's sake.
    var backendPause = Pause()
    /// When something last moved, and what had moved by then, as of the last look.
    private(set) var movedAt: NIODeadline
    private var seen = Tally()
    /// Has the client prove anew who it is, where that is asked for.
    var renewal: SessionRenewal?
    /// Ends it. Set while it is open.
    var close: ((SessionEnd) -> Void)?
    /// The end of all sessions of its kind, where that was decided while this one opened.
    var lateEnd: () -> SessionEnd? = { nil }
    /// How many bytes wait in it. Set while it is open.
    var buffered: () -> Int = { 0 }
    /// Told once that the backend has been of use: it has sent something, or has kept the connection for a second.
    var onUse: (() -> Void)?
    /// The moment at which the backend has ended the connection. Its client may take its time to go.
    private var leftAt: NIODeadline?
    /// Told once of a side that has not kept up for a while: `client` or `backend`, and for how long.
    var onSlow: ((String, TimeAmount, SessionFacts) -> Void)?
    /// A side that is waited for so long is told of.
    static let slow = TimeAmount.seconds(5)
    private let onEnd: (Session, SessionEnd) -> Void

    /// - Parameter onEnd: called once, when the client's socket has closed.
    init(_ facts: SessionFacts, now: NIODeadline = .now(), onEnd: @escaping (Session, SessionEnd) -> Void) {
        self.facts = facts
        self.opened = now
        self.movedAt = now
        self.onEnd = onEnd
    }

    /// The client's socket is open.
    func opened(_ socket: EventLoopSocket) {
        self.renewal?.begin(self, socket)
        if let end = self.lateEnd() { self.close?(end) }
        self.lateEnd = { nil }
    }

    /// The client has proved anew who it is.
    func renew(_ principal: Principal) {
        self.facts.proof.principal = principal
        self.facts.roles = principal.roles.sorted()
    }

    /// Tells of a side that the other waits for, once.
    func tellSlow(_ now: NIODeadline) {
        for (side, pause) in [("client", self.backendPause), ("backend", self.clientPause)] {
            let time = pause.lasting(now)
            guard time >= Self.slow, let tell = self.onSlow else { continue }
            self.onSlow = nil
            tell(side, time, self.facts)
        }
    }

    /// The backend has ended the connection.
    func backendLeft(_ now: NIODeadline) { self.leftAt = self.leftAt ?? now }

    /// How long the backend has kept the connection.
    func kept(_ now: NIODeadline) -> TimeAmount { (self.leftAt ?? now) - self.opened }

    /// Tells of a backend that has been of use, once.
    func tellUse(_ now: NIODeadline) {
        guard let tell = self.onUse else { return }
        // A message without a byte is an answer, too.
        guard self.tally.outBytes > 0 || self.tally.outMessages > 0 || self.kept(now) >= .seconds(1) else { return }
        self.onUse = nil
        tell()
    }

    /// A message costs no look at the clock: whoever wants to know how long nothing has moved looks from time to time.
    func look(_ now: NIODeadline) {
        guard self.tally != self.seen else { return }
        self.seen = self.tally
        self.movedAt = now
    }

    func ended(_ end: SessionEnd, now: NIODeadline = .now()) {
        self.tellUse(now)
        // A client that was closed when its proof ended, and went without an answer, was not lost.
        let isOver = self.facts.proof.principal?.expires.map { Double($0) <= Timestamp.now.seconds } ?? false
        let end = isOver && end.cause == .clientLost ? .proofEnded : end
        self.renewal?.end(end)
        self.renewal = nil
        self.onSlow = nil
        self.onUse = nil
        self.close = nil
        self.buffered = { 0 }
        self.onEnd(self, end)
    }
}
