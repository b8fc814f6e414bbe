// One extended response out of one or more messages: joins the pieces, bounds them, finds the end (D13, threat E2).
//
// A response ends
// - with its head: 1xx, 204, 304 whatever their fields say (RFC 9112 section 6.3), 205, and every answer to HEAD;
// - after Content-Length bytes, or with its last chunk (D27);
// - otherwise with its WebSocket message: one frame holds one response (D26).
// A redirect is complete with its head: nobody waits for what a page about it says (D28).

import NIOCore

struct ExtendedResponseReader {
    enum Event {
        case needsMore
        /// `rest`: how many bytes lie behind the response in its message.
        case response(ResponseHead, KnownFields, entity: ByteBuffer, rest: Int)
    }

    /// The fault of messages that are no response. D6 has the close code.
    struct Failure: Error {
        let code: WebSocketError.Code
        let what: String
        let closeCode: WebSocketCloseCode

        static func invalid(_ what: String) -> Failure {
            Failure(code: .extendedInvalid, what: what, closeCode: .internalError)
        }
    }

    private enum Content {
        case none
        /// At most the bytes that are in the message of the head.
        case early
        case restOfMessage
        case length(Int)
        case chunked(BodyReader)
    }

    private static let versionPrefix: StaticString = "HTTP/1."

    private let entityLimit: Int
    private let isAnswerToHead: Bool
    private var decoder: ResponseHeadDecoder
    private var versionBytes = 0
    private var messages = 0
    private var known: KnownFields = []
    private var content = Content.none
    private var entity = ByteBuffer()
    /// The head, from when it is complete to ``reset()``.
    private(set) var head: ResponseHead?

    /// The response with the part of its content that came, when some is missing.
    var unfinished: (head: ResponseHead, known: KnownFields, entity: ByteBuffer)? {
        self.head.map { ($0, self.known, self.entity) }
    }

    init(limits: Limits, method: String) {
        self.entityLimit = max(limits.bodyBytes, 0)
        self.isAnswerToHead = method == "HEAD"
        self.decoder = ResponseHeadDecoder(limits: limits.extendedHead)
    }

    /// `true` until the first byte of a response has come.
    var isEmpty: Bool { self.head == nil && self.decoder.isEmpty }

    /// Bytes of memory for the part of a response that has come.
    var heldBytes: Int {
        let content =
            if case .chunked(let reader) = self.content { reader.heldBytes } else { self.entity.storageCapacity }
        return self.decoder.heldBytes + content + (self.head?.fields.received.readableBytes ?? 0)
    }

    mutating func receive(_ payload: ByteBuffer) throws(Failure) -> Event {
        self.messages += 1
        guard self.messages <= Limits.Fixed.extendedMessages else {
            throw Failure(code: .limitExceeded, what: "it comes in too many messages", closeCode: .policyViolation)
        }
        var rest = payload
        if let head { return try self.receiveContent(&rest, of: head) }
        guard let head = try self.decodeHead(&rest, of: payload) else { return .needsMore }
        self.known = KnownFields(in: head.fields)
        self.head = head
        self.content = try self.content(of: head)
        return try self.receiveContent(&rest, of: head)
    }

    /// Makes it ready for the next response.
    mutating func reset() {
        self.versionBytes = 0
        self.messages = 0
        self.known = []
        self.content = .none
        self.entity = ByteBuffer()
        self.head = nil
    }

    /// Refuses bytes that cannot begin a status line, such as an application's message, before the rest of them could
    /// arrive.
    private mutating func checkVersion(_ payload: ByteBuffer) throws(Failure) {
        guard self.versionBytes < Self.versionPrefix.utf8CodeUnitCount else { return }
        let isPrefix = payload.withUnsafeReadableBytes { bytes in
            let count = min(bytes.count, Self.versionPrefix.utf8CodeUnitCount - self.versionBytes)
            let expected = UnsafeRawBufferPointer(start: Self.versionPrefix.utf8Start + self.versionBytes, count: count)
            self.versionBytes += count
            return expected.elementsEqual(bytes.prefix(count))
        }
        guard isPrefix else { throw .invalid("the message is no HTTP/1.1 response") }
    }

    private mutating func decodeHead(_ rest: inout ByteBuffer, of payload: ByteBuffer) throws(Failure) -> ResponseHead?
    {
        do throws(HeadError) {
            if let head = try self.decoder.decode(&rest) { return head }
        } catch {
            try self.checkVersion(payload)
            switch error {
            case .malformed, .unsupportedVersion:
                throw .invalid(error.message)
            case .lineTooLong, .headTooLarge:
                throw Failure(code: .limitExceeded, what: error.message, closeCode: .messageTooBig)
            case .tooManyFields:
                throw Failure(code: .limitExceeded, what: error.message, closeCode: .policyViolation)
            }
        }
        try self.checkVersion(payload)
        return nil
    }

    private func content(of head: ResponseHead) throws(Failure) -> Content {
        guard head.minorVersion == 1 else { throw .invalid("it is HTTP/1.0") }
        switch head.status {
        case 100...199, 204, 304: return .none
        case 205 where !self.known.contains(.transferEncoding): return .none
        case _ where isAnswerToHead: return .none
        case 301...399: return .early
        default: break
        }
        if self.known.contains(.transferEncoding) {
            // D27. What is wrong with both fields together is wrong here too.
            do throws(GrammarError) {
                return .chunked(try BodyReader(of: head, limit: self.entityLimit))
            } catch {
                throw .invalid("its Transfer-Encoding is not one that is read here")
            }
        }
        switch head.fields.contentLength {
        case .absent: return .restOfMessage
        case .invalid: throw .invalid("its Content-Length is not a number")
        case .bytes(let length):
            guard length <= self.entityLimit else { throw Self.tooLarge }
            return .length(length)
        }
    }

    private static let tooLarge = Failure(
        code: .limitExceeded,
        what: "its content is too large",
        closeCode: .messageTooBig
    )

    private mutating func receiveContent(_ payload: inout ByteBuffer, of head: ResponseHead) throws(Failure) -> Event {
        switch self.content {
        case .none:
            break
        case .early where self.known.contains(.transferEncoding):
            // D27. The head decides, so that content which cannot be read is left out.
            if var reader = try? BodyReader(of: head, limit: self.entityLimit) {
                try? reader.receive(&payload)
                self.entity = reader.entity
            }
        case .early:
            var length = self.entityLimit
            if self.known.contains(.contentLength), case .bytes(let declared) = head.fields.contentLength {
                length = min(length, declared)
            }
            self.take(length, from: &payload)
        case .restOfMessage:
            guard payload.readableBytes <= self.entityLimit else { throw Self.tooLarge }
            self.take(payload.readableBytes, from: &payload)
        case .length(let length):
            self.take(length - self.entity.readableBytes, from: &payload)
            guard self.entity.readableBytes == length else { return .needsMore }
        case .chunked(var reader):
            self.content = .none
            do throws(GrammarError) {
                try reader.receive(&payload)
            } catch {
                throw .invalid("its chunked content is malformed")
            }
            self.entity = reader.entity
            guard reader.isWhole else {
                guard !reader.isComplete else { throw Self.tooLarge }
                self.content = .chunked(reader)
                return .needsMore
            }
        }
        return .response(head, self.known, entity: self.entity, rest: payload.readableBytes)
    }

    private mutating func take(_ count: Int, from payload: inout ByteBuffer) {
        guard let slice = payload.readSlice(length: min(count, payload.readableBytes)) else { return }
        if self.entity.readableBytes == 0 { self.entity = slice } else { self.entity.writeImmutableBuffer(slice) }
    }
}
