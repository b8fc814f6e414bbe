// A tunnel through an HTTP proxy: CONNECT of RFC 9110 section 9.3.6, on HTTP/1.1 (R-P1, threat A17).
//
// States × events:
//               bytes                                  end of input              time                answer
//   head        2xx → established, what follows is     kept open and silent →    failed timeout      –
//               the tunnel's; eight 1xx skipped;       retry; else failed
//               407 without an end of its own →        connectFailed
//               challenge; else → entity
//   entity      complete → challenge or failed         the same with what came   the same            –
//   challenged  any → connection of no use             connection of no use      nothing             request again → head
//   done        left alone                             nothing                   nothing             –
//
// - our own bug: `answer` where nothing was asked; it gets nil, and the caller takes a fresh connection;
// - the proxy's violation: `proxyInvalid`, and the connection is dropped;
// - ignored: eight provisional responses; Content-Length and Transfer-Encoding of a 2xx (RFC 9110 section 9.3.6); all
//   that is wrong with the content of a refusal, since the connection ends with it.

import NIOCore

struct ConnectTunnel: Sendable {
    private enum State {
        case head
        case entity(ResponseHead, BodyReader)
        /// A 407 was told. Whether the connection can still be answered on.
        case challenged(isOpen: Bool)
        case done
    }

    private let proxy: Proxy
    private let target: String
    private let limits: Limits
    private var authorization: String?
    private var state = State.head
    private var decoder: ResponseHeadDecoder
    private var provisionalResponses = 0
    /// Whether the proxy has answered on this connection before, and nothing since.
    private var isReused = false

    init(through proxy: Proxy, to url: WebSocketURL, authorization: String?, limits: Limits) throws(WebSocketError) {
        self.proxy = proxy
        self.limits = limits
        if let authorization { try FieldValidation.validate(authorization, what: "the credentials for the proxy") }
        self.authorization = authorization
        target = Tunnel.target(of: url)
        decoder = ResponseHeadDecoder(limits: limits.openingHead)
    }

    /// True while a refusal is there but for the rest of its content.
    var awaitsContent: Bool {
        if case .entity = state { true } else { false }
    }

    func start() -> TunnelAction {
        // authority-form (RFC 9112 section 3.2.3); the URL's host is checked, so that no line break can be in it.
        var fields = HeadFields()
        fields.append("Host", target)
        // Threat G11: here and nowhere else.
        if let authorization { fields.append("Proxy-Authorization", authorization) }
        var request = ByteBuffer()
        RequestHead(method: "CONNECT", target: target, fields: fields).write(into: &request)
        return .send(request)
    }

    mutating func answer(_ authorization: String) -> TunnelAction? {
        guard case .challenged(isOpen: true) = state else { return nil }
        self.authorization = authorization
        state = .head
        isReused = true
        provisionalResponses = 0
        return start()
    }

    mutating func receive(_ bytes: ByteBuffer) -> TunnelAction {
        var input = bytes
        while true {
            switch state {
            case .head:
                if input.readableBytes == 0 { return .wait }
                isReused = false
                let head: ResponseHead
                do throws(HeadError) {
                    guard let complete = try decoder.decode(&input) else { return .wait }
                    head = complete
                } catch {
                    state = .done
                    return TunnelFailure.invalid(proxy, error.message)
                }
                if let action = take(head, &input) { return action }
            case .entity(let head, var reader):
                let isBroken = Self.isBroken(&reader, &input)
                guard isBroken || reader.isComplete else {
                    state = .entity(head, reader)
                    return .wait
                }
                let isUsable = !isBroken && reader.isWhole && input.readableBytes == 0
                return finish(head, entity: reader.entity, staysOpen: isUsable && Self.staysOpen(head))
            case .challenged:
                // Nobody asked for anything: whose answer that is cannot be known any more.
                if input.readableBytes > 0 { state = .challenged(isOpen: false) }
                return .wait
            case .done:
                return .wait
            }
        }
    }

    mutating func inputEnded() -> TunnelAction {
        switch state {
        case .head:
            state = .done
            return isReused ? .retry : TunnelFailure.ended(proxy)
        case .entity(let head, let reader):
            return finish(head, entity: reader.entity, staysOpen: false)
        case .challenged:
            state = .challenged(isOpen: false)
            return .wait
        case .done:
            return .wait
        }
    }

    mutating func timeReached() -> TunnelAction {
        switch state {
        case .head:
            state = .done
            return TunnelFailure.timedOut(proxy)
        case .entity(let head, let reader):
            return finish(head, entity: reader.entity, staysOpen: false)
        case .challenged, .done:
            return .wait
        }
    }

    /// What a head means; nil when there is more to read.
    private mutating func take(_ head: ResponseHead, _ input: inout ByteBuffer) -> TunnelAction? {
        switch head.status {
        case 200...299:
            state = .done
            return .established(input, head: head)
        case 100, 102...199:
            guard provisionalResponses < Limits.Fixed.provisionalResponses else {
                state = .done
                return TunnelFailure.invalid(proxy, "there are too many provisional responses")
            }
            provisionalResponses += 1
            return nil
        default:
            guard let reader = try? BodyReader(of: head, limit: limits.bodyBytes),
                reader.hasOwnEnd || head.status != 407
            else { return finish(head, entity: ByteBuffer(), staysOpen: false) }
            state = .entity(head, reader)
            return nil
        }
    }

    private static func isBroken(_ reader: inout BodyReader, _ input: inout ByteBuffer) -> Bool {
        do throws(GrammarError) {
            try reader.receive(&input)
            return false
        } catch {
            return true
        }
    }

    /// Whether the proxy keeps the connection open behind this answer (RFC 9112 section 9.3).
    private static func staysOpen(_ head: ResponseHead) -> Bool {
        head.minorVersion == 1 && !head.fields.hasToken("close", in: "Connection")
            && !head.fields.hasToken("close", in: "Proxy-Connection")
    }

    private mutating func finish(_ head: ResponseHead, entity: ByteBuffer, staysOpen: Bool) -> TunnelAction {
        let response = HandshakeResponse(head: head, entity: entity)
        if head.status == 407 {
            state = .challenged(isOpen: staysOpen)
            return .challenge(response, staysOpen: staysOpen)
        }
        state = .done
        // Some proxies take 401 for a password that they do not take, though CONNECT has no server to send it.
        let isRefusedLogin = head.status == 401 && authorization != nil
        return .failed(
            WebSocketError(
                isRefusedLogin ? .proxyAuthenticationRequired : .proxyRefused,
                isRefusedLogin
                    ? "The proxy \(proxy) refused the credentials: it answered \(response)."
                    : "The proxy \(proxy) did not open a tunnel to \(target): it answered \(response).",
                detail: isRefusedLogin ? .credentialsRefused : nil,
                response: response,
                phase: .connect
            )
        )
    }
}
