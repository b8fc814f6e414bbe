// A connection of ordinary HTTP/1, from the first request that no endpoint takes: one exchange after the other, each with the
// application's task; a handshake between them goes the way that it goes at the beginning of a connection.
//
//   waiting ── a request ──▶ exchanging ── response and task are done ──▶ waiting
//      │                          ├── the request has content that nobody wants ──▶ skipping ── its end ──▶ waiting
//      │                          └── the client takes nothing ──▶ leaving ── there is room ──▶ waiting
//      ├── a handshake, or what cannot be read ──▶ over: the connection's usual handler has the channel
//      └── idle for too long, a drain, the end of the client's bytes ──▶ ending ── all has left ──▶ over
//   any ── a client that takes nothing, or has gone ──▶ over
//
// States × events:
//               bytes                      end of the client's bytes   drain             the deadline
//   waiting     as above                   ending                      ending            idle: ending; head: 408, end
//   exchanging  content; the next          content fails; cut after    the response is   content: fails, the response
//               request waits              a time, if no stream        the last          is the last; half-closed: cut
//   skipping    dropped, up to a bound     ending                      ending            content: ending
//   leaving     the next request waits     served what waits           ending            writing: cut
//   ending      dropped                    cut, once all has left      left alone        cut
//   over        left alone                 left alone                  left alone        none is set

import HTTPTypes
import KHPProtocol
import KHPWebSocket
import NIOCore

final class HTTPHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        case waiting
        case exchanging(ServedHTTP)
        /// The rest of the request's content is dropped. `left` is the number of bytes that may still come.
        case skipping(left: Int)
        /// The responses so far are whole, and have not left.
        case leaving
        case ending
        case over
    }

    let site: HTTPSite
    var phase = Phase.waiting
    var requests: OrdinaryRequests
    var deadlines = HTTPDeadlines()
    var alarm: (task: Scheduled<Void>, time: NIODeadline)?
    var context: ChannelHandlerContext?
    var hasInputEnded = false
    /// `true` once the server drains.
    var isLeaving = false
    /// The bytes that had not left when the client was last seen to take something.
    var unwritten = 0
    var burst = Burst()
    var turn = Turn()
    let executor: ConnectionExecutor
    private var isReadHeld = false
    /// The instruments of the connection, until its first exchange takes them.
    private var instruments: ServerInstruments?

    init(_ site: HTTPSite) {
        self.site = site
        self.requests = site.requests
        self.executor = ConnectionExecutor(eventLoop: site.channel.eventLoop)
    }

    /// Serves the first request, which has been read already; in place.
    func begin(_ request: CheckedRequest, unread: ByteBuffer, _ instruments: ServerInstruments, hasInputEnded: Bool) {
        self.instruments = instruments
        self.hasInputEnded = hasInputEnded
        self.requests.begin(request, unread: unread)
        self.advance()
    }

    // MARK: Requests

    /// Takes what has come, as far as it can be taken now.
    func advance() {
        while let step = self.nextStep() {
            switch step {
            case .head(let request): self.start(request)
            case .refused(let request, let refusal):
                // Where content is not read, it does not matter that it could not be.
                if self.site.answerTime == nil { self.refuse(refusal, request) } else { self.start(request) }
            case .content(let piece): self.receive(piece)
            case .end: self.receiveEnd()
            case .broken(let refusal): self.contentBreaks(refusal)
            case .other(let bytes): self.handOver(bytes)
            }
        }
        self.settle()
    }

    private func nextStep() -> OrdinaryRequests.Step? {
        switch self.phase {
        case .exchanging(let exchange) where exchange.isFull: nil
        case .waiting where self.mustRest: nil
        case .waiting, .exchanging, .skipping: self.requests.next()
        case .leaving, .ending, .over: nil
        }
    }

    private func start(_ request: CheckedRequest) {
        let site = self.site
        guard site.server.exchanges.begin(most: site.limits.exchanges) else {
            return self.refuse(Refusal(503, "There are too many requests.", fields: [.retryAfter: "1"]), request)
        }
        self.deadlines.endAll()
        self.turn.exchanges += 1
        let instruments = self.takeInstruments(for: request)
        instruments.servesHTTP()
        let isKept = site.transport != .stream && !self.isLeaving && site.answerTime == nil
        let exchange = ServedHTTP(request, OrdinaryResponse(to: request.head, isKept: isKept), instruments)
        self.phase = .exchanging(exchange)
        if let time = site.answerTime { self.deadlines.begin(.answer, .now() + time) }
        // The client may have ended its stream after the request.
        self.boundHalfClosed()
        let conversation = HTTPConversation(self, exchange, on: site.channel.eventLoop)
        let seen = site.exchange(request, conversation)
        let serve = site.serve
        let server = site.server
        let entry = site.entry
        let hooks = server.configuration.hooks
        hooks?.taskStarts()
        self.beginBurstOfOwn()
        let task = Task(executorPreference: self.executor) {
            defer { hooks?.taskEnds() }
            await hooks?.taskBegins()
            var failure: (any Error)?
            do {
                if instruments.isEmpty {
                    try await serve(seen)
                } else {
                    try await instruments.run { try await serve(seen) }
                }
            } catch {
                failure = error
            }
            server.taskEnded(entry)
            conversation.ended(failure)
        }
        exchange.run(task)
        server.opened(entry, task: task)
    }

    /// Observers have been told of the first request.
    private func takeInstruments(for request: CheckedRequest) -> ServerInstruments {
        if let first = self.instruments.take() { return first }
        let instruments = self.site.instruments(for: request)
        if self.site.server.isObserved {
            self.site.observe(.openingRequest(head: request.head.redactedText), instruments)
        }
        return instruments
    }

    /// Answers a request in the application's place.
    /// - Parameter known: the instruments that have seen the request; `nil` where none has.
    func refuse(_ refusal: Refusal, _ request: CheckedRequest? = nil, _ known: ServerInstruments? = nil) {
        var refusal = refusal
        let instruments = known ?? request.map { self.takeInstruments(for: $0) } ?? ServerInstruments()
        if let request { refusal.method = request.head.method }
        var bytes = ByteBuffer()
        refusal.write(into: &bytes, date: DateHeader.now())
        self.site.observe(
            .openingResponse(head: Redaction.head(of: bytes), status: refusal.status),
            instruments
        )
        self.context?.write(self.wrapOutboundOut(bytes), promise: nil)
        self.endConnection()
    }

    private func receive(_ piece: ByteBuffer) {
        switch self.phase {
        case .exchanging(let exchange):
            self.deadlines.end(.content)
            exchange.receive(piece)
        case .skipping(let left):
            guard piece.readableBytes <= left else { return self.endConnection() }
            self.phase = .skipping(left: left - piece.readableBytes)
        case .waiting, .leaving, .ending, .over:
            break
        }
    }

    private func receiveEnd() {
        switch self.phase {
        case .exchanging(let exchange):
            self.deadlines.end(.content)
            exchange.receiveEnd()
        case .skipping:
            self.awaitNext()
        case .waiting, .leaving, .ending, .over:
            break
        }
    }

    private func contentBreaks(_ refusal: Refusal) {
        guard case .exchanging(let exchange) = self.phase else { return self.endConnection() }
        self.deadlines.end(.content)
        exchange.failContent(
            HTTPExchangeError(refusal.status == 413 ? .bodyTooLarge : .bodyMalformed, refusal.explanation)
        )
        exchange.response.endsConnection()
    }

    /// A request that is not to be served here: the connection goes on as it began.
    private func handOver(_ bytes: ByteBuffer) {
        guard let context, let handler = self.site.server.takeOver(self.site, behind: self) else {
            return self.refuse(.tooManyConnections())
        }
        self.phase = .over
        self.deadlines.endAll()
        self.abandonBurst()
        if self.isReadHeld { context.read() }
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        handler.transportIsReady()
        handler.take(bytes, thenEnds: self.hasInputEnded)
    }

    /// The response is written, and the request has come: the next may be served once the client takes what is written.
    func awaitNext() {
        self.requests.proceed()
        self.deadlines.endAll()
        if let context, !context.channel.isWritable {
            self.phase = .leaving
            self.boundWriting(context)
        } else {
            self.phase = .waiting
            self.deadlines.begin(.idle, .now() + TimeAmount(self.site.limits.idleTime))
        }
    }

    // MARK: Reading

    private static let mostUnread = 64 * 1024

    private var wantsMore: Bool {
        switch self.phase {
        case .exchanging(let exchange): !exchange.isFull && self.requests.unreadBytes < Self.mostUnread
        case .waiting, .leaving: self.requests.unreadBytes < Self.mostUnread
        case .skipping, .ending: true
        case .over: false
        }
    }

    func readOn() {
        guard self.isReadHeld, self.wantsMore, let context else { return }
        self.isReadHeld = false
        context.read()
    }

    func read(context: ChannelHandlerContext) {
        if self.wantsMore { context.read() } else { self.isReadHeld = true }
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.isGone()
        self.abandonBurst()
        self.context = nil
        self.site.server.closed(self.site.entry)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .ending = self.phase { return }
        self.beginBurst()
        self.turn.exchanges = 0
        self.requests.receive(self.unwrapInboundIn(data))
        self.advance()
    }

    /// Not passed on: no handler after this one takes part.
    func channelReadComplete(context: ChannelHandlerContext) { self.endBurst() }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard context.channel.isWritable else { return }
        self.deadlines.end(.writing)
        switch self.phase {
        case .exchanging(let exchange):
            self.boundHalfClosed()
            exchange.roomIsThere()
            self.settle()
        case .leaving:
            self.awaitNext()
            self.advance()
        case .waiting, .skipping, .ending, .over: break
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.isGone()
        self.abandonBurst()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as ChannelEvent where event == .inputClosed: self.inputEnds()
        case is ChannelShouldQuiesceEvent: self.goAway()
        default: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Peers that only drop TCP are many.
        if TransportFailure.isEnd(error) { return self.inputEnds() }
        context.close(promise: nil)
    }
}
