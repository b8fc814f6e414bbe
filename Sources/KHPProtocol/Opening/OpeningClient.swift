// The client's half of the opening handshake (RFC 6455 section 4.1, and the dialects before it): one request, one
// response. What the response means beyond 101 (redirects, challenges) is decided by whoever drives this.
//
// States × events:
//                 bytes                                              end of input
//   head          101 → accepted; other → entity; eight 1xx skipped    error closedDuringHandshake
//   answer        sixteen right bytes → accepted (two keys only)       error closedDuringHandshake
//   entity        complete → response                                  response with what came; the same when the wait
//                                                                      for it is over
//   done          left alone                                           nothing
//
// - our own bug or the API user's: thrown by `init` as `invalidArgument`;
// - the server's violation: `openingInvalid`, and the connection is to be dropped without a close frame;
// - ignored: provisional responses, at most eight (threat A16), fields that nobody asked for; among them those that
//   would frame the content of a 101, which ends with its empty line whatever they say (RFC 9112 section 6.3).

package import NIOCore

/// The outcome of a completed opening handshake.
package struct OpeningResult: Sendable {
    /// The subprotocol that the server selected; behind x-kaazing-handshake the extended handshake follows (KHP-E1).
    package let subprotocol: String?
    /// The extensions with what was negotiated so far.
    package let extensions: OfferedExtensions
    /// The expected, and received, Sec-WebSocket-Accept; the extended response may repeat it. Empty in dialects
    /// without one.
    package let acceptValue: String
    /// True on a stream of HTTP/2: a Sec-WebSocket-Accept inside answers a key that whoever stands between has made up.
    package var opensByConnect = false
    package let head: ResponseHead

    package var selectsExtendedHandshake: Bool { self.subprotocol == Subprotocols.extendedHandshake }
}

package struct OpeningClient {
    package enum Outcome: Sendable {
        /// 101, and everything in it is as asked. What is left of the input are frames.
        case accepted(OpeningResult)
        /// Any other final response.
        case response(HandshakeResponse)
    }

    private enum State {
        case head
        case entity(ResponseHead, BodyReader)
        /// Behind a 101 that needs sixteen bytes more.
        case answer(OpeningResult)
        case done

        var name: StateName {
            switch self {
            case .head: .head
            case .entity: .entity
            case .answer: .answer
            case .done: .done
            }
        }
    }

    /// The states without what they hold.
    package enum StateName: String, CaseIterable, Sendable { case head, entity, answer, done }

    package var stateName: StateName { self.state.name }

    /// The request, to be written once.
    package let requestHead: RequestHead
    /// The bytes behind the request, in the same write: servers of the time may not wait for them (W10-1).
    package var requestTail: [UInt8] { self.plan.dialect.opening == .twoKeys ? self.plan.keys?.key3 ?? [] : [] }

    private let plan: OpeningClientPlan
    private let limits: Limits
    private let acceptValue: String
    private var decoder: ResponseHeadDecoder
    private var provisionalResponses = 0
    private var state = State.head
    /// `true` when the connection can take another request behind the response (RFC 9112 section 9.3): it was HTTP/1.1,
    /// ended where it said, and did not announce the end. Not in the dialects with keys of their own (W10-5).
    package private(set) var leavesConnectionUsable = false

    /// `true` until the first byte of an answer has come.
    package var hasHeardNothing: Bool {
        if case .head = self.state { self.decoder.isEmpty && self.provisionalResponses == 0 } else { false }
    }
    /// Bytes of memory for the part of an answer that has come.
    var heldBytes: Int {
        switch self.state {
        case .head, .done: self.decoder.heldBytes
        case .entity(let head, let reader): head.fields.received.readableBytes + reader.heldBytes
        case .answer(let result): result.head.fields.received.readableBytes
        }
    }
    /// True while a refusal is there but for the rest of its content. The connection bounds that wait (D28).
    package var awaitsContent: Bool {
        if case .entity = self.state { true } else { false }
    }
    /// `true` while the input is read as HTTP: always, except for the 101 of an old dialect.
    private var isOrdinary: Bool
    private var switching: HixieResponse.Reader

    /// - Throws: `invalidArgument` for a plan that cannot be written (threat A7).
    package init(_ plan: OpeningClientPlan, limits: Limits = Limits()) throws(WebSocketError) {
        self.init(try PreparedOpening(plan), limits: limits)
    }

    init(_ prepared: PreparedOpening, limits: Limits) {
        let plan = prepared.plan
        self.plan = plan
        self.limits = limits
        self.requestHead = prepared.head
        let hasAcceptKey = plan.dialect.opening == .acceptKey
        self.acceptValue = hasAcceptKey && !plan.opensByConnect ? AcceptKey.accept(for: plan.key) : ""
        self.isOrdinary = hasAcceptKey
        self.switching = HixieResponse.Reader(isInvariant: plan.dialect.opening == .invariant, limits: limits.hixieHead)
        self.decoder = ResponseHeadDecoder(limits: limits.openingHead)
    }

    /// Takes what has arrived. Bytes behind the response stay in `input` (threat A6).
    package mutating func receive(_ input: inout ByteBuffer) throws(WebSocketError) -> Outcome? {
        while true {
            switch self.state {
            case .done:
                return nil
            case .entity(let head, var reader):
                self.state = .done
                do throws(GrammarError) {
                    try reader.receive(&input)
                } catch {
                    throw Self.told(error, by: head, reader.entity)
                }
                guard reader.isComplete else {
                    self.state = .entity(head, reader)
                    return nil
                }
                self.leavesConnectionUsable =
                    self.plan.dialect.opening == .acceptKey && head.minorVersion == 1 && reader.isWhole
                    && !head.fields.hasToken("close", in: .connection)
                return .response(HandshakeResponse(head: head, body: reader.entity))
            case .answer(let result):
                guard let answer = input.readBytes(length: 16) else { return nil }
                self.state = .done
                // W10-4, threat D6.
                guard answer == self.plan.keys?.expectedAnswer else {
                    throw self.invalid("its sixteen bytes do not answer the keys", result.head)
                }
                return .accepted(result)
            case .head where !self.isOrdinary:
                guard let outcome = try self.receiveSwitching(&input) else {
                    if case .answer = self.state { continue }
                    if self.isOrdinary { continue }
                    return nil
                }
                return outcome
            case .head:
                if let question = self.tlsQuestion, Self.looksLikeTLS(input) {
                    self.state = .done
                    throw self.invalid("it is TLS and not HTTP; \(question)", detail: .speaksTLS)
                }
                guard let head = try self.decodeHead(&input) else { return nil }
                switch head.status {
                case 101 where self.plan.dialect.opening == .acceptKey:
                    self.state = .done
                    return .accepted(try self.check(head))
                case 101:
                    self.state = .done
                    throw self.invalid("its 101 follows another response", head)
                case 100...199:
                    self.provisionalResponses += 1
                    guard self.provisionalResponses <= Limits.Fixed.provisionalResponses else {
                        self.state = .done
                        throw self.invalid("it sent too many provisional responses", head)
                    }
                case 301, 302, 303, 307, 308:
                    // Where they lead says the head; their content is not waited for (threat F11).
                    self.state = .done
                    return .response(HandshakeResponse(head: head))
                default:
                    do throws(GrammarError) {
                        self.state = .entity(head, try BodyReader(of: head, limit: self.limits.bodyBytes))
                    } catch {
                        self.state = .done
                        throw Self.told(error, by: head)
                    }
                }
            }
        }
    }

    /// The first response in an old dialect, which stays in `input` until it is complete: its size is bounded.
    private mutating func receiveSwitching(_ input: inout ByteBuffer) throws(WebSocketError) -> Outcome? {
        let response: HixieResponse
        do throws(HixieResponse.Invalid) {
            response = try input.withUnsafeReadableBytes { bytes throws(HixieResponse.Invalid) in
                try self.switching.read(bytes)
            }
        } catch {
            self.state = .done
            throw self.invalid(error.what)
        }
        guard case .switching(let head, let length) = response else {
            // W10-5: redirects, 401 and 407 are what they are everywhere.
            if case .ordinary = response { self.isOrdinary = true }
            return nil
        }
        input.moveReaderIndex(forwardBy: length)
        self.state = .done
        do throws(HixieResponse.Invalid) {
            let result = OpeningResult(
                subprotocol: try self.plan.check(head),
                extensions: self.plan.extensions,
                acceptValue: "",
                head: head
            )
            if self.plan.dialect.opening == .invariant { return .accepted(result) }
            self.state = .answer(result)
            return nil
        } catch {
            throw self.invalid(error.what, head)
        }
    }

    /// The connection ended, or nobody waits any longer. A refusal whose content is cut short is a refusal all the
    /// same.
    package mutating func inputClosed() throws(WebSocketError) -> Outcome? {
        defer { self.state = .done }
        switch self.state {
        case .head, .answer:
            throw WebSocketError(
                .closedDuringHandshake,
                self.decoder.isEmpty
                    ? "The server closed the connection without answering the opening handshake"
                        + (self.tlsQuestion.map { "; \($0)." } ?? ".")
                    : "The server closed the connection in the middle of its answer to the opening handshake.",
                detail: self.tlsQuestion == nil ? nil : .speaksTLS,
                url: self.plan.url,
                phase: .opening
            )
        case .entity(let head, let reader):
            return .response(HandshakeResponse(head: head, body: reader.entity))
        case .done:
            return nil
        }
    }

    /// The question about a server that has not said a word where plain HTTP was spoken to it.
    var tlsQuestion: String? {
        self.hasHeardNothing && !self.plan.url.isSecure ? "does it speak TLS? Then wss:// is right" : nil
    }

    /// A TLS server answers what is no TLS with an alert; either way its records begin with their type and the version
    /// (RFC 8446 section 5.1).
    private static func looksLikeTLS(_ input: ByteBuffer) -> Bool {
        guard let start = input.getInteger(at: input.readerIndex, as: UInt16.self) else { return false }
        return start == 0x1503 || start == 0x1603
    }

    private mutating func decodeHead(_ input: inout ByteBuffer) throws(WebSocketError) -> ResponseHead? {
        do throws(HeadError) {
            return try self.decoder.decode(&input)
        } catch {
            self.state = .done
            throw self.invalid(error.message)
        }
    }

    /// RFC 6455 section 4.1, "the client MUST validate the server's response", items 2 to 6 (threats A8, A10).
    private func check(_ head: ResponseHead) throws(WebSocketError) -> OpeningResult {
        let fields = head.fields
        guard head.minorVersion == 1 else { throw self.invalid("its 101 is HTTP/1.0", head) }
        guard fields.count(of: "Upgrade") == 1, fields.value(of: "Upgrade", equalsIgnoringCase: "websocket") else {
            throw self.invalid("its 101 does not upgrade to websocket", head)
        }
        guard fields.hasToken("upgrade", in: .connection) else {
            throw self.invalid("its 101 has no Connection: Upgrade", head)
        }
        guard
            self.plan.opensByConnect
                || !self.acceptValue.isEmpty && fields.value(of: "Sec-WebSocket-Accept", equals: self.acceptValue)
        else {
            throw self.invalid("its Sec-WebSocket-Accept does not fit the key", head)
        }
        let subprotocol = fields.first(.subprotocol)
        if let subprotocol {
            guard fields.count(of: "Sec-WebSocket-Protocol") == 1, self.plan.subprotocols.contains(subprotocol) else {
                throw self.invalid("it selected a subprotocol that was not offered", head)
            }
        }
        var extensions = self.plan.extensions
        if fields.contains(.extensions) {
            let answers: [ExtensionOffer]
            do throws(GrammarError) {
                answers = try parseExtensions(fields.all(.extensions))
            } catch {
                throw self.invalid(error.message, head)
            }
            do throws(OfferedExtensions.Mismatch) {
                try extensions.take(answers, layer: .opening)
            } catch {
                throw self.invalid(error.message, head)
            }
        }
        return OpeningResult(
            subprotocol: subprotocol,
            extensions: extensions,
            acceptValue: self.acceptValue,
            opensByConnect: self.plan.opensByConnect,
            head: head
        )
    }

    /// The status of an answer is told even where its content is malformed.
    private static func told(_ error: GrammarError, by head: ResponseHead, _ entity: ByteBuffer = ByteBuffer())
        -> WebSocketError
    {
        WebSocketError(
            .openingInvalid,
            "The response to the opening handshake is invalid: \(error.message).",
            response: HandshakeResponse(head: head, body: entity),
            phase: .opening
        )
    }

    private func invalid(
        _ what: String,
        _ head: ResponseHead? = nil,
        detail: WebSocketError.Detail? = nil
    ) -> WebSocketError {
        WebSocketError(
            .openingInvalid,
            "The server's answer to the opening handshake is invalid: \(what).",
            detail: detail,
            url: self.plan.url,
            response: head.map { HandshakeResponse(head: $0) },
            phase: .opening
        )
    }
}
