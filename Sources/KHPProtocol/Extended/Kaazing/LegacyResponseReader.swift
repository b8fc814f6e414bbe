// One extended response as deployed gateways end it: by an empty message, and perhaps in an envelope (D7, D13).
//
// The reader of a legacy response. All that came before the empty message is one text: a head with its content, or
// several heads in a row, of which the last final one counts. `200 | 401 | content` is how old gateways wrap a
// challenge; the Content-Length of such an envelope counts what it wraps.

import NIOCore

struct LegacyResponseReader {
    typealias Failure = ExtendedResponseReader.Failure

    enum Event {
        case needsMore
        case response(ResponseHead, KnownFields, entity: ByteBuffer)
    }

    private static let versionPrefix = Array("HTTP/1.".utf8)

    private let headLimits: HeadLimits
    private let entityLimit: Int
    private let isAnswerToHead: Bool
    private var collected = ByteBuffer()
    private var messages = 0

    init(limits: Limits, method: String) {
        self.headLimits = limits.extendedHead
        self.entityLimit = max(limits.bodyBytes, 0)
        self.isAnswerToHead = method == "HEAD"
    }

    /// `true` until the first byte of a response has come.
    var isEmpty: Bool { self.collected.readableBytes == 0 }

    /// Bytes of memory for the part of a response that has come.
    var heldBytes: Int { self.collected.storageCapacity }

    /// Takes a message; the empty one ends the response.
    mutating func receive(_ payload: ByteBuffer) throws(Failure) -> Event {
        guard payload.readableBytes > 0 else { return try self.finish() }
        self.messages += 1
        guard self.messages <= Limits.Fixed.extendedMessages else {
            throw Failure(code: .limitExceeded, what: "it comes in too many messages", closeCode: .policyViolation)
        }
        // The bound is not added to anything: a user may set one as large as a number can be (threat H1).
        guard self.collected.readableBytes + payload.readableBytes - self.headLimits.headBytes <= self.entityLimit
        else {
            throw Failure(code: .limitExceeded, what: "it is too large", closeCode: .messageTooBig)
        }
        self.collected.writeImmutableBuffer(payload)
        let length = min(self.collected.readableBytes, Self.versionPrefix.count)
        guard self.collected.readableBytesView.prefix(length).elementsEqual(Self.versionPrefix.prefix(length)) else {
            throw .invalid("the message is no HTTP/1.1 response")
        }
        return .needsMore
    }

    /// The response is complete: by the empty message, or since nothing more will come.
    /// - Parameter isCut: true to take what is there of its content, for a status that refuses (D28): what is behind it
    ///   is ignored (D13).
    mutating func finish(isCut: Bool = false) throws(Failure) -> Event {
        guard self.collected.readableBytes > 0 else { throw .invalid("an empty message came before it") }
        var rest = self.collected
        self.collected = ByteBuffer()
        self.messages = 0
        var heads = 0
        var last: (head: ResponseHead, known: KnownFields, entity: ByteBuffer)?
        while rest.readableBytes > 0 {
            heads += 1
            guard heads <= Limits.Fixed.legacyHeads else {
                throw Failure(code: .limitExceeded, what: "it has too many heads", closeCode: .policyViolation)
            }
            let head = try self.decodeHead(&rest)
            let known = KnownFields(in: head.fields)
            guard head.minorVersion == 1 else { throw .invalid("it is HTTP/1.0") }
            guard !known.contains(.transferEncoding) else { throw .invalid("it has a Transfer-Encoding") }
            let entity = try self.takeEntity(of: head, known, &rest, isCut: isCut)
            let isFinal = head.status == 101 || head.status >= 200
            if isFinal || last == nil { last = (head, known, entity) }
        }
        guard let last else { return .needsMore }
        return .response(last.head, last.known, entity: last.entity)
    }

    private func decodeHead(_ rest: inout ByteBuffer) throws(Failure) -> ResponseHead {
        var decoder = ResponseHeadDecoder(limits: self.headLimits)
        do throws(HeadError) {
            if let head = try decoder.decode(&rest) { return head }
        } catch {
            switch error {
            case .malformed, .unsupportedVersion:
                throw .invalid(error.message)
            case .lineTooLong, .headTooLarge:
                throw Failure(code: .limitExceeded, what: error.message, closeCode: .messageTooBig)
            case .tooManyFields:
                throw Failure(code: .limitExceeded, what: error.message, closeCode: .policyViolation)
            }
        }
        throw .invalid("its head is not complete")
    }

    /// Takes the bytes between this head and the next, or the end.
    private func takeEntity(
        of head: ResponseHead,
        _ known: KnownFields,
        _ rest: inout ByteBuffer,
        isCut: Bool
    ) throws(Failure) -> ByteBuffer {
        if self.beginsHead(rest, at: 0) { return ByteBuffer() }
        var length = rest.readableBytes
        switch head.status {
        case 100...199, 204, 205, 304:
            length = 0
        default:
            guard !self.isAnswerToHead else {
                length = 0
                break
            }
            guard known.contains(.contentLength) else { break }
            switch head.fields.contentLength {
            case .absent: break
            case .invalid: throw .invalid("its Content-Length is not a number")
            case .bytes(let declared):
                guard declared <= length || isCut else { throw .invalid("its content is cut short") }
                length = min(length, declared)
            }
        }
        guard length <= self.entityLimit else {
            throw Failure(code: .limitExceeded, what: "its content is too large", closeCode: .messageTooBig)
        }
        let isFollowed = length < rest.readableBytes && !self.beginsHead(rest, at: length)
        guard !isFollowed || isCut else { throw .invalid("there are bytes behind it in its message") }
        let entity = rest.readSlice(length: length) ?? ByteBuffer()
        if isFollowed { rest.clear() }
        return entity
    }

    private func beginsHead(_ rest: ByteBuffer, at offset: Int) -> Bool {
        rest.readableBytesView.dropFirst(offset).starts(with: Self.versionPrefix)
    }
}
