// The one operation of a run that fails, and in which way. Every operation of the shell is counted, so that a run can be
// repeated with the next one failing, until there is no next one.

import NIOCore
import Synchronization

enum Side: String, Sendable {
    case client, server
}

/// An operation that can fail.
enum Operation: Hashable, Sendable, CustomStringConvertible {
    case resolve
    case connect
    /// The server's end of a connection becomes active, behind its accept.
    case register
    /// A channel comes up, and nothing has been said.
    case up(Side)
    /// Bytes that arrive at a side.
    case read(Side)
    /// A side asks its channel for bytes.
    case demand(Side)
    case write(Side)
    case flush(Side)
    /// A step of a side's TLS.
    case tls(Side, TLSStep)
    case timer
    /// A task is started for a closure of the application.
    case task
    /// The caller's task runs on: behind each await there is one such turn.
    case turn

    var description: String {
        switch self {
        case .resolve: "resolve"
        case .connect: "connect"
        case .register: "register"
        case .up(let side): "\(side) up"
        case .read(let side): "\(side) read"
        case .demand(let side): "\(side) demand"
        case .write(let side): "\(side) write"
        case .flush(let side): "\(side) flush"
        case .tls(let side, let step): "\(side) TLS \(step)"
        case .timer: "timer"
        case .task: "task"
        case .turn: "turn"
        }
    }
}

/// The way in which an operation fails.
enum Way: String, Sendable {
    /// With an error.
    case fails
    /// It finds nothing.
    case isEmpty
    /// It takes a moment, and then succeeds.
    case isSlow
    /// It takes longer than anybody waits for it.
    case isLate
    /// The certificate is for another host.
    case isForAnother
    /// The certificate is from an authority that nobody knows.
    case isUntrusted
    /// It succeeds, and its caller has given it up meanwhile.
    case crosses
    /// The peer resets the connection.
    case resets
    /// The peer has ended its stream, and nothing of what it said arrives.
    case ends
    /// One half arrives, then the connection is reset.
    case isCut
    /// Other bytes arrive than were sent.
    case isCorrupt
    /// Nothing arrives from now on, neither bytes nor an end.
    case goesSilent
    /// Nothing is taken from now on.
    case stalls
    /// The time has come at once.
    case isDue
    /// The task is cancelled before this operation.
    case isCancelled
    /// The task is cancelled while it waits behind this operation.
    case isCancelledBehind
    /// The task is cancelled a while later, when all that the wait needs is in place.
    case isCancelledLater
    /// The task runs on a while after this operation could, and is cancelled before: the connection has gone on meanwhile.
    case isHeldAndCancelled
}

struct Fault: Sendable, CustomStringConvertible {
    var operation: Operation
    var way: Way
    /// The first is 1.
    var number: Int

    var description: String { "\(self.operation) \(self.number) \(self.way.rawValue)" }

    /// `true` where the notification of TLS that a connection ends does not leave.
    var isOfGoodbye: Bool {
        if case .tls(_, .goodbye) = self.operation { true } else { false }
    }

    /// No conversation has as many operations of a kind: whoever gets there would go on without an end.
    static let most = 200

    /// Each operation with the ways in which it fails.
    static let all: [(operation: Operation, way: Way)] = {
        var all: [(Operation, Way)] = [
            (.resolve, .fails), (.resolve, .isEmpty),
            (.connect, .fails), (.connect, .isLate), (.connect, .crosses), (.register, .isLate),
            (.timer, .isDue),
            (.task, .isLate), (.task, .isCancelled),
            (.turn, .isCancelled), (.turn, .isCancelledBehind), (.turn, .isCancelledLater),
            (.turn, .isHeldAndCancelled),
        ]
        for side in [Side.client, .server] {
            all += [Way.resets, .ends].map { (.up(side), $0) }
            all += [Way.resets, .ends, .isCut, .isCorrupt, .goesSilent].map { (.read(side), $0) }
            all += [Way.resets, .isCut].map { (.write(side), $0) }
            all += [Way.resets, .stalls].map { (.flush(side), $0) }
            all.append((.demand(side), .stalls))
            all += TLSStep.faults(of: side)
        }
        return all
    }()
}

/// Counts the operations of one run, and says which one fails.
final class FaultPlan: Sendable {
    private struct State {
        var counts: [Operation: Int] = [:]
        var struckAt: NIODeadline?
        var trail: [String] = []
    }

    let fault: Fault?
    private let state = Mutex(State())

    init(_ fault: Fault?) { self.fault = fault }

    /// One more operation happens.
    /// - Returns: the way in which it fails; `nil` where it does not.
    func next(_ operation: Operation) -> Way? {
        self.state.withLock { state in
            let number = state.counts[operation, default: 0] + 1
            state.counts[operation] = number
            if state.trail.count == 40 { state.trail.removeFirst() }
            state.trail.append("\(operation) \(number)")
            guard let fault, fault.operation == operation, fault.number == number else { return nil }
            state.struckAt = .now()
            state.trail.append("(\(fault.way.rawValue))")
            return fault.way
        }
    }

    /// `true` once the operation that fails has happened.
    var hasStruck: Bool { self.struckAt != nil }
    var struckAt: NIODeadline? { self.state.withLock { $0.struckAt } }
    /// The last operations, in their order.
    var trail: String { self.state.withLock { $0.trail.joined(separator: ", ") } }
    /// How many operations of a kind there were.
    func count(of operation: Operation) -> Int { self.state.withLock { $0.counts[operation] ?? 0 } }
}
