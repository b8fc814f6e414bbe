// One extended request out of one or more messages: joins the pieces, bounds them, refuses what is no request
// (D13, D19, threats E2, E3). What the request asks for is judged elsewhere.

import NIOCore

/// A refusal inside the WebSocket: the answer that is owed, then the close code.
struct ExtendedRefusal: Error {
    let refusal: Refusal
    let closeCode: WebSocketCloseCode

    init(_ status: Int, _ explanation: String, close: WebSocketCloseCode, method: String = "GET") {
        refusal = Refusal(status, explanation, method: method)
        closeCode = close
    }

    /// The refusal of bytes that are no extended request: 400, then 1002 (D6).
    static func noRequest(_ explanation: String) -> ExtendedRefusal {
        ExtendedRefusal(400, explanation, close: .protocolError)
    }

    /// A request, but one that cannot be served: 400, then 1000 (D6).
    static func badRequest(_ explanation: String) -> ExtendedRefusal {
        ExtendedRefusal(400, explanation, close: .normalClosure)
    }
}

struct ExtendedRequestReader {
    enum Event {
        case needsMore
        /// The client holds the body back until it gets 100.
        case expectsContinue
        case request(RequestHead, KnownFields, body: ByteBuffer)
    }

    /// The longest registered method, its space and one byte of the target.
    private static let prefixLength = 20

    private let entityLimit: Int
    private var decoder: RequestHeadDecoder
    private var prefix: [UInt8] = []
    private var messages = 0
    private var head: RequestHead?
    private var known: KnownFields = []
    private var bodyLength = 0
    private var body = ByteBuffer()

    init(limits: Limits) {
        entityLimit = limits.bodyBytes
        decoder = RequestHeadDecoder(limits: limits.extendedHead)
    }

    mutating func receive(_ payload: ByteBuffer) throws(ExtendedRefusal) -> Event {
        messages += 1
        guard messages <= Limits.Fixed.extendedMessages else {
            throw ExtendedRefusal(400, "The request comes in too many messages.", close: .policyViolation)
        }
        var rest = payload
        guard let head else {
            guard let head = try decodeHead(&rest, of: payload) else { return .needsMore }
            known = KnownFields(in: head.fields)
            bodyLength = try bodyLength(of: head)
            if bodyLength == 0 { return try finish(head, rest: rest) }
            self.head = head
            let event = try receiveBody(&rest, of: head)
            if case .needsMore = event, body.readableBytes == 0, known.contains(.expect) {
                return .expectsContinue
            }
            return event
        }
        return try receiveBody(&rest, of: head)
    }

    private mutating func decodeHead(
        _ rest: inout ByteBuffer,
        of payload: ByteBuffer
    ) throws(ExtendedRefusal) -> RequestHead? {
        let head: RequestHead?
        do throws(HeadError) {
            head = try decoder.decode(&rest)
        } catch {
            try checkPrefix(payload)
            let close: WebSocketCloseCode
            switch error {
            case .malformed, .unsupportedVersion: close = .protocolError
            case .lineTooLong, .headTooLarge: close = .messageTooBig
            case .tooManyFields: close = .policyViolation
            }
            throw ExtendedRefusal(error.status, "The head cannot be read: \(error.message).", close: close)
        }
        if head?.method != "GET" { try checkPrefix(payload) }
        return head
    }

    /// D19: what cannot begin a request is refused before the rest of it could arrive.
    private mutating func checkPrefix(_ payload: ByteBuffer) throws(ExtendedRefusal) {
        guard prefix.count < Self.prefixLength else { return }
        prefix.append(contentsOf: payload.readableBytesView.prefix(Self.prefixLength - prefix.count))
        guard RequestHeadDecoder.canBeginRequest(prefix) else {
            throw .noRequest("The message is no HTTP request.")
        }
    }

    private mutating func receiveBody(
        _ payload: inout ByteBuffer,
        of head: RequestHead
    ) throws(ExtendedRefusal) -> Event {
        let missing = bodyLength - body.readableBytes
        if let slice = payload.readSlice(length: min(missing, payload.readableBytes)) {
            body.writeImmutableBuffer(slice)
        }
        guard body.readableBytes == bodyLength else { return .needsMore }
        return try finish(head, rest: payload)
    }

    private func finish(_ head: RequestHead, rest: ByteBuffer) throws(ExtendedRefusal) -> Event {
        guard rest.readableBytes == 0 else {
            throw .noRequest("There are bytes behind the request in its message.")  // D13
        }
        return .request(head, known, body: body)
    }

    /// How much content follows the head; refuses early what would not be read anyway (threat E2).
    private func bodyLength(of head: RequestHead) throws(ExtendedRefusal) -> Int {
        guard head.minorVersion == 1 else {
            throw ExtendedRefusal(505, "An extended request is HTTP/1.1.", close: .protocolError)  // KHP-E2
        }
        guard !known.contains(.transferEncoding) else { throw .badRequest("Transfer-Encoding is not allowed.") }
        if known.contains(.expect), !head.fields.value(of: "Expect", equalsIgnoringCase: "100-continue") {
            throw ExtendedRefusal(417, "Only 100-continue can be expected.", close: .normalClosure, method: head.method)
        }
        guard known.contains(.contentLength) else { return 0 }
        switch head.fields.contentLength {
        case .absent: return 0
        case .invalid: throw .noRequest("Content-Length is not a number.")
        case .bytes(let length):
            guard length <= entityLimit else {
                throw ExtendedRefusal(413, "The content is too large.", close: .messageTooBig, method: head.method)
            }
            return length
        }
    }
}
