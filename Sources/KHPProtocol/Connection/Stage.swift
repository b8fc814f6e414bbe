// The stages of a connection. ``Connection`` alone moves from one to the next.

import NIOCore

/// The stage of a connection, with the state that is its own. The state of an open socket lies beside it, in
/// ``OpenSocket``: it is used for every message, and an enum's payload cannot be changed in place.
enum Stage {
    /// Before both handshakes are complete.
    case handshake(Handshake)
    case open
    /// The handshake has failed or was answered otherwise; the closing handshake runs, or the stream is drained.
    case leaving
    /// It has ended, as far as anybody else is concerned; the application still takes what had arrived.
    case unread
    case ended
}

/// The handshakes of one role.
enum Handshake {
    case client(ClientHandshake)
    case server(ServerHandshake)

    /// Goes on from the same place, for ``Connection/copy()``.
    func copy() -> Handshake {
        switch self {
        case .client(let client): .client(client.copy())
        case .server(let server): .server(server.copy())
        }
    }

    var deadline: NIODeadline? {
        switch self {
        case .client(let client): client.deadline
        case .server(let server): server.deadline
        }
    }

    /// Counts the changes of the handshake's state.
    var transitions: Int {
        switch self {
        case .client(let client): client.transitions
        case .server(let server): server.transitions
        }
    }

    /// True in the extended handshake, where frames are spoken.
    var isExtended: Bool {
        switch self {
        case .client(let client): if case .extended = client.state { true } else { false }
        case .server(let server): if case .extended = server.state { true } else { false }
        }
    }

    /// True before the transport, TLS included, is up.
    var isConnecting: Bool {
        switch self {
        case .client(let client): client.isConnecting
        case .server(let server): if case .connecting = server.state { true } else { false }
        }
    }
}

extension Stage {
    var isOpen: Bool { if case .open = self { true } else { false } }
    var isLeaving: Bool { if case .leaving = self { true } else { false } }
    var isUnread: Bool { if case .unread = self { true } else { false } }
    /// True while messages are handed out.
    var takesMessages: Bool {
        switch self {
        case .open, .unread: true
        case .handshake, .leaving, .ended: false
        }
    }
    /// True once the connection has told its end.
    var isOver: Bool {
        switch self {
        case .unread, .ended: true
        case .handshake, .open, .leaving: false
        }
    }
    var isExtended: Bool { if case .handshake(let handshake) = self { handshake.isExtended } else { false } }
    var client: ClientHandshake? { if case .handshake(.client(let client)) = self { client } else { nil } }
    var server: ServerHandshake? { if case .handshake(.server(let server)) = self { server } else { nil } }
}
