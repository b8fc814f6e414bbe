// The extensions of a run: those that a client asks for and a server grants, and what is seen of them.

import KHPProtocol
import NIOCore
import Synchronization

enum ExtensionKind: String, CaseIterable, Sendable {
    case deflate, pingPong, idleTimeout, revalidate

    /// The time within which a server promises to be heard: longer than any step of a run's end.
    static let promise = TimeAmount.seconds(60)

    /// The four bytes that an extension's control messages begin with.
    private static let controls: [ExtensionKind: [UInt8]] = [.pingPong: [1, 1, 1, 2], .revalidate: [1, 1, 1, 3]]

    /// The kind of a negotiated extension.
    init?(name: String) {
        switch name {
        case PerMessageDeflate().name: self = .deflate
        case KaazingPingPong().name: self = .pingPong
        case KaazingIdleTimeout().name: self = .idleTimeout
        case KaazingHTTPRevalidate().name: self = .revalidate
        default: return nil
        }
    }

    /// A server's, or a client's, which notes what it is asked.
    func make(_ revalidations: Revalidations?) -> any WebSocketExtension {
        switch self {
        case .deflate: PerMessageDeflate()
        case .pingPong: KaazingPingPong()
        case .idleTimeout: KaazingIdleTimeout(timeout: revalidations == nil ? .seconds(60) : nil)
        case .revalidate:
            revalidations.map { notes in KaazingHTTPRevalidate { notes.hear($0.path) } } ?? KaazingHTTPRevalidate()
        }
    }

    /// A text of an application's that looks like a control message of this extension.
    func lookalike(_ number: Int) -> ByteBuffer? {
        guard let control = Self.controls[self] else { return nil }
        let ends: [[UInt8]] = [[], [9, 0], [1, 0x2F, 0x61], [0x41, 0x42]]
        return ByteBuffer(bytes: control + ends[number % ends.count])
    }
}

/// The paths at which a server wants its client to prove anew who it is, and those that the client has heard of.
final class Revalidations: Sendable {
    private let paths = Mutex<[String]>([])
    private let asked = Mutex<[String]>([])

    var heard: [String] { self.paths.withLock { $0 } }
    var sent: [String] { self.asked.withLock { $0 } }

    func hear(_ path: String) { self.paths.withLock { $0.append(path) } }

    /// The socket that these were of has gone.
    func forget() {
        self.paths.withLock { $0 = [] }
        self.asked.withLock { $0 = [] }
    }

    func ask(_ path: String) { self.asked.withLock { $0.append(path) } }
}

extension World {
    /// A server asks for another proof, at a path that is good for one.
    func revalidate(_ role: Role) throws(Violation) {
        let path =
            "/session?token=\(Secrets.of(Secrets.host(self.caller.place), .token))&n=\(self.revalidations.sent.count)"
        var isAsked = false
        try self.act(role, .revalidate) { side in
            isAsked = side.revalidate(path, self.now)
        }
        if isAsked { self.revalidations.ask(path) }
    }

    /// A client has been asked, makes its request elsewhere, and the session ends later for that.
    func answerRevalidations() throws(Violation) {
        let heard = self.revalidations.heard.count
        guard heard > self.revalidated else { return }
        self.revalidated = heard
        guard !self.endpoint.isSilent, !self.server.isOver, self.server.sessionEnd != nil else { return }
        let end = self.now + .seconds(40)
        self.trace.note(self.now, "the session is prolonged")
        self.server.beginStep(self.now)
        self.server.connection.moveSessionEnd(to: end)
        if self.server.opened != nil { self.server.sessionEnd = end }
        try self.after(.server)
    }

    /// A client hears of each path once, in order, and of no other.
    func checkRevalidations() throws(Violation) {
        guard !self.toClient.isTampered else { return }
        let heard = self.revalidations.heard
        let sent = self.revalidations.sent
        guard heard.count > sent.count || heard != Array(sent.prefix(heard.count)) else { return }
        throw Violation(
            .order,
            "the client is asked for a proof at \(heard.last ?? ""), and \(sent.count) were asked for"
        )
    }
}
