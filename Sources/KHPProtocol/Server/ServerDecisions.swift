// A server's decisions about the requests of one connection, without I/O: it is given each request and says what the
// connection answers at once, or which question has to be answered first. The product's server, the transcripts and the
// pipe of KHPTesting all use this one.
//
// States × events:
//                  opening request      plain request        extended request  reply
//   reading        refuse, accept, ask  refuse, ask, plain   bug               bug
//   asking         bug                  bug                  bug               accept, refuse, wait; inside: answer, wait
//   answeringPlain bug                  bug                  bug               bug; refused or handed over instead
//   accepted       bug                  bug                  ask, complete     bug
//   over           bug                  bug                  bug               left alone
//
// A reply is left alone where the connection has ended meanwhile, which a client can do at any time.
// It is over too once the socket is open.
//
// Bugs are ours, never a peer's: the connection hands over one request at a time.

import HTTPTypes
package import NIOCore

package struct ServerDecisions {
    /// The next step of the shell.
    package enum Next {
        /// Nothing: the connection has its answer.
        case nothing
        /// Find the answer, then call ``reply(_:on:now:)``.
        case ask(ServerQuestion)
        /// Call ``completeExtended(on:now:)`` once all that has been read is taken: what came with the request came before
        /// the answer (D33).
        case completeAfterRead
        /// Run the closure, then call ``reply(_:on:now:)`` with its response: it follows a 202.
        case wait(@Sendable () async throws -> HandshakeResponse)
        /// Serve an ordinary HTTP request elsewhere, with ``handOverPlain(of:)``, or call ``refusePlain(on:now:)`` for
        /// the server's own answer.
        case plain(CheckedRequest)
    }

    private enum State {
        case reading
        indirect case asking(ServerQuestion)
        indirect case answeringPlain(CheckedRequest)
        /// The 101 of the opening is sent.
        case accepted(Accepted)
        case over
    }

    /// The requests of a client that an endpoint has accepted.
    package struct Accepted: Sendable {
        package let match: EndpointMatch
        package let opening: OpeningRequest
        /// The last request of the extended handshake.
        package var extended: ExtendedRequest?
    }

    private var endpoints: EndpointSet
    private var state = State.reading
    /// Counts the questions about credentials, or to the application.
    package private(set) var attempts = 0
    /// The client, where it has proved who it is.
    package private(set) var principal: Principal?
    /// The end of that proof.
    private var sessionEnd: NIODeadline?
    private var confirmation: DigestConfirmation?

    package init(_ endpoints: EndpointSet) {
        self.endpoints = endpoints
    }

    /// The request that comes next is looked up in these.
    package mutating func lookUp(in endpoints: EndpointSet) {
        self.endpoints = endpoints
    }

    /// The socket is open: hands over the requests that led to it, and keeps them no longer. A proof that ends before
    /// the session does ends it.
    package mutating func opened(on connection: inout Connection) -> Accepted? {
        guard case .accepted(let accepted) = self.state else { return nil }
        self.state = .over
        if let sessionEnd { connection.socket.endSession(by: sessionEnd) }
        return accepted
    }

    /// `true` while credentials are checked: those of a client that has gone need not be.
    ///
    /// Mutating in form only: for a plain getter the compiler copies all of this out of the object that holds it.
    package var checksCredentials: Bool {
        mutating get {
            guard case .asking(let question) = self.state else { return false }
            return question.asksForCredentials && question.presented != nil
        }
    }

    /// `true` while a question waits for its reply.
    package var awaitsReply: Bool {
        switch self.state {
        case .asking: true
        case .reading, .answeringPlain, .accepted, .over: false
        }
    }

    /// The state by name, for a simulation that counts which of them it has seen.
    package var stateName: DecisionState {
        switch self.state {
        case .reading: .reading
        case .asking: .asking
        case .answeringPlain: .answeringPlain
        case .accepted: .accepted
        case .over: .over
        }
    }

    /// The connection has ended: no reply counts any more.
    package mutating func ended() { self.state = .over }

    // MARK: The opening handshake

    /// Decides about an opening request.
    ///
    /// - Parameter roomRefusal: the refusal where the shell has no room for one more, or for one of this client; asked once
    ///   the host is known to be served.
    package mutating func decide(
        _ request: OpeningRequest,
        on connection: inout Connection,
        now: NIODeadline,
        roomRefusal: () -> Refusal? = { nil }
    ) -> Next {
        guard case .reading = self.state else { return Self.bug("an opening request out of turn") }
        if let refusal = self.refusal(of: request.head, at: request.authority, roomRefusal: roomRefusal) {
            return self.refuse(refusal, on: &connection, now: now)
        }
        let match: EndpointMatch
        do throws(Refusal) {
            guard let found = try self.endpoints.match(request.path) else { throw .notFound() }
            match = found
        } catch {
            return self.refuse(error, on: &connection, now: now)
        }
        // Not the values as a whole: a copy of them costs more than all that is looked at.
        let endpoint = match.endpoint
        guard endpoint.values.plan.dialects.contains(where: { $0.opening == request.opening }) else {
            return self.refuse(.dialectNotServed(endpoint.values.plan.dialects), on: &connection, now: now)
        }
        guard endpoint.values.origins.allows(request.origin, at: request.authority, isSecure: connection.isSecure)
        else {
            return self.refuse(.originRefused(), on: &connection, now: now)
        }
        let extended = request.offersExtendedHandshake && endpoint.values.extendedHandshake != .off
        if !extended, endpoint.values.extendedHandshake == .required {
            // KHP-O5
            let refusal = Refusal(400, "This endpoint requires the subprotocol x-kaazing-handshake.")
            return self.refuse(refusal, on: &connection, now: now)
        }
        // D24: a client that takes no part in the extended handshake is asked, and answered, here.
        let asksForCredentials = endpoint.values.authenticatesIn.map { !extended || $0 == .opening } ?? false
        let asksApplication = !extended && endpoint.values.asksApplication
        guard asksForCredentials || asksApplication || endpoint.values.asksBefore else {
            return self.accept(request, at: match, extended: extended, nil, on: &connection, now: now)
        }
        return self.ask(.opening(request), at: match, asksForCredentials, asksApplication)
    }

    private mutating func accept(
        _ request: OpeningRequest,
        at match: EndpointMatch,
        extended: Bool,
        _ response: HandshakeResponse?,
        on connection: inout Connection,
        now: NIODeadline
    ) -> Next {
        var response = response
        if let confirmation = self.confirmation {
            var confirmed = response ?? .complete()
            confirmed.headers[.authenticationInfo] = confirmation.authenticationInfo()
            response = confirmed
            self.confirmation = nil
        }
        self.state = .accepted(Accepted(match: match, opening: request))
        connection.acceptOpening(
            extended ? match.endpoint.extendedPlan : match.endpoint.plainPlan,
            principal: self.principal?.name,
            response: response,
            now: now
        )
        return .nothing
    }

    private mutating func refuse(_ refusal: Refusal, on connection: inout Connection, now: NIODeadline) -> Next {
        self.state = .over
        connection.refuseOpening(refusal, now: now)
        return .nothing
    }

    /// The refusal of a request that is not served whoever asks: it names another host, or its address has too many
    /// connections in a handshake.
    private func refusal(of head: RequestHead, at authority: Authority?, roomRefusal: () -> Refusal?) -> Refusal? {
        guard self.endpoints.hosts.allows(authority) else { return .misdirected(method: head.method) }
        return roomRefusal()
    }

    // MARK: The extended handshake

    /// Decides about an extended request.
    package mutating func decide(_ request: ExtendedRequest) -> Next {
        guard case .accepted(var accepted) = self.state else { return Self.bug("an extended request out of turn") }
        accepted.extended = request
        self.state = .accepted(accepted)
        let endpoint = accepted.match.endpoint
        let asksForCredentials = endpoint.values.authenticatesIn == .extended
        let asksApplication = endpoint.values.asksApplication
        guard asksForCredentials || asksApplication || endpoint.values.asksBefore else { return .completeAfterRead }
        return self.ask(.extended(request), at: accepted.match, asksForCredentials, asksApplication)
    }

    /// Completes the extended handshake, nobody having to be asked.
    package mutating func completeExtended(on connection: inout Connection, now: NIODeadline) {
        connection.answerExtended(.complete(), principal: self.principal?.name, now: now)
    }

    // MARK: Plain requests

    /// Decides about a request that opens no WebSocket.
    ///
    /// - Parameter roomRefusal: as for an opening request.
    package mutating func decide(
        _ plain: CheckedRequest,
        on connection: inout Connection,
        now: NIODeadline,
        roomRefusal: () -> Refusal? = { nil }
    ) -> Next {
        guard case .reading = self.state else { return Self.bug("a plain request out of turn") }
        if let refusal = self.refusal(of: plain.head, at: plain.authority, roomRefusal: roomRefusal) {
            return self.refuse(refusal, on: &connection, now: now)
        }
        if let preflight = CookiePreflight(plain), let match = try? self.endpoints.match(preflight.path),
            match.endpoint.values.plan.kaazingLegacy
        {
            // Where the endpoint challenges in the opening handshake, it does so here already.
            return self.ask(.preflight(preflight), at: match, match.endpoint.values.authenticatesIn == .opening, false)
        }
        self.state = .answeringPlain(plain)
        return .plain(plain)
    }

    /// Answers an ordinary HTTP request as a server without an HTTP handler does.
    package mutating func refusePlain(on connection: inout Connection, now: NIODeadline) {
        guard case .answeringPlain(let plain) = self.state else { return self.unasked("a plain refusal out of turn") }
        _ = self.refuse(self.endpoints.refusal(of: plain), on: &connection, now: now)
    }

    /// An ordinary HTTP request is answered elsewhere, and the connection goes there with it.
    package mutating func handOverPlain(of connection: inout Connection) -> ByteBuffer {
        self.state = .over
        return connection.takeInbound()
    }

    // MARK: Replies

    private mutating func ask(
        _ subject: ServerQuestion.Subject,
        at match: EndpointMatch,
        _ asksForCredentials: Bool,
        _ asksApplication: Bool
    ) -> Next {
        // Requests that only pass by are none of the application's.
        if asksForCredentials || asksApplication { self.attempts += 1 }
        let question = ServerQuestion(
            subject: subject,
            match: match,
            asksForCredentials: asksForCredentials,
            asksApplication: asksApplication,
            attempt: max(1, self.attempts),
            principal: self.principal
        )
        self.state = .asking(question)
        return .ask(question)
    }

    /// Takes the reply to the question.
    package mutating func reply(_ reply: ServerReply, on connection: inout Connection, now: NIODeadline) -> Next {
        guard case .asking(let question) = self.state else {
            self.unasked("a reply out of turn")
            return .nothing
        }
        if question.asksForCredentials {
            self.principal = reply.principal
            self.sessionEnd = reply.sessionEnd
        }
        self.confirmation = reply.confirmation
        return self.answer(question, reply.response, on: &connection, now: now)
    }

    /// Takes the response that follows a 202; the client stays who it was.
    package mutating func reply(
        after response: HandshakeResponse,
        on connection: inout Connection,
        now: NIODeadline
    ) -> Next {
        guard case .asking(let question) = self.state else {
            self.unasked("a reply out of turn, behind a 202")
            return .nothing
        }
        return self.answer(question, response, on: &connection, now: now)
    }

    private mutating func answer(
        _ question: ServerQuestion,
        _ response: HandshakeResponse,
        on connection: inout Connection,
        now: NIODeadline
    ) -> Next {
        let match = question.match
        switch question.subject {
        case .opening(let request):
            if response.completes {
                let extended =
                    request.offersExtendedHandshake && question.endpoint.values.extendedHandshake != .off
                return self.accept(
                    request,
                    at: match,
                    extended: extended,
                    response,
                    on: &connection,
                    now: now
                )
            }
            // A 202 makes sense inside a connection only; it is not sent, and what follows it is the answer.
            if let next = response.next { return .wait(next) }
            self.state = .over
            if question.endpoint.values.plan.kaazingLegacy, connection.balanceOpening(response, now: now) {
                return .nothing
            }
            connection.refuseOpening(response, now: now)
            return .nothing
        case .preflight:
            if let next = response.next { return .wait(next) }
            self.state = .over
            connection.refuseOpening(response, now: now)
            return .nothing
        case .extended(let request):
            var response = response
            if response.completes, let confirmation = self.confirmation {
                let body = response.status == 201 ? response.body : ByteBuffer()
                response.headers[.authenticationInfo] = confirmation.authenticationInfo(entity: body)
            }
            if response.next == nil {
                self.state = .accepted(Accepted(match: match, opening: request.opening, extended: request))
            }
            connection.answerExtended(response, principal: self.principal?.name, now: now)
            return response.next.map { .wait($0) } ?? .nothing
        }
    }

    /// A reply that no question waits for: it comes too late, or it is a bug.
    private func unasked(_ message: StaticString) {
        if case .over = self.state { return }
        _ = Self.bug(message)
    }

    private static func bug(_ message: StaticString) -> Next {
        assertionFailure("The server's decisions were given \(message).")
        return .nothing
    }
}

extension ServerDecisions {
    /// A row of their table.
    package enum DecisionState: String, CaseIterable, Sendable { case reading, asking, answeringPlain, accepted, over }
}
