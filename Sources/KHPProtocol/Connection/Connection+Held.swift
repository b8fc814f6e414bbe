// The memory that a peer has made a connection hold, counted for tests.

import HTTPTypes
import NIOCore

extension Connection {
    /// Bytes that are held because a peer sent them, or does not take what was written: received and not taken in yet,
    /// parts of heads, contents and messages, actions that nobody has taken, answers that wait, and output.
    ///
    /// Nothing is counted whose size no peer chooses, as the windows of compression. It looks into each part of the
    /// connection, so it is for tests: nothing of it is kept up to date on the way of a message.
    package var heldBytes: Int {
        let stage =
            switch self.stage {
            case .handshake(.client(let client)): client.heldBytes
            case .handshake(.server(let server)): server.heldBytes
            case .open, .leaving, .unread, .ended: 0
            }
        return self.inbound.readableBytes + self.output.pendingBytes + self.link.codec.retainedBytes + stage
            + self.socket.heldBytes + self.actions.heldBytes
    }
}

extension ClientHandshake {
    fileprivate var heldBytes: Int {
        switch self.state {
        case .connecting(let opening), .opening(let opening):
            opening.machine.heldBytes + (opening.challenge?.heldBytes ?? 0)
        case .challenged(let challenged): challenged.response.heldBytes
        case .extended(let extended): extended.machine.heldBytes + extended.opened.head.fields.received.readableBytes
        }
    }
}

extension ServerHandshake {
    fileprivate var heldBytes: Int {
        switch self.state {
        case .connecting: 0
        case .reading(let reading): reading.machine.heldBytes
        case .deciding(let request): request?.head.fields.received.readableBytes ?? 0
        case .awaitingKey(let awaited): awaited.request.head.fields.received.readableBytes
        case .extended(let extended): extended.machine.heldBytes + extended.opening.head.fields.received.readableBytes
        }
    }
}

extension HandshakeResponse {
    fileprivate var heldBytes: Int {
        self.headers.reduce(self.ownBody?.storageCapacity ?? 0) {
            $0 + $1.name.rawName.utf8.count + $1.value.utf8.count
        }
    }
}

extension OpenSocket {
    fileprivate var heldBytes: Int {
        (self.stream?.collected.storageCapacity ?? 0) + self.pongBytes
            + (self.heldClose?.payload.reason.utf8.count ?? 0)
            + (self.keepAlive?.heldBytes ?? 0) + (self.extensions?.heldBytes ?? 0)
    }
}

extension ActionQueue {
    fileprivate var heldBytes: Int { self.waiting.reduce(0) { $0 + $1.heldBytes } }
}

extension ConnectionAction {
    fileprivate var heldBytes: Int {
        switch self {
        case .message(_, let payload), .pong(_, let payload, _): payload.readableBytes
        case .chunk(let chunk): chunk.bytes.readableBytes
        case .event(.frameReceived(let frame)), .event(.frameSent(let frame)): frame.payload.readableBytes
        case .client(let step): step.heldBytes
        case .server(let step): step.heldBytes
        case .failed(let error): error.response?.heldBytes ?? 0
        case .peerClosing, .opened, .closed, .event: 0
        }
    }
}

extension ClientStep {
    fileprivate var heldBytes: Int {
        switch self {
        case .established(let head): head.fields.received.readableBytes
        case .challenge(let response, _): response.heldBytes
        case .hopEnded(let outcome): outcome.response.heldBytes
        }
    }
}

extension ServerStep {
    fileprivate var heldBytes: Int {
        switch self {
        case .decideOpening(let request): request.head.fields.received.readableBytes
        case .decideExtended(let request):
            request.head.fields.received.readableBytes + request.body.readableBytes
        case .plainRequest(let request): request.head.fields.received.readableBytes
        case .handOn(let undecoded): undecoded.bytes.readableBytes
        case .proxyHeader: 0
        }
    }
}
