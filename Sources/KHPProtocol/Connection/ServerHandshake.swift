// A server's two handshakes, from the first byte to the open socket. A class, since an open connection has no use for so
// much: it is freed when the socket opens, or when the request is answered otherwise.
//
//   connecting ── transport and TLS are up ──▶ reading ── whole request ──▶ deciding ── accepted ──▶ the socket opens
//                                                                          │  ▲  │ └─ with x-kaazing-handshake
//                             hixie-76, the text of 2010: eight bytes more ▼  │  └───────────▶ extended ──▶ it opens
//                                                                    awaitingKey
//
// States × events, beside the failure and the end of the stream, which end each of them:
//                bytes                             the shell's answer             the deadline
//   connecting   our own bug: none can come        left alone                     the end
//   reading      the request, piece by piece       a refusal: it and the end;     408; the end where nothing was said
//                                                  others left alone
//   deciding     kept, up to 16 KiB                101, or a response and the end  503
//   awaitingKey  the eight bytes: 101              left alone                     408; the end where the head is out
//   extended     messages of ``ExtendedServer``    to ``ExtendedServer``          as its own table has it
//
// An answer that nobody waits for is left alone: it may come late, when the connection has gone on by itself, and one
// that was never asked for looks the same. A refusal counts while a request is read: its head may be one that
// nobody can read.

import NIOCore

final class ServerHandshake {
    /// One word, as it is looked at often: what a state holds is an object or in a box.
    enum State {
        /// The transport, or TLS over it, is not up yet.
        case connecting
        case reading(Reading)
        /// The shell looks for the answer to this request; `nil` for one of ordinary HTTP.
        case deciding(OpeningRequest?)
        /// The opening is accepted, and the eight bytes after the request are awaited (W10-7).
        indirect case awaitingKey(AwaitedKey)
        /// Frames are spoken, and the extended handshake in them.
        case extended(Extended)
    }

    final class Reading {
        // Unchecked, as in ``Extended``: the machines call nothing that comes back here.
        @exclusivity(unchecked) var machine: OpeningServer

        init(_ machine: OpeningServer) { self.machine = machine }
    }

    final class Extended {
        @exclusivity(unchecked) var machine: ExtendedServer
        let opening: OpeningRequest
        var accepted: AcceptedPlan
        /// The extensions that the opening negotiated beside x-kaazing-handshake.
        let openingExtensions: [NegotiatedExtension]
        var lastStatus = 0
        var challenges = 0

        init(
            _ machine: ExtendedServer,
            opening: OpeningRequest,
            accepted: AcceptedPlan,
            openingExtensions: [NegotiatedExtension]
        ) {
            self.machine = machine
            self.opening = opening
            self.accepted = accepted
            self.openingExtensions = openingExtensions
        }
    }

    let isSecure: Bool
    /// True on a stream of HTTP/2, whose CONNECT takes the place of the keys (RFC 8441 section 5).
    let opensByConnect: Bool
    private(set) var state = State.connecting { didSet { self.transitions &+= 1 } }
    /// Counts the changes of ``state``.
    private(set) var transitions = 0
    /// The end of the opening handshake.
    private var openingDeadline: NIODeadline?

    init(isSecure: Bool, opensByConnect: Bool) {
        self.isSecure = isSecure
        self.opensByConnect = opensByConnect
    }

    private init(copying other: ServerHandshake) {
        self.isSecure = other.isSecure
        self.opensByConnect = other.opensByConnect
        self.openingDeadline = other.openingDeadline
        self.state =
            switch other.state {
            case .reading(let reading): .reading(Reading(reading.machine))
            case .extended(let extended): .extended(extended.copy())
            case .connecting, .deciding, .awaitingKey: other.state
            }
    }

    /// A copy that shares no state with this one, for ``Connection/copy()``.
    func copy() -> ServerHandshake { ServerHandshake(copying: self) }

    // MARK: States

    /// True while the shell may answer the opening request, or has to refuse one that it cannot read.
    var takesResponse: Bool {
        switch self.state {
        case .reading, .deciding: true
        case .connecting, .awaitingKey, .extended: false
        }
    }

    /// The opening request that waits for its answer.
    var openingRequest: OpeningRequest? { if case .deciding(let request) = self.state { request } else { nil } }

    var isDeciding: Bool { if case .deciding = self.state { true } else { false } }

    /// The time limit of the current state; `nil` while none runs.
    var deadline: NIODeadline? {
        if case .extended(let extended) = self.state { extended.machine.deadline } else { self.openingDeadline }
    }

    // MARK: Transitions

    /// TCP is up: the bound on the opening handshake, TLS included, begins.
    func transportUp(until deadline: NIODeadline) {
        guard case .connecting = self.state, self.openingDeadline == nil else { return }
        self.openingDeadline = deadline
    }

    func start(limits: Limits) {
        guard case .connecting = self.state else { return }
        self.state = .reading(Reading(OpeningServer(limits: limits)))
    }

    /// The request is complete, and the shell decides how it is answered.
    /// - Parameter request: `nil` for one of ordinary HTTP.
    func decide(_ request: OpeningRequest?) { self.state = .deciding(request) }

    func awaitKey(_ awaited: AwaitedKey) { self.state = .awaitingKey(awaited) }

    /// x-kaazing-handshake is chosen.
    func extend(_ extended: Extended) {
        self.openingDeadline = nil
        self.state = .extended(extended)
    }
}

extension ServerHandshake.Extended {
    fileprivate func copy() -> ServerHandshake.Extended {
        let copy = ServerHandshake.Extended(
            self.machine.copy(),
            opening: self.opening,
            accepted: self.accepted,
            openingExtensions: self.openingExtensions
        )
        copy.lastStatus = self.lastStatus
        copy.challenges = self.challenges
        return copy
    }
}
