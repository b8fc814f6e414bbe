// The end of a proof while its session is open: the client is asked for another a while before, and what it proves moves the
// end. A client that cannot be asked, or does not answer, is closed when its proof ends, by the library.

import KHPServer
import NIOCore

/// On the event loop of its session.
final class SessionRenewal {
    /// The time that a client has to answer; half of what is left where that is less.
    private static let time = 30.0
    /// Wakes up at least so often: the clock on the wall may be set.
    private static let longest = 3600.0

    private let revalidations: Revalidations
    private let eventLoop: any EventLoop
    /// The path of the socket.
    private let path: String
    /// Seconds since 1970.
    private var ends: Int64
    private weak var session: Session?
    private var socket: EventLoopSocket?
    private var task: Scheduled<Void>?
    /// Set while the client is asked.
    private var name: String?

    init(_ revalidations: Revalidations, path: String, ends: Int64, on eventLoop: any EventLoop) {
        self.revalidations = revalidations
        self.path = path
        self.ends = ends
        self.eventLoop = eventLoop
    }

    func begin(_ session: Session, _ socket: EventLoopSocket) {
        self.session = session
        self.socket = socket
        self.askLater()
    }

    private var left: Double { Double(self.ends) - Timestamp.now.seconds }

    private func askLater() {
        let left = self.left
        guard left > 0 else { return }
        let wait = min(left - min(Self.time, left / 2), Self.longest)
        let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
        self.task = self.eventLoop.scheduleTask(in: .nanoseconds(Int64(wait * 1e9))) {
            let renewal = bound.value
            if wait == Self.longest { renewal.askLater() } else { renewal.ask() }
        }
    }

    private func ask() {
        guard let session, let socket, session.close != nil else { return }
        let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
        let eventLoop = self.eventLoop
        let name = self.revalidations.add(
            .init(facts: session.facts) { principal in
                eventLoop.execute { bound.value.settle(principal) }
            }
        )
        let path = Revalidations.path(name, below: self.path)
        guard (try? socket.askToRevalidate(path: path)) ?? false else {
            self.revalidations.remove(name)
            return self.revalidations.note(.notAgreed, session.facts)
        }
        self.name = name
        self.revalidations.note(.asked, session.facts)
    }

    private func settle(_ principal: Principal?) {
        self.name = nil
        guard let session, let socket, session.close != nil else { return }
        guard let principal else {
            self.revalidations.note(.refused, session.facts)
            session.close?(.proofRefused)
            return
        }
        session.renew(principal)
        self.revalidations.note(.renewed, session.facts)
        guard let ends = principal.expires else { return socket.endSession(at: nil) }
        self.ends = ends
        socket.endSession(at: .now() + .nanoseconds(Int64(min(max(self.left, 0), 1e9) * 1e9)))
        self.askLater()
    }

    /// The session is over.
    func end(_ end: SessionEnd) {
        self.task?.cancel()
        self.socket = nil
        guard let name, self.revalidations.remove(name) != nil, let session else { return }
        if end.cause == .credentialsExpired { self.revalidations.note(.unanswered, session.facts) }
    }
}
