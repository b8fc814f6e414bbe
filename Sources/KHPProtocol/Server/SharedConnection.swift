// An HTTP connection of somebody else's that is watched from outside: where each request begins, and how many wait for
// their response, so that a request of ours is found among theirs and answered behind theirs. Sans-I/O.
//
//   head ── theirs ──▶ content ── its end ──▶ head           States × events, beside bytes of theirs, which all pass:
//    │ │                  └─ it wants another protocol ──▶ waiting ── they have answered otherwise ──▶ head
//    │ └─ ours, behind responses that are owed ──▶ held ── these are sent ──▶ ours
//    └─── ours, and none is owed ──▶ ours
//   any ── unreadable, CONNECT, 101, an end that is not certain ──▶ theirs: nothing is looked at any more
//
// - our own bug: none possible here;
// - a violation of either side: the connection is theirs from there on, and they answer it as they always have;
// - ignored: all that does not tell where a message ends.

package import NIOCore

package struct SharedConnection {
    package enum Step {
        /// These bytes are for the others.
        case theirs(ByteBuffer)
        /// A request of ours, and all behind it. The last step.
        case ours(ByteBuffer)
    }

    private enum State {
        case head
        case content(ContentBoundary, thenWaits: Bool)
        case waiting
        case held(ByteBuffer)
        case theirs
        case ours
    }

    private enum Sent {
        case head
        case content(ContentBoundary)
        case unknown
    }

    /// A request that is owed a response.
    private struct Owed {
        let isHEAD: Bool
    }

    private let isOwn: @Sendable (RequestHead) -> Bool
    private var decoder: RequestHeadDecoder
    private var unread = ByteBuffer()
    private var state = State.head
    private var owed: [Owed] = []
    private var responses = ResponseHeadDecoder(limits: Self.responseLimits)
    private var sent = Sent.head

    /// Their responses are trusted, and larger than most.
    private static let responseLimits = HeadLimits(lineBytes: 65_536, headBytes: 262_144, fieldCount: 1_000)
    /// More requests than these, each without its response, are not looked at.
    private static let mostOwed = 100

    /// - Parameter isOwn: tells the requests that are ours.
    package init(limits: HeadLimits, isOwn: @escaping @Sendable (RequestHead) -> Bool) {
        self.isOwn = isOwn
        self.decoder = RequestHeadDecoder(limits: limits)
    }

    // MARK: Bytes of the peer

    package mutating func receive(_ bytes: ByteBuffer) {
        if self.unread.readableBytes == 0 { self.unread = bytes } else { self.unread.writeImmutableBuffer(bytes) }
    }

    /// `true` while bytes wait here for a response: no more should be read.
    package var isHolding: Bool {
        switch self.state {
        case .held: true
        case .waiting: self.unread.readableBytes > 0
        case .head, .content, .theirs, .ours: false
        }
    }

    /// `true` while part of a head waits here for its rest.
    package var isInsideHead: Bool { if case .head = self.state { !self.decoder.isEmpty } else { false } }

    /// `true` once nothing is looked at any more.
    package var isTheirs: Bool { if case .theirs = self.state { true } else { false } }

    /// The next thing to do with what has come; `nil` when more is needed, or a response.
    package mutating func next() -> Step? {
        while true {
            switch self.state {
            case .ours:
                return nil
            case .theirs:
                return self.takeUnread().map { .theirs($0) }
            case .waiting:
                guard self.owed.isEmpty else { return nil }
                self.state = .head
            case .held(var bytes):
                guard self.owed.isEmpty else { return nil }
                if let rest = self.takeUnread() { bytes.writeImmutableBuffer(rest) }
                self.state = .ours
                return .ours(bytes)
            case .content(var content, let thenWaits):
                if content.isComplete {
                    self.state = thenWaits ? .waiting : .head
                    continue
                }
                guard self.unread.readableBytes > 0 else { return nil }
                guard let count = content.take(self.unread) else {
                    self.state = .theirs
                    continue
                }
                self.state = .content(content, thenWaits: thenWaits)
                if let part = self.unread.readSlice(length: count) { return .theirs(part) }
            case .head:
                guard self.unread.readableBytes > 0 else { return nil }
                // Some clients end their content with an empty line more (RFC 9112 section 2.2).
                if self.decoder.isEmpty, let line = self.emptyLine() { return .theirs(line) }
                guard let step = self.takeHead() else { return nil }
                return step
            }
        }
    }

    private mutating func takeHead() -> Step? {
        let head: RequestHead
        do throws(HeadError) {
            guard let whole = try self.decoder.decode(&self.unread) else { return nil }
            head = whole
        } catch {
            return .theirs(self.takeAll())
        }
        if self.isOwn(head) {
            var bytes = head.fields.received
            if let rest = self.takeUnread() { bytes.writeImmutableBuffer(rest) }
            if self.owed.isEmpty {
                self.state = .ours
                return .ours(bytes)
            }
            self.state = .held(bytes)
            return nil
        }
        self.owed.append(Owed(isHEAD: head.method == "HEAD"))
        if head.method != "CONNECT", self.owed.count <= Self.mostOwed, let content = ContentBoundary(of: head) {
            self.state = .content(content, thenWaits: head.fields.contains(.upgrade))
        } else {
            self.state = .theirs
        }
        return .theirs(head.fields.received)
    }

    private mutating func emptyLine() -> ByteBuffer? {
        let first = self.unread.getInteger(at: self.unread.readerIndex, as: UInt8.self)
        guard first == Bytes.carriageReturn || first == Bytes.lineFeed else { return nil }
        return self.unread.readSlice(length: 1)
    }

    private mutating func takeUnread() -> ByteBuffer? {
        guard self.unread.readableBytes > 0 else { return nil }
        defer { self.unread = ByteBuffer() }
        return self.unread
    }

    /// Nothing is looked at any more, whatever waits here: it is theirs. `nil` where nothing does.
    package mutating func giveUp() -> ByteBuffer? {
        if case .ours = self.state { return nil }
        let bytes = self.takeAll()
        return bytes.readableBytes > 0 ? bytes : nil
    }

    /// They are to answer the request of ours too, whose bytes the last step has given out.
    package mutating func leave() { self.state = .theirs }

    private mutating func takeAll() -> ByteBuffer {
        var bytes: ByteBuffer
        if case .held(let held) = self.state { bytes = held } else { bytes = self.decoder.takeUndecoded() }
        if let rest = self.takeUnread() { bytes.writeImmutableBuffer(rest) }
        self.state = .theirs
        return bytes
    }

    // MARK: Bytes of the other HTTP

    /// They have sent bytes; ``next()`` may have more to do then.
    package mutating func send(_ bytes: ByteBuffer) {
        var bytes = bytes
        while bytes.readableBytes > 0 {
            switch self.sent {
            case .unknown:
                return
            case .content(var content):
                guard let count = content.take(bytes) else { return self.loseTrack() }
                bytes.moveReaderIndex(forwardBy: count)
                self.sent = .content(content)
                if content.isComplete { self.responseEnded() }
            case .head:
                do throws(HeadError) {
                    guard let head = try self.responses.decode(&bytes) else { return }
                    self.begin(head)
                } catch {
                    return self.loseTrack()
                }
            }
        }
    }

    /// They have sent bytes that nobody has to look at, such as those of a file.
    package mutating func send(count: Int) {
        guard case .content(var content) = self.sent, content.skip(count: count) else { return self.loseTrack() }
        self.sent = .content(content)
        if content.isComplete { self.responseEnded() }
    }

    private mutating func begin(_ head: ResponseHead) {
        if head.status == 101 { return self.loseTrack() }
        if head.status < 200 { return }
        guard let request = self.owed.first, let content = ContentBoundary(of: head, isForHEAD: request.isHEAD) else {
            return self.loseTrack()
        }
        self.sent = .content(content)
        if content.isComplete { self.responseEnded() }
    }

    private mutating func responseEnded() {
        self.sent = .head
        if !self.owed.isEmpty { self.owed.removeFirst() }
    }

    /// No response can be told from the next any more, so nothing of ours can ever come behind them.
    private mutating func loseTrack() {
        self.sent = .unknown
        if case .ours = self.state { return }
        var bytes = self.takeAll()
        swap(&bytes, &self.unread)
    }
}
