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
// - the proxy's violation: `proxyInvalid`, and the connection is dropped; heads of more than 16 KiB together among them;
// - ignored: eight provisional responses; Content-Length and Transfer-Encoding of a 2xx (RFC 9110 section 9.3.6); all
//   that is wrong with the content of a refusal, since the connection ends with it.

import NIOCore

struct ConnectTunnel: TunnelMachine {
    private enum State {
        case head
        case entity
        /// A 407 was told. Whether the connection can still be answered on.
        case challenged(isOpen: Bool)
        case done
    }

    /// An answer other than 2xx, and as much of its content as has come.
    private struct Refusal: Sendable {
        let head: ResponseHead
        private(set) var reader: BodyReader
        private(set) var isBroken = false

        init(_ head: ResponseHead, _ reader: BodyReader) {
            self.head = head
            self.reader = reader
        }

        /// Reads on.
        /// - Returns: `true` where nothing more is read.
        mutating func take(_ input: inout ByteBuffer) -> Bool {
            do throws(GrammarError) {
                try self.reader.receive(&input)
            } catch {
                self.isBroken = true
            }
            return self.isBroken || self.reader.isComplete
        }
    }

    private let proxy: Proxy
    private let target: String
    private let limits: Limits
    private var authorization: String?
    private var state = State.head
    private var decoder: ResponseHeadDecoder
    /// Bytes of heads that have come since the request.
    private var headBytes = 0
    /// It stays where it is while it is read: moved out and back, it would cost each read more than its bytes do.
    private var refusal: Refusal?
    private var provisionalResponses = 0
    /// `true` when the proxy has answered on this connection before, and sent nothing since.
    private var isReused = false

    init(through proxy: Proxy, to url: WebSocketURL, authorization: String?, limits: Limits) throws(WebSocketError) {
        self.proxy = proxy
        self.limits = limits
        if let authorization { try FieldValidation.validate(authorization, what: "the credentials for the proxy") }
        self.authorization = authorization
        self.target = Tunnel.target(of: url)
        self.decoder = Self.decoder(limits, taken: 0)
    }

    /// - Parameter taken: bytes of heads that have come already.
    private static func decoder(_ limits: Limits, taken: Int) -> ResponseHeadDecoder {
        var limits = limits
        limits.headBytes = min(limits.headBytes, Limits.Fixed.proxyHeadBytes - taken)
        return ResponseHeadDecoder(limits: limits.openingHead)
    }

    /// `true` while only the rest of a refusal's content is missing.
    var awaitsContent: Bool {
        if case .entity = self.state { true } else { false }
    }

    func start() -> TunnelAction {
        // authority-form (RFC 9112 section 3.2.3); the URL's host is checked, so that no line break can be in it.
        var fields = HeadFields()
        fields.append("Host", self.target)
        // Threat G11: here and nowhere else.
        if let authorization { fields.append("Proxy-Authorization", authorization) }
        var request = ByteBuffer()
        RequestHead(method: "CONNECT", target: self.target, fields: fields).write(into: &request)
        return .send(request)
    }

    mutating func answer(_ authorization: String) -> TunnelAction? {
        guard case .challenged(isOpen: true) = self.state else { return nil }
        self.authorization = authorization
        self.state = .head
        self.isReused = true
        self.provisionalResponses = 0
        self.headBytes = 0
        self.decoder = Self.decoder(self.limits, taken: 0)
        return self.start()
    }

    mutating func receive(_ bytes: ByteBuffer) -> TunnelAction {
        var input = bytes
        while true {
            switch self.state {
            case .head:
                if input.readableBytes == 0 { return .wait }
                self.isReused = false
                let before = input.readableBytes
                let head: ResponseHead
                do throws(HeadError) {
                    let complete = try self.decoder.decode(&input)
                    self.headBytes += before - input.readableBytes
                    guard let complete else { return .wait }
                    guard self.headBytes <= Limits.Fixed.proxyHeadBytes else { throw .headTooLarge }
                    head = complete
                } catch {
                    self.state = .done
                    return TunnelFailure.invalid(self.proxy, error.message)
                }
                if let action = self.take(head, &input) { return action }
            case .entity:
                guard self.refusal?.take(&input) == true, let refusal else { return .wait }
                let isUsable = !refusal.isBroken && refusal.reader.isWhole && input.readableBytes == 0
                return self.finish(refusal, staysOpen: isUsable && Self.staysOpen(refusal.head))
            case .challenged:
                // Bytes came without a request, so the next answer could not be matched to one.
                if input.readableBytes > 0 { self.state = .challenged(isOpen: false) }
                return .wait
            case .done:
                return .wait
            }
        }
    }

    mutating func inputEnded() -> TunnelAction {
        switch self.state {
        case .head:
            self.state = .done
            return self.isReused ? .retry : TunnelFailure.ended(self.proxy)
        case .entity:
            guard let refusal else { return .wait }
            return self.finish(refusal, staysOpen: false)
        case .challenged:
            self.state = .challenged(isOpen: false)
            return .wait
        case .done:
            return .wait
        }
    }

    mutating func timeReached() -> TunnelAction {
        switch self.state {
        case .head:
            self.state = .done
            return TunnelFailure.timedOut(self.proxy)
        case .entity:
            guard let refusal else { return .wait }
            return self.finish(refusal, staysOpen: false)
        case .challenged, .done:
            return .wait
        }
    }

    /// Acts on a head; `nil` when there is more to read.
    private mutating func take(_ head: ResponseHead, _ input: inout ByteBuffer) -> TunnelAction? {
        switch head.status {
        case 200...299:
            self.state = .done
            return .established(input, head: head)
        case 100, 102...199:
            guard self.provisionalResponses < Limits.Fixed.provisionalResponses else {
                self.state = .done
                return TunnelFailure.invalid(self.proxy, "there are too many provisional responses")
            }
            self.provisionalResponses += 1
            self.decoder = Self.decoder(self.limits, taken: self.headBytes)
            return nil
        default:
            let limit = min(self.limits.bodyBytes, Limits.Fixed.proxyContentBytes)
            guard let reader = try? BodyReader(of: head, limit: limit), reader.hasOwnEnd || head.status != 407 else {
                return self.finish(head, entity: ByteBuffer(), staysOpen: false)
            }
            self.refusal = Refusal(head, reader)
            self.state = .entity
            return nil
        }
    }

    /// Returns `true` when the proxy keeps the connection open behind this answer (RFC 9112 section 9.3).
    private static func staysOpen(_ head: ResponseHead) -> Bool {
        head.minorVersion == 1 && !head.fields.hasToken("close", in: .connection)
            && !head.fields.hasToken("close", in: "Proxy-Connection")
    }

    private mutating func finish(_ refusal: Refusal, staysOpen: Bool) -> TunnelAction {
        self.refusal = nil
        return self.finish(refusal.head, entity: refusal.reader.entity, staysOpen: staysOpen)
    }

    private mutating func finish(_ head: ResponseHead, entity: ByteBuffer, staysOpen: Bool) -> TunnelAction {
        let response = HandshakeResponse(head: head, body: entity)
        if head.status == 407 {
            self.state = .challenged(isOpen: staysOpen)
            return .challenge(response, staysOpen: staysOpen)
        }
        self.state = .done
        // Some proxies take 401 for a password that they do not take, though CONNECT has no server to send it.
        let isRefusedLogin = head.status == 401 && self.authorization != nil
        return .failed(
            WebSocketError(
                isRefusedLogin ? .proxyAuthenticationRequired : .proxyRefused,
                isRefusedLogin
                    ? "The proxy \(self.proxy) refused the credentials: it answered \(response)."
                    : "The proxy \(self.proxy) did not open a tunnel to \(self.target): it answered \(response).",
                detail: isRefusedLogin ? .credentialsRefused : nil,
                response: response,
                phase: .connect
            )
        )
    }
}
