// The stages of a connection by name, with the states of its handshakes: a simulation counts which of them it has seen.
// The switches below name each state, so that a new one does not compile before it has a name here.

package import NIOCore

/// A row of the tables of ``Connection``, ``ClientHandshake`` and ``ServerHandshake``.
package enum StageName: String, CaseIterable, Sendable {
    case connecting
    // A client's handshakes.
    case opening, challenged, challengedInside
    // A server's.
    case reading, deciding, decidingPlain, awaitingKey, decidingInside
    /// The extended handshake of either role, without a question to the shell.
    case extended
    case open
    /// The socket is open, and the answer to the peer's close frame waits for the application.
    case closeHeld
    /// Our close frame is out.
    case closing
    case leaving, unread, ended

    /// The stages that a connection of this role can be in.
    package static func all(of role: Role) -> [StageName] {
        self.allCases.filter { name in
            switch name {
            case .opening, .challenged, .challengedInside: role == .client
            case .reading, .deciding, .decidingPlain, .awaitingKey, .decidingInside: role == .server
            case .connecting, .extended, .open, .closeHeld, .closing, .leaving, .unread, .ended: true
            }
        }
    }
}

extension Connection {
    package var stageName: StageName {
        switch self.stage {
        case .handshake(.client(let client)): Self.name(client)
        case .handshake(.server(let server)): Self.name(server)
        case .open: self.link.closing.canSend ? self.socket.heldClose == nil ? .open : .closeHeld : .closing
        case .leaving: .leaving
        case .unread: .unread
        case .ended: .ended
        }
    }

    private static func name(_ client: ClientHandshake) -> StageName {
        switch client.state {
        case .connecting: .connecting
        case .opening: .opening
        case .challenged: .challenged
        case .extended(let extended): extended.machine.state == .challenged ? .challengedInside : .extended
        }
    }

    private static func name(_ server: ServerHandshake) -> StageName {
        switch server.state {
        case .connecting: .connecting
        case .reading: .reading
        case .deciding(let request): request == nil ? .decidingPlain : .deciding
        case .awaitingKey: .awaitingKey
        case .extended(let extended): extended.machine.stateName == .answering ? .decidingInside : .extended
        }
    }

    /// The state of the closing handshake.
    package var closingState: ClosingHandshake.State { self.link.closing.state }
    /// The closing handshake's own deadline.
    package var closingDeadline: NIODeadline? { self.link.closing.deadline }

    /// The state of the pings of an open socket.
    package var keepAliveState: KeepAlive.State? { self.stage.isOpen ? self.socket.keepAlive?.state : nil }

    /// The state of the client's machine of the opening handshake, from its request to the response.
    package var openingClientState: OpeningClient.StateName? {
        guard let client = self.stage.client, case .opening(let opening) = client.state else { return nil }
        return opening.machine.stateName
    }

    /// The state of the server's machine of the opening handshake, until it has read a request.
    package var openingServerState: OpeningServer.StateName? {
        guard let server = self.stage.server, case .reading(let reading) = server.state else { return nil }
        return reading.machine.stateName
    }

    /// The state of the client's machine of the extended handshake, while it runs.
    package var extendedClientState: ExtendedClient.State? {
        guard let client = self.stage.client, case .extended(let extended) = client.state else { return nil }
        return extended.machine.state
    }

    /// The state of the server's machine of the extended handshake, while it runs.
    package var extendedServerState: ExtendedServer.StateName? {
        guard let server = self.stage.server, case .extended(let extended) = server.state else { return nil }
        return extended.machine.stateName
    }
}
