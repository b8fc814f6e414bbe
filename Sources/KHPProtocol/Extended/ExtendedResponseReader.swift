// One extended response out of one or more messages: joins the pieces, bounds them, finds the end (D13, E2).
//
// A response ends with its head (1xx, 204, 205, 304, and every answer to HEAD) or after Content-Length bytes; without
// Content-Length it has no content. Transfer-Encoding has no place here.

import NIOCore

struct ExtendedResponseReader {
    enum Event {
        case needsMore
        /// `rest`: how many bytes lie behind the response in its message.
        case response(ResponseHead, KnownFields, entity: ByteBuffer, rest: Int)
    }

    /// Why the messages are no response that is read on. The close code is that of D6.
    struct Failure: Error {
        let code: WebSocketError.Code
        let what: String
        let closeCode: WebSocketCloseCode

        static func invalid(_ what: String) -> Failure {
            Failure(code: .extendedInvalid, what: what, closeCode: .internalError)
        }
    }

    private static let versionPrefix: StaticString = "HTTP/1."

    private let entityLimit: Int
    private let isAnswerToHead: Bool
    private var decoder: ResponseHeadDecoder
    private var versionBytes = 0
    private var messages = 0
    private var known: KnownFields = []
    private var entityLength = 0
    private var entity = ByteBuffer()
    /// The head, once it is complete while content is missing.
    private(set) var head: ResponseHead?

    init(limits: Limits, method: String) {
        entityLimit = limits.entityBytes
        isAnswerToHead = method == "HEAD"
        decoder = ResponseHeadDecoder(limits: limits.extendedHead)
    }

    /// Whether nothing of a response has come.
    var isEmpty: Bool { head == nil && decoder.isEmpty }

    mutating func receive(_ payload: ByteBuffer) throws(Failure) -> Event {
        messages += 1
        guard messages <= Limits.Fixed.extendedMessages else {
            throw Failure(code: .limitExceeded, what: "it comes in too many messages", closeCode: .policyViolation)
        }
        var rest = payload
        if let head { return receiveEntity(&rest, of: head) }
        guard let head = try decodeHead(&rest, of: payload) else { return .needsMore }
        known = KnownFields(in: head.fields)
        entityLength = try entityLength(of: head)
        return receiveEntity(&rest, of: head)
    }

    /// Makes it ready for the next response.
    mutating func reset() {
        versionBytes = 0
        messages = 0
        known = []
        entityLength = 0
        entity = ByteBuffer()
        head = nil
    }

    /// Refuses what cannot begin a status line before the rest of it could arrive: an application's message, say.
    private mutating func checkVersion(_ payload: ByteBuffer) throws(Failure) {
        guard versionBytes < Self.versionPrefix.utf8CodeUnitCount else { return }
        let isPrefix = payload.withUnsafeReadableBytes { bytes in
            let count = min(bytes.count, Self.versionPrefix.utf8CodeUnitCount - versionBytes)
            let expected = UnsafeRawBufferPointer(start: Self.versionPrefix.utf8Start + versionBytes, count: count)
            versionBytes += count
            return expected.elementsEqual(bytes.prefix(count))
        }
        guard isPrefix else { throw .invalid("the message is no HTTP/1.1 response") }
    }

    private mutating func decodeHead(_ rest: inout ByteBuffer, of payload: ByteBuffer) throws(Failure) -> ResponseHead?
    {
        do throws(HeadError) {
            if let head = try decoder.decode(&rest) { return head }
        } catch {
            try checkVersion(payload)
            switch error {
            case .malformed, .unsupportedVersion:
                throw .invalid(error.message)
            case .lineTooLong, .headTooLarge:
                throw Failure(code: .limitExceeded, what: error.message, closeCode: .messageTooBig)
            case .tooManyFields:
                throw Failure(code: .limitExceeded, what: error.message, closeCode: .policyViolation)
            }
        }
        try checkVersion(payload)
        return nil
    }

    private func entityLength(of head: ResponseHead) throws(Failure) -> Int {
        guard head.minorVersion == 1 else { throw .invalid("it is HTTP/1.0") }
        guard !known.contains(.transferEncoding) else { throw .invalid("it has a Transfer-Encoding") }
        switch head.status {
        case 100...199, 204, 205, 304:
            return 0
        default:
            guard known.contains(.contentLength) else { return 0 }
            switch head.fields.contentLength {
            case .absent: return 0
            case .invalid: throw .invalid("its Content-Length is not a number")
            case .bytes where isAnswerToHead: return 0
            case .bytes(let length):
                guard length <= entityLimit else {
                    throw Failure(
                        code: .limitExceeded,
                        what: "its content is too large",
                        closeCode: .messageTooBig
                    )
                }
                return length
            }
        }
    }

    private mutating func receiveEntity(_ payload: inout ByteBuffer, of head: ResponseHead) -> Event {
        let missing = entityLength - entity.readableBytes
        if missing > 0, let slice = payload.readSlice(length: min(missing, payload.readableBytes)) {
            if entity.readableBytes == 0 { entity = slice } else { entity.writeImmutableBuffer(slice) }
        }
        guard entity.readableBytes == entityLength else {
            self.head = head
            return .needsMore
        }
        return .response(head, known, entity: entity, rest: payload.readableBytes)
    }
}
