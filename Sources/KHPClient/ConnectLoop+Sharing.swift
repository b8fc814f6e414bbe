// A hop on a connection that is there already, where the client shares those of protocols with streams.
//
//   a connection to the place ── has room ──▶ a stream on it ── lost before any answer ──▶ once more, on one of its own
//      │                                         └── no answer in time: no more streams on it ──▲ where time is left
//      └── there is none ──▶ one dials, all others wait ──▶ look again
//
// A stream that the server says it has done nothing with is asked for once more, or over HTTP/1.1, on any connection.

import KHPProtocol
import KHPWebSocket
import NIOCore

/// How a connect uses protocols of streams.
struct StreamUse {
    let shared: StreamConnectionPool
    /// The origins of this connect that speak HTTP/2 and take no WebSocket there.
    var origins: Set<String> = []
    /// True once a stream on a shared connection was lost, or not answered: the next hops have connections of their own.
    var isAlone = false
    /// True once a proxy has asked for a login, which is that of this connect alone (threat F14).
    var hasLoggedIn = false

    /// A second try of a hop that has failed before any answer.
    enum Remedy {
        /// The hop again, over HTTP/1.1.
        case withoutStreams
        /// The hop again, on a connection of its own.
        case alone
    }

    /// The way on after the refusal of a stream on a connection that was dialled for it; `nil` where there is none.
    /// - Parameters:
    ///   - isRequired: true where HTTP/1.1 will not do.
    ///   - isOnShared: true for a stream on a connection that was there before.
    static func remedy(
        for refusal: StreamRefusal,
        isRequired: Bool,
        isOnShared: Bool,
        isAlone: Bool
    ) -> Remedy? {
        switch refusal {
        case .wantsHTTP1: isRequired ? nil : .withoutStreams
        // A new connection may have room, or lead to another server behind a balancer; one more try is enough.
        case .unprocessed where isOnShared || isRequired: isAlone ? nil : .alone
        case .unprocessed: .withoutStreams
        }
    }

    /// True where a stream was lost on which nothing had been answered: the connection was about to end, or the server has
    /// refused the stream (RFC 9113 sections 6.8 and 8.7). Either says nothing about the server. Nor does its silence: the
    /// process or the balancer behind this one connection may hang.
    /// - Parameter isInTime: true where the connect has time for another.
    static func isWorthAnother(_ error: WebSocketError, isInTime: Bool) -> Bool {
        if self.isSilence(error) { return isInTime }
        return error.response == nil && (error.code == .closedDuringHandshake || error.code == .connectFailed)
    }

    /// True where the server has not answered in time: a connection like that would keep all who share it waiting, each for
    /// all of its time.
    static func isSilence(_ error: WebSocketError) -> Bool { error.response == nil && error.code == .timeout }
}

extension ConnectLoop {
    mutating func shareOrDial(_ plan: ClientPlan, through proxy: Proxy?, at addresses: [SocketAddress]) async throws
        -> Hop
    {
        guard let place = self.place(of: plan, through: proxy) else {
            return try await self.dial(plan, through: proxy, to: addresses)
        }
        if let hop = try await self.stream(plan, at: place, to: addresses) { return hop }
        let turn = await self.gate.permit(for: [place.turn], until: self.deadline, on: self.eventLoop)
        guard let turn else {
            try Task.checkCancellation()
            throw self.notComplete()
        }
        do {
            if let hop = try await self.stream(plan, at: place, to: addresses) {
                turn.giveBack()
                return hop
            }
            var hop = try await self.dial(plan, through: proxy, to: addresses)
            hop.turn = turn
            return hop
        } catch {
            turn.giveBack()
            throw error
        }
    }

    private mutating func dial(
        _ plan: ClientPlan,
        through proxy: Proxy?,
        to addresses: [SocketAddress]
    ) async throws -> Hop {
        guard let proxy else { return try await self.dial(plan, to: addresses) }
        return try await self.dial(plan, through: proxy, at: addresses)
    }

    /// Keeps a connection that is dialled now for others; `nil` where it is to have one stream.
    func share(_ plan: ClientPlan, through proxy: Proxy?) -> (@Sendable (any StreamConnection) -> Void)? {
        guard let place = self.place(of: plan, through: proxy), !self.streamUse.hasLoggedIn else { return nil }
        return { [weak shared = self.streamUse.shared] connection in
            if let shared { shared.add(connection, at: place) } else { connection.retire() }
        }
    }

    /// A hop has failed before anything was answered. A connection that is silent takes no more streams (threat F18), whether
    /// it was there before or was dialled for this hop and would be shared; those that are open stay.
    /// - Returns: the way on, where its request is worth another connection (threat F17); `nil` where the error is the end.
    func remedy(for hop: Hop, after error: WebSocketError) -> StreamUse.Remedy? {
        if StreamUse.isSilence(error) { self.streamUse.shared.retire(hop.channel) }
        if let refusal = error.streamRefusal {
            return StreamUse.remedy(
                for: refusal,
                isRequired: self.streams?.isRequired == true,
                isOnShared: hop.isOnShared,
                isAlone: self.streamUse.isAlone
            )
        }
        let isWorthAnother = StreamUse.isWorthAnother(error, isInTime: self.deadline > .now())
        return hop.isOnShared && isWorthAnother ? .alone : nil
    }

    private func place(of plan: ClientPlan, through proxy: Proxy?) -> SharedPlace? {
        guard self.streams?.sharesConnections == true, plan.url.isSecure, !self.streamUse.isAlone else { return nil }
        return SharedPlace(
            authority: "\(plan.url.host):\(plan.url.port)",
            proxy: proxy,
            presentsCertificate: self.attempt.presentsClientCertificate
        )
    }

    /// A stream on one of the connections that are there; `nil` where none has room. It takes the place of its address as a
    /// connection would (R-C1).
    private mutating func stream(
        _ plan: ClientPlan,
        at place: SharedPlace,
        to addresses: [SocketAddress]
    ) async throws -> Hop? {
        for connection in self.streamUse.shared.connections(at: place, to: addresses) {
            guard let address = connection.channel.remoteAddress else { continue }
            let places = place.proxy == nil ? [.address(address)] : ConnectPlace.through(proxyTo: plan.url.host)
            guard let permit = await self.gate.permit(for: places, until: self.deadline, on: self.eventLoop) else {
                try Task.checkCancellation()
                throw self.notComplete()
            }
            do {
                let info = self.info
                self.info.peer = address.peerName
                let (stream, steps) = AsyncStream.makeStream(of: ClientSession.Step.self)
                let factory = try self.handlerFactory(for: plan, steps: steps)
                let opened = connection.open { stream in
                    factory.place.isShared = true
                    return try factory.make(onStream: stream)
                }
                // One that has just ended has no room either.
                if (try? await opened.get()) == true {
                    var hop = Hop(factory.place, on: connection.channel, steps: stream, permit: permit)
                    hop.isOnShared = true
                    return hop
                }
                self.info = info
                permit.giveBack()
            } catch {
                permit.giveBack()
                throw error
            }
        }
        return nil
    }
}
