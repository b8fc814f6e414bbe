// The requests of a connection that speaks ordinary HTTP/1, one after the other: each head, its content as it comes, and
// its end. The next is read once the response to the one before it is sent, so that responses keep the order of requests.
// Sans-I/O.
//
//   head ── an ordinary request ──▶ content ── its end ──▶ whole ── the response is sent ──▶ head
//     └── a WebSocket's, one for a host that is not served, one that cannot be read: over, with all bytes that came
//
// - our own bug: none possible here;
// - the client's violation: in a head, answered as at the beginning of a connection; in content, a ``Refusal``, and the
//   connection is closed (threat A22);
// - ignored: the extensions of chunks, trailers, and an empty line behind a request.

package import NIOCore

package struct OrdinaryRequests {
    package enum Step {
        /// A request whose content follows.
        case head(CheckedRequest)
        /// A request that is answered with this and nothing else; the connection ends behind it.
        case refused(CheckedRequest, Refusal)
        case content(ByteBuffer)
        /// The request is whole.
        case end
        /// The content cannot be read any further. The last step.
        case broken(Refusal)
        /// A request that is no ordinary one, from its first byte. The last step.
        case other(ByteBuffer)
    }

    private enum State {
        case head
        case begins(CheckedRequest)
        case content(BodyReader, taken: Int)
        case whole
        case over
    }

    private var decoder: RequestHeadDecoder
    private let mostContent: Int?
    private let isOrdinary: @Sendable (CheckedRequest) -> Bool
    private var state = State.head
    private var unread = ByteBuffer()
    /// True once the empty line in front of the next head was ignored.
    private var hasSkippedLine = false

    /// - Parameters:
    ///   - mostContent: the most bytes of content that a request may have; `nil` sets no bound.
    ///   - isOrdinary: `false` for a request that is not to be answered here.
    package init(limits: HeadLimits, mostContent: Int?, isOrdinary: @escaping @Sendable (CheckedRequest) -> Bool) {
        self.decoder = RequestHeadDecoder(limits: limits)
        self.mostContent = mostContent
        self.isOrdinary = isOrdinary
    }

    /// Takes a first request that has been read already, and is an ordinary one.
    package mutating func begin(_ request: CheckedRequest, unread: ByteBuffer) {
        self.state = .begins(request)
        self.unread = unread
    }

    package mutating func receive(_ bytes: ByteBuffer) {
        if case .over = self.state { return }
        guard self.unread.readableBytes > 0 else {
            self.unread = bytes
            return
        }
        // A buffer keeps the memory of what has been read, for as long as there is always something unread behind it.
        if self.unread.readerIndex > self.unread.readableBytes {
            self.unread = ByteBuffer(bytes: self.unread.readableBytesView)
        }
        self.unread.writeImmutableBuffer(bytes)
    }

    /// The bytes that wait here.
    package var unreadBytes: Int { self.unread.readableBytes }

    /// The memory that they keep.
    package var heldBytes: Int { self.unread.storageCapacity }

    /// `true` once the first byte of a head has come whose rest has not.
    package var isInsideHead: Bool { if case .head = self.state { !self.decoder.isEmpty } else { false } }

    /// `true` while content is still to come.
    package var isInsideContent: Bool { if case .content = self.state { true } else { false } }

    /// The response to the request is sent, and the request is whole.
    package mutating func proceed() {
        guard case .whole = self.state else { return }
        self.state = .head
        self.hasSkippedLine = false
    }

    /// The next thing to do; `nil` when more is needed, or the response.
    package mutating func next() -> Step? {
        switch self.state {
        case .whole, .over: return nil
        case .begins(let request): return self.begin(request)
        case .head: return self.nextHead()
        case .content(var reader, let taken):
            // Nothing refers to the reader but this.
            self.state = .over
            return self.nextContent(&reader, taken)
        }
    }

    private mutating func nextHead() -> Step? {
        guard self.skipsEmptyLine(), self.unread.readableBytes > 0 else { return nil }
        let head: RequestHead?
        do throws(HeadError) {
            head = try self.decoder.decode(&self.unread)
        } catch {
            return self.leave(self.decoder.takeUndecoded())
        }
        guard let head else { return nil }
        guard let request = try? CheckedRequest(head), self.isOrdinary(request) else {
            return self.leave(head.fields.received)
        }
        return self.begin(request)
    }

    /// Ignores one empty line in front of a head: some clients send one behind content (RFC 9112 section 2.2).
    /// - Returns: `false` while one may have come in half.
    private mutating func skipsEmptyLine() -> Bool {
        guard self.decoder.isEmpty, !self.hasSkippedLine, self.unread.readableBytesView.first == 13 else { return true }
        guard self.unread.readableBytes > 1 else { return false }
        if self.unread.readableBytesView.dropFirst().first == 10 {
            self.unread.moveReaderIndex(forwardBy: 2)
            self.hasSkippedLine = true
        }
        return true
    }

    private mutating func leave(_ taken: ByteBuffer) -> Step {
        var bytes = taken
        bytes.writeImmutableBuffer(self.unread)
        self.unread = ByteBuffer()
        self.state = .over
        return .other(bytes)
    }

    private mutating func begin(_ request: CheckedRequest) -> Step {
        if let refusal = self.refusal(of: request) {
            self.state = .over
            return .refused(request, refusal)
        }
        self.state = .content(BodyReader(of: request.head), taken: 0)
        return .head(request)
    }

    /// The refusal of a request that HTTP has nothing against, and that cannot be served all the same.
    private func refusal(of request: CheckedRequest) -> Refusal? {
        let head = request.head
        func refusal(_ status: Int, _ sentence: String) -> Refusal { Refusal(status, sentence, method: head.method) }
        if head.method == "CONNECT" { return refusal(501, "No tunnel is opened here.") }
        if head.fields.contains(.transferEncoding),
            head.fields.count(of: "Transfer-Encoding") != 1
                || !head.fields.value(of: "Transfer-Encoding", equalsIgnoringCase: "chunked")
        {
            // RFC 9112 section 6.1
            return refusal(501, "The only Transfer-Encoding that is known here is chunked.")
        }
        if let mostContent, case .bytes(let length) = head.fields.contentLength, length > mostContent {
            return self.tooLong(method: head.method)
        }
        if head.fields.contains(.expect), !head.expectsContinue, head.minorVersion == 1 {
            return refusal(417, "The only expectation that is known here is 100-continue.")
        }
        return nil
    }

    private func tooLong(method: String) -> Refusal {
        Refusal(413, "The body is longer than the \(self.mostContent ?? 0) bytes that it may have.", method: method)
    }

    private mutating func nextContent(_ reader: inout BodyReader, _ taken: Int) -> Step? {
        do throws(GrammarError) {
            try reader.receive(&self.unread)
        } catch {
            return .broken(Refusal(400, "The content cannot be read: \(error.message)."))
        }
        let content = reader.takeEntity()
        let all = taken + content.readableBytes
        if let mostContent, all > mostContent { return .broken(self.tooLong(method: "GET")) }
        if content.readableBytes > 0 {
            self.state = .content(reader, taken: all)
            return .content(content)
        }
        self.state = reader.isWhole ? .whole : .content(reader, taken: all)
        return reader.isWhole ? .end : nil
    }
}

extension RequestHead {
    /// `true` where the client waits for 100 before it sends the content (RFC 9110 section 10.1.1).
    package var expectsContinue: Bool {
        guard self.minorVersion == 1, self.fields.contains(.expect) else { return false }
        return self.fields.list("Expect").allSatisfy { Bytes.lowercasedASCII($0) == "100-continue" }
    }

    /// `true` where the client takes another response on the same connection (RFC 9112 section 9.3).
    package var keepsConnection: Bool {
        if self.fields.hasToken("close", in: .connection) { return false }
        return self.minorVersion == 1 || self.fields.hasToken("keep-alive", in: .connection)
    }
}
