// The server's side of the openings before RFC 6455: hixie-76 and the text of 2010 have eight bytes after the request, on
// which the answer depends.

import HTTPTypes
import NIOCore

/// The 101 that waits for the eight bytes after its request.
struct AwaitedKey {
    var request: OpeningRequest
    var accepted: AcceptedPlan
    var head: ResponseHead
    var subprotocol: String?
    var isHeadSent: Bool
}

extension Connection {
    mutating func accept(
        _ request: OpeningRequest,
        _ accepted: AcceptedPlan,
        response: HandshakeResponse?,
        in dialect: Dialect,
        of server: ServerHandshake,
        now: NIODeadline
    ) {
        let values = accepted.plan.values
        let subprotocol = accepted.plan.openingSubprotocol(of: request, chosen: response?.subprotocol)
        // D40
        guard
            dialect != .whatwg2010 || subprotocol != nil || request.subprotocols.isEmpty
                || values.servesWithoutSubprotocol
        else { return self.refuseOpening(.noSubprotocol(), now: now) }
        let head = OpeningServer.acceptance(
            of: request,
            in: dialect,
            location: request.url(isSecure: server.isSecure),
            subprotocol: subprotocol,
            fields: response?.headers ?? HTTPFields()
        )
        self.link.speak(dialect, configuration: self.configuration)
        var awaited = AwaitedKey(
            request: request,
            accepted: accepted,
            head: head,
            subprotocol: subprotocol,
            isHeadSent: false
        )
        if values.answersBeforeKeys || dialect.opening == .invariant {
            self.output.write { head.write(into: &$0) }
            awaited.isHeadSent = true
        }
        guard dialect.opening == .twoKeys else { return self.accepted(awaited, of: server, now: now) }
        server.awaitKey(awaited)
    }

    /// W10-7: the bytes come late, or with the first frames after them. The opening's deadline bounds them (threat D5).
    mutating func advance(_ awaited: AwaitedKey, of server: ServerHandshake, now: NIODeadline) {
        guard let numbers = awaited.request.numbers else {
            assertionFailure("a request without keys waits for the bytes behind them")
            return self.giveUp(awaited, Refusal(500, "The request cannot be answered."), of: server, now: now)
        }
        guard let key3 = self.inbound.readBytes(length: 8) else { return }
        guard let answer = HixieKeys.answer(numbers.first, numbers.second, key3) else {
            return self.giveUp(awaited, Refusal(500, "This server cannot compute MD5."), of: server, now: now)
        }
        self.output.write { buffer in
            if !awaited.isHeadSent { awaited.head.write(into: &buffer) }
            buffer.writeBytes(answer)
        }
        self.accepted(awaited, of: server, now: now)
    }

    private mutating func accepted(_ awaited: AwaitedKey, of server: ServerHandshake, now: NIODeadline) {
        if self.isObserved {
            self.actions.append(.event(.openingResponse(head: awaited.head.redactedText, status: 101)))
        }
        self.link.isUp = true
        guard !awaited.accepted.plan.values.extended else {
            return self.startExtended(
                awaited.request,
                awaited.accepted,
                acceptValue: AcceptValue(),
                of: server,
                now: now
            )
        }
        self.open(
            .opened(
                HandshakeSummary(
                    url: awaited.request.url(isSecure: server.isSecure),
                    dialect: self.link.codec.dialect,
                    subprotocol: awaited.subprotocol,
                    extensions: [],
                    status: nil,
                    response: nil,
                    principal: awaited.accepted.principal
                )
            ),
            negotiated: [],
            extensions: [],
            sessionLifetime: awaited.accepted.plan.values.sessionLifetime,
            now: now
        )
    }

    mutating func awaitedTooLong(_ awaited: AwaitedKey, of server: ServerHandshake, now: NIODeadline) {
        let late = Refusal(408, "The eight bytes behind the request did not come in time.")
        self.giveUp(awaited, late, of: server, now: now)
    }

    /// Ends the handshake without an answer of the eight bytes: a refusal, or the end alone where the head of the 101 is out.
    private mutating func giveUp(
        _ awaited: AwaitedKey,
        _ refusal: Refusal,
        of server: ServerHandshake,
        now: NIODeadline
    ) {
        guard !awaited.isHeadSent else { return self.end(clean: false) }
        server.decide(awaited.request)
        self.refuseOpening(refusal, now: now)
    }
}
