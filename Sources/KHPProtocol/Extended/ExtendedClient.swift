// The client's half of the extended handshake: one request, then the action that the status table names, until the
// handshake has completed or failed. Redirects, choices, challenges and proxies are named here and carried out outside.
//
// States × events:
//                 message                                deadline               credentials
//   idle          fail extendedInvalid, 1011             none is set            left alone
//   balancing     balancer message → the request,        fail timeout, 1008     left alone
//                 waiting; or as it says
//   waiting       100 → send the body, waiting           of the body: send it   left alone
//                 101 201 204 205 → finished, complete   of content: as the
//                 202 → waiting, longer                  table says
//                 401 → challenged                       else fail timeout,
//                 others → finished, as the table says   1008
//   challenged    fail extendedInvalid, 1011 (KHP-E3)    none is set            the request once more, waiting
//   settling      balancer message → finished,           fail timeout, 1008     left alone
//                 complete; or as it says
//   finished      left alone                             nothing                left alone
//
// The end of the connection is ``Connection``'s to tell; it counts a head that refuses as the answer (D28).
// `balancing` and `settling` belong to the Kaazing legacy exchange (D7), in which an empty message ends each response.
//
// - our own bug or the API user's: refused by ``ExtendedClientPlan/validate()``;
// - the server's violation: fail with the close code of D6;
// - ignored: at most two balancer messages that say "go on" before a response (D7), the content behind a response
//   that closes.

package import NIOCore

/// The outcome of a completed extended handshake.
///
/// A class because it is handed from stage to stage and holds much; nothing in it ever changes.
package final class ExtendedResult: Sendable {
    /// 101, 201, 204 or 205.
    package var status: Int { self.head.status }
    package let head: ResponseHead
    package let entity: ByteBuffer
    /// The application's subprotocol, if the server selected one.
    package let subprotocol: String?
    /// The extensions of both handshakes.
    package let extensions: OfferedExtensions

    init(head: ResponseHead, entity: ByteBuffer, subprotocol: String?, extensions: OfferedExtensions) {
        self.head = head
        self.entity = entity
        self.subprotocol = subprotocol
        self.extensions = extensions
    }

    /// Head and content for the application. Made on each call: keep the result.
    package var response: HandshakeResponse { HandshakeResponse(head: self.head, body: self.entity) }
}

package struct ExtendedClient {
    package enum Action: Sendable {
        /// Nothing to do, or nothing any more.
        case none
        /// The WebSocket is open.
        case complete(ExtendedResult)
        /// 202: the final response may take until then.
        case waiting(HandshakeResponse, until: NIODeadline)
        /// The response completes, and the second balancer message decides (D7).
        case settled(ExtendedResult)
        /// The balancer lets us go on: send the request (D7).
        case sendRequest(ByteBuffer)
        /// A balancer names another place: close with 1000, then connect there (D7).
        case balanced(to: String)
        /// 100, or nothing for so long that the server may be one that waits for it: send this message.
        case sendBody(ByteBuffer, HandshakeResponse?)
        /// A 100 that came when the body had gone out unasked.
        case continued(HandshakeResponse)
        /// 401: get credentials and call ``ExtendedClient/authorize(_:now:)``, or close with 1000.
        case challenge(HandshakeResponse)
        /// 401 whose content did not end, so that nobody knows where the answer to a replay would begin: close with
        /// 1000, and answer on a fresh connection (D28).
        case challengeAfresh(HandshakeResponse)
        /// Close with 1000, then open Location.
        case redirect(HandshakeResponse)
        /// Close with 1000, then open one of the choices.
        case choose(HandshakeResponse)
        /// Close with 1000, then perhaps open with an upgraded protocol.
        case upgrade(HandshakeResponse)
        /// Close with 1000, then perhaps authenticate with the proxy.
        case proxyAuthentication(HandshakeResponse)
        /// Close with this code; the extended handshake failed.
        case fail(WebSocketError, close: WebSocketCloseCode)
    }

    package enum State: String, CaseIterable, Sendable {
        case idle
        case balancing
        case waiting
        case challenged
        case settling
        case finished
    }

    /// The request's content and its way out.
    private enum Body {
        case none
        case heldBack
        /// The server may still send its 100.
        case sentUnasked
        case sent
    }

    private let plan: ExtendedClientPlan
    private let limits: Limits
    private let waits: HandshakeWaits
    private var reader: ExtendedResponseReader
    /// In place of ``reader`` where responses end as deployed gateways end them.
    private var legacyReader: LegacyResponseReader?
    /// The outcome that waits for the second balancer message.
    private var settled: ExtendedResult?
    package private(set) var state = State.idle
    private var body = Body.none
    private var balancerMessages = 0
    private var processingResponses = 0
    private var processingDeadline: NIODeadline?

    /// Until when an answer, or credentials, have to come. Absolute: no byte extends it (D15).
    private var answerDeadline: NIODeadline?
    /// Until when the content of a refusal has to come; no byte extends that either (D28).
    private var contentDeadline: NIODeadline?
    /// When the body goes out unasked.
    private var bodyDue: NIODeadline?

    /// Until when something has to happen; call ``deadlineReached(now:)`` then.
    package var deadline: NIODeadline? {
        guard var earliest = self.answerDeadline else { return nil }
        if let contentDeadline { earliest = min(earliest, contentDeadline) }
        if let bodyDue { earliest = min(earliest, bodyDue) }
        return earliest
    }

    /// Bytes of memory for the part of an answer that has come.
    var heldBytes: Int { self.reader.heldBytes + (self.legacyReader?.heldBytes ?? 0) }

    package init(
        _ plan: ExtendedClientPlan,
        limits: Limits = Limits(),
        waits: HandshakeWaits = HandshakeWaits()
    ) {
        self.plan = plan
        self.limits = limits
        self.waits = waits
        self.reader = ExtendedResponseReader(limits: limits, method: plan.method)
        if plan.legacy.hasTerminator { self.legacyReader = LegacyResponseReader(limits: limits, method: plan.method) }
    }

    /// The request, to be sent as one message now; `nil` where the balancer has to speak first (D7).
    package mutating func begin(now: NIODeadline) -> ByteBuffer? {
        guard self.plan.legacy.hasBalancer else { return self.start(now: now) }
        self.state = .balancing
        self.answerDeadline = now + self.waits.extended
        return nil
    }

    /// The request, to be sent as one binary message.
    package mutating func start(now: NIODeadline) -> ByteBuffer {
        self.request(authorization: self.plan.authorization, now: now)
    }

    /// The request once more, with authorization (KHP-E17); `nil`, with nothing done, where no challenge waits for it.
    package mutating func authorize(_ authorization: String, now: NIODeadline) -> ByteBuffer? {
        guard self.state == .challenged else { return nil }
        return self.request(authorization: authorization, now: now)
    }

    private mutating func request(authorization: String?, now: NIODeadline) -> ByteBuffer {
        // D15: waiting for the balancer does not extend the wait for the answer.
        if self.state != .balancing { self.answerDeadline = now + self.waits.extended }
        self.state = .waiting
        self.body = self.plan.body == nil ? .none : .heldBack
        self.bodyDue = self.plan.body == nil ? nil : now + Limits.Fixed.continueWait
        self.processingDeadline = nil
        return self.plan.writeRequest(authorization: authorization)
    }

    /// Takes one whole message, text or binary alike.
    package mutating func receive(_ payload: ByteBuffer, now: NIODeadline) -> Action {
        switch self.state {
        case .finished:
            return .none
        case .balancing, .settling:
            return self.takeBalancerMessage(payload, now: now)
                ?? self.fail(.extendedInvalid, "a balancer message is due, and another one came", close: .internalError)
        case .idle, .challenged:
            if let action = self.takeBalancerMessage(payload, now: now) { return action }
            return self.fail(.extendedInvalid, "a message came that answers no request", close: .internalError)
        case .waiting:
            do throws(ExtendedResponseReader.Failure) {
                return try self.receiveResponse(payload, now: now)
            } catch {
                return self.fail(error.code, error.what, self.reader.head, close: error.closeCode)
            }
        }
    }

    private mutating func receiveResponse(
        _ payload: ByteBuffer,
        now: NIODeadline
    ) throws(ExtendedResponseReader.Failure) -> Action {
        if self.reader.isEmpty, self.legacyReader?.isEmpty ?? true,
            let action = self.takeBalancerMessage(payload, now: now)
        {
            return action
        }
        if var legacy = self.legacyReader {
            self.legacyReader = nil
            defer { self.legacyReader = legacy }
            if KaazingLegacyMessage.isBalancer(payload) {
                throw .invalid("a balancer message came before its end")
            }
            guard case .response(let head, let known, let entity) = try legacy.receive(payload) else {
                var ended = legacy
                if case .response(let head, _, _)? = try? ended.finish(isCut: true) {
                    self.boundContent(of: head, now: now)
                }
                self.bodyDue = legacy.isEmpty ? self.bodyDue : nil
                return .none
            }
            return self.act(on: head, known, entity: entity, rest: 0, now: now)
        }
        guard case .response(let head, let known, let entity, let rest) = try self.reader.receive(payload) else {
            // An answer is coming, so the body is not sent unasked.
            if !self.reader.isEmpty { self.bodyDue = nil }
            if let head = self.reader.head { self.boundContent(of: head, now: now) }
            return .none
        }
        self.reader.reset()
        return self.act(on: head, known, entity: entity, rest: rest, now: now)
    }

    /// A balancer message, at most two of them in all (threat E15): "go on" where we wait for it, and where gateways
    /// say it unasked; another place to go to; or none. `nil`: it is none, or one too many.
    private mutating func takeBalancerMessage(_ payload: ByteBuffer, now: NIODeadline) -> Action? {
        guard self.balancerMessages < Limits.Fixed.balancerMessages,
            let message = KaazingLegacyMessage(balancer: payload)
        else { return nil }
        // Between a challenge and its answer no server sends us away.
        if self.state == .challenged || self.state == .idle, message != .noBalancer { return nil }
        self.balancerMessages += 1
        switch message {
        case .noBalancer:
            switch self.state {
            case .balancing: return .sendRequest(self.start(now: now))
            case .settling: return self.settled.map { self.finish(.complete($0)) }
            case .idle, .waiting, .challenged, .finished: return Action.none
            }
        case .redirect(let url):
            guard url.utf8.count <= self.limits.lineBytes else {
                return self.fail(.limitExceeded, "the balancer's URL is too long", close: .messageTooBig)
            }
            return self.finish(.balanced(to: url))
        case .noMember:
            let error = WebSocketError(
                .redirectRefused,
                "The balancer has no member that could take the connection.",
                url: self.plan.url,
                closeCode: .normalClosure,
                phase: .extended
            )
            return self.finish(.fail(error, close: .normalClosure))
        case .endOfResponse:
            return nil
        }
    }

    /// D28: the wait for the content of a refusal begins with its head.
    private mutating func boundContent(of head: ResponseHead, now: NIODeadline) {
        if self.contentDeadline == nil, self.refuses(head.status) {
            self.contentDeadline = now + Limits.Fixed.contentWait
        }
    }

    /// True for a status that is acted on without all of the content: neither one that completes the handshake nor one
    /// that lets it go on.
    private func refuses(_ status: Int) -> Bool {
        // Late, and no more than a 100 that came in time.
        if status == 100, self.body == .sentUnasked { return false }
        return switch self.action(forStatus: status) {
        case .complete, .wait, .sendBody: false
        case .challenge, .redirect, .choose, .close, .upgrade, .proxyAuth: true
        }
    }

    private func action(forStatus status: Int) -> StatusAction {
        StatusAction.action(
            forStatus: status,
            method: self.plan.method,
            expectsContinue: self.body == .heldBack,
            followsPermanentRedirect: self.plan.followsPermanentRedirect
        )
    }

    /// Nothing more will come of an answer, or nobody waits for more: the peer closes (KHP-E12), or the time is over. One
    /// that refuses counts with what came of its content (D28); gateways do not always send the empty message that ends
    /// theirs. `nil`: there is none.
    package mutating func settle(now: NIODeadline) -> Action? {
        guard self.state == .waiting else { return nil }
        if var legacy = self.legacyReader {
            guard !legacy.isEmpty, case .response(let head, let known, let entity)? = try? legacy.finish(isCut: true),
                self.refuses(head.status)
            else { return nil }
            self.legacyReader = legacy
            return self.act(on: head, known, entity: entity, rest: 0, isCut: true, now: now)
        }
        guard let (head, known, entity) = self.reader.unfinished, self.refuses(head.status) else { return nil }
        self.reader.reset()
        return self.act(on: head, known, entity: entity, rest: 0, isCut: true, now: now)
    }

    private mutating func act(
        on head: ResponseHead,
        _ known: KnownFields,
        entity: ByteBuffer,
        rest: Int,
        isCut: Bool = false,
        now: NIODeadline
    ) -> Action {
        self.contentDeadline = nil
        self.bodyDue = nil
        if head.status == 100, self.body == .sentUnasked, rest == 0 {
            self.body = .sent
            return .continued(HandshakeResponse(head: head, body: entity))
        }
        let action = self.action(forStatus: head.status)
        // D13: bytes behind a response that keeps the WebSocket open are an error; behind one that closes it they are
        // ignored.
        switch action {
        case .complete, .wait, .challenge, .sendBody:
            guard rest == 0 else {
                return self.fail(
                    .extendedInvalid,
                    "there are bytes behind it in its message",
                    head,
                    entity,
                    close: .internalError
                )
            }
        case .redirect, .choose, .close, .upgrade, .proxyAuth:
            break
        }
        switch action {
        case .complete:
            return self.complete(head, known, entity)
        case .sendBody:
            self.body = .sent
            return self.plan.body.map { .sendBody($0, HandshakeResponse(head: head, body: entity)) } ?? .none
        case .wait:
            return self.wait(head, entity, now: now)
        case .challenge where isCut:
            return self.finish(.challengeAfresh(HandshakeResponse(head: head, body: entity)))
        case .challenge:
            self.state = .challenged
            // No clock runs while the shell looks for an answer: it keeps that time itself (threat E12).
            self.answerDeadline = nil
            return .challenge(HandshakeResponse(head: head, body: entity))
        case .redirect:
            return self.finish(.redirect(HandshakeResponse(head: head, body: entity)))
        case .choose:
            return self.finish(.choose(HandshakeResponse(head: head, body: entity)))
        case .upgrade:
            return self.finish(.upgrade(HandshakeResponse(head: head, body: entity)))
        case .proxyAuth:
            return self.finish(.proxyAuthentication(HandshakeResponse(head: head, body: entity)))
        case .close:
            return self.refused(head, entity)
        }
    }

    private mutating func complete(_ head: ResponseHead, _ known: KnownFields, _ entity: ByteBuffer) -> Action {
        do throws(ExtendedResponseCheck.Mismatch) {
            let agreed = try ExtendedResponseCheck(of: head, known, to: self.plan)
            let result = ExtendedResult(
                head: head,
                entity: entity,
                subprotocol: agreed.subprotocol,
                extensions: agreed.extensions
            )
            guard self.plan.legacy.hasBalancer else { return self.finish(.complete(result)) }
            self.settled = result
            self.state = .settling
            return .settled(result)
        } catch {
            return self.fail(.extendedInvalid, error.message, head, entity, close: .internalError)
        }
    }

    private mutating func wait(_ head: ResponseHead, _ entity: ByteBuffer, now: NIODeadline) -> Action {
        self.processingResponses += 1
        guard self.processingResponses <= Limits.Fixed.processingResponses else {
            return self.fail(.limitExceeded, "it is one 202 too many", head, entity, close: .policyViolation)
        }
        // The wait runs from the first 202; later ones do not stretch it (D15).
        let until = self.processingDeadline ?? now + self.waits.processing
        self.processingDeadline = until
        self.answerDeadline = until
        return .waiting(HandshakeResponse(head: head, body: entity), until: until)
    }

    private mutating func refused(_ head: ResponseHead, _ entity: ByteBuffer) -> Action {
        let response = HandshakeResponse(head: head, body: entity)
        let isRedirectOfOther = self.isRedirectOfOther(head.status)
        let closeCode = StatusAction.closeCode(forStatus: head.status)
        return self.finish(
            .fail(
                WebSocketError(
                    isRedirectOfOther ? .redirectMethod : .extendedRefused,
                    isRedirectOfOther
                        ? RedirectMethod.refusal(response, after: self.plan.method, from: self.plan.url)
                        : "The server answered the extended handshake with \(response).",
                    detail: response.status == 308 && !isRedirectOfOther ? .status308 : nil,
                    url: self.plan.url,
                    response: response,
                    closeCode: closeCode,
                    phase: .extended
                ),
                close: closeCode
            )
        )
    }

    /// True for a status that is a redirect after GET, and not after this request's method (D41).
    private func isRedirectOfOther(_ status: Int) -> Bool {
        switch StatusAction.action(forStatus: status, followsPermanentRedirect: self.plan.followsPermanentRedirect) {
        case .redirect, .choose: self.plan.method != "GET"
        default: false
        }
    }

    /// The deadline passed: the content of an answer did not end, the body was not asked for, the response did not
    /// come, or the credentials did not (D15).
    package mutating func deadlineReached(now: NIODeadline) -> Action {
        guard let deadline, now >= deadline else { return .none }
        let isOver = self.answerDeadline.map { $0 <= now } ?? false
        if isOver || self.contentDeadline.map({ $0 <= now }) ?? false, let action = self.settle(now: now) {
            return action
        }
        self.contentDeadline = nil
        guard isOver else {
            self.bodyDue = nil
            guard self.body == .heldBack, let content = self.plan.body else { return .none }
            self.body = .sentUnasked
            return .sendBody(content, nil)
        }
        let what =
            switch self.state {
            case .balancing, .settling: "The server did not send the balancer message of Kaazing's gateways in time."
            default:
                self.reader.head.map { "The content of the server's \($0.status) did not come in time." }
                    ?? "The server did not answer the extended handshake in time."
            }
        let error = WebSocketError(
            .timeout,
            what,
            url: self.plan.url,
            response: self.reader.head.map { HandshakeResponse(head: $0) },
            closeCode: .policyViolation,
            phase: .extended
        )
        return self.finish(.fail(error, close: .policyViolation))
    }

    private mutating func finish(_ action: Action) -> Action {
        self.state = .finished
        self.answerDeadline = nil
        self.contentDeadline = nil
        self.bodyDue = nil
        return action
    }

    private mutating func fail(
        _ code: WebSocketError.Code,
        _ what: String,
        _ head: ResponseHead? = nil,
        _ entity: ByteBuffer = ByteBuffer(),
        close: WebSocketCloseCode
    ) -> Action {
        let error = WebSocketError(
            code,
            "The server's answer to the extended handshake is not valid: \(what).",
            url: self.plan.url,
            response: head.map { HandshakeResponse(head: $0, body: entity) },
            closeCode: close,
            phase: .extended
        )
        return self.finish(.fail(error, close: close))
    }
}
