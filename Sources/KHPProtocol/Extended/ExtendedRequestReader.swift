// One extended request out of one or more messages: joins the pieces, bounds them, refuses bytes that are no request
// (D13, D19, threats E2, E3). `ExtendedRequestCheck` judges the request itself.

import NIOCore

/// A refusal inside the WebSocket: the answer that is owed, then the close code.
struct ExtendedRefusal: Error {
    let refusal: Refusal
    let closeCode: WebSocketCloseCode

    init(_ status: Int, _ explanation: String, close: WebSocketCloseCode, method: String = "GET") {
        self.refusal = Refusal(status, explanation, method: method)
        self.closeCode = close
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

/// A class, since a copy of its parts would cost as much as reading the request.
final class ExtendedRequestReader {
    enum Event {
        case needsMore
        /// The client holds the body back until it gets 100.
        case expectsContinue(RequestHead, KnownFields)
        case request(RequestHead, KnownFields, body: ByteBuffer)
    }

    /// The longest registered method, its space and one byte of the target.
    private static let prefixLength = 20

    private let entityLimit: Int
    // Unchecked: the decoder calls nothing that comes back here.
    @exclusivity(unchecked) private var decoder: RequestHeadDecoder
    private var prefix: [UInt8] = []
    private var messages = 0
    private var head: RequestHead?
    private var known: KnownFields = []
    private var bodyLength = 0
    private var body = ByteBuffer()

    init(limits: Limits) {
        self.entityLimit = limits.bodyBytes
        self.decoder = RequestHeadDecoder(limits: limits.extendedHead)
    }

    private init(copying other: ExtendedRequestReader) {
        self.entityLimit = other.entityLimit
        self.decoder = other.decoder
        self.prefix = other.prefix
        self.messages = other.messages
        self.head = other.head
        self.known = other.known
        self.bodyLength = other.bodyLength
        self.body = other.body
    }

    /// Goes on from the same place, for ``ExtendedServer/copy()``.
    func copy() -> ExtendedRequestReader { ExtendedRequestReader(copying: self) }

    /// Bytes of memory for the part of a request that has come.
    var heldBytes: Int {
        self.decoder.heldBytes + self.prefix.count + self.body.storageCapacity
            + (self.head?.fields.received.readableBytes ?? 0)
    }

    func receive(_ payload: ByteBuffer) throws(ExtendedRefusal) -> Event {
        self.messages += 1
        guard self.messages <= Limits.Fixed.extendedMessages else {
            throw ExtendedRefusal(400, "The request comes in too many messages.", close: .policyViolation)
        }
        var rest = payload
        guard let head else {
            guard let head = try self.decodeHead(&rest, of: payload) else { return .needsMore }
            self.known = KnownFields(in: head.fields)
            self.bodyLength = try self.bodyLength(of: head)
            if self.bodyLength == 0 { return try self.finish(head, rest: rest) }
            self.head = head
            let event = try self.receiveBody(&rest, of: head)
            if case .needsMore = event, self.body.readableBytes == 0, self.known.contains(.expect) {
                return .expectsContinue(head, self.known)
            }
            return event
        }
        return try self.receiveBody(&rest, of: head)
    }

    private func decodeHead(
        _ rest: inout ByteBuffer,
        of payload: ByteBuffer
    ) throws(ExtendedRefusal) -> RequestHead? {
        let head: RequestHead?
        do throws(HeadError) {
            head = try self.decoder.decode(&rest)
        } catch {
            try self.checkPrefix(payload)
            let close: WebSocketCloseCode
            switch error {
            case .malformed, .unsupportedVersion: close = .protocolError
            case .lineTooLong, .headTooLarge: close = .messageTooBig
            case .tooManyFields: close = .policyViolation
            }
            throw ExtendedRefusal(error.status, "The head cannot be read: \(error.message).", close: close)
        }
        if head?.method != "GET" { try self.checkPrefix(payload) }
        return head
    }

    /// D19: bytes that cannot begin a request are refused before the rest of them could arrive.
    private func checkPrefix(_ payload: ByteBuffer) throws(ExtendedRefusal) {
        guard self.prefix.count < Self.prefixLength else { return }
        self.prefix.append(contentsOf: payload.readableBytesView.prefix(Self.prefixLength - self.prefix.count))
        guard RequestHeadDecoder.canBeginRequest(self.prefix) else {
            throw .noRequest("The message is no HTTP request.")
        }
    }

    private func receiveBody(
        _ payload: inout ByteBuffer,
        of head: RequestHead
    ) throws(ExtendedRefusal) -> Event {
        let missing = self.bodyLength - self.body.readableBytes
        if let slice = payload.readSlice(length: min(missing, payload.readableBytes)) {
            self.body.writeImmutableBuffer(slice)
        }
        guard self.body.readableBytes == self.bodyLength else { return .needsMore }
        return try self.finish(head, rest: payload)
    }

    private func finish(_ head: RequestHead, rest: ByteBuffer) throws(ExtendedRefusal) -> Event {
        guard rest.readableBytes == 0 else {
            throw .noRequest("There are bytes behind the request in its message.")  // D13
        }
        return .request(head, self.known, body: self.body)
    }

    /// The length of the content behind the head. Refuses content that is too long before it arrives (threat E2).
    private func bodyLength(of head: RequestHead) throws(ExtendedRefusal) -> Int {
        guard head.minorVersion == 1 else {
            throw ExtendedRefusal(505, "An extended request is HTTP/1.1.", close: .protocolError)  // KHP-E2
        }
        guard !self.known.contains(.transferEncoding) else { throw .badRequest("Transfer-Encoding is not allowed.") }
        if self.known.contains(.expect), !head.fields.value(of: "Expect", equalsIgnoringCase: "100-continue") {
            throw ExtendedRefusal(417, "Only 100-continue can be expected.", close: .normalClosure, method: head.method)
        }
        guard self.known.contains(.contentLength) else { return 0 }
        switch head.fields.contentLength {
        case .absent: return 0
        case .invalid: throw .noRequest("Content-Length is not a number.")
        case .bytes(let length):
            guard length <= self.entityLimit else {
                throw ExtendedRefusal(413, "The content is too large.", close: .messageTooBig, method: head.method)
            }
            return length
        }
    }
}
