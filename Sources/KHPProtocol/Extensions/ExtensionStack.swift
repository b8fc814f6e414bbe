// The extensions in force on one connection, made at open and let go at close: application-class ones over whole
// messages on top, those that claim reserved bits over pieces below.
//
//     application ─▶ extended handshake's ─▶ opening's ─▶ frame transforms (likewise) ─▶ frames
//
// - an extension's failure or refusal: an error with a close code;
// - the peer's violation: more than the limits allow, text that is none;
// - to be ignored: nothing.
//
// A connection without extensions has no stack, and nothing of this is on its way.

package import NIOCore

package struct ExtensionStack {
    /// Why a received message could not be handled.
    package enum Failure: Error {
        /// The peer's.
        case violation(FrameViolation)
        /// The error of a transform.
        case failed(any Error)
    }

    /// An action for the connection, to be taken in order.
    package enum Outgoing {
        case message(WebSocketMessage)
        case ping
        case close(WebSocketCloseCode, String)
    }

    /// A part of a message that goes out as one frame.
    package struct Frame {
        package var bytes: ByteBuffer
        package var reservedBits: UInt8
        package var isFirst: Bool
        package var isLast: Bool
    }

    /// How soon a hook is called again that asks for a time that has passed.
    private static let shortestWait = TimeAmount.milliseconds(1)

    private struct Hook {
        var transform: any MessageTransform
        var deadline: NIODeadline?
    }

    private struct State {
        let role: Role
        var url: WebSocketURL?
        /// Of the application's side first, as are the next two.
        var hooks: [Hook] = []
        var frames: [any FrameTransform] = []
        var claims: [ReservedBits] = []
        var inbound = FramePipeline(count: 0)
        /// The message that is being put together, or what of it has not been delivered.
        var message = Inbound()
        /// What the first frame of a message that is being sent in pieces has to say.
        var outboundBits: ReservedBits = []
        var hasOutboundBegun = false
        var lastSent: NIODeadline
        var outgoing: [Outgoing] = []
    }

    /// What is known of the received message that passes the frame transforms.
    private struct Inbound {
        var buffer = ByteBuffer()
        var utf8 = UTF8Validator()
        var count = 0
        var wireBytes = 0
    }

    private final class Box {
        var state: State
        init(_ state: State) { self.state = state }
    }

    /// One word in the connection; copied when a copy of the connection goes on from here.
    private var box: Box

    private var state: State {
        _read { yield self.box.state }
        _modify {
            if !isKnownUniquelyReferenced(&self.box) { self.box = Box(self.box.state) }
            yield &self.box.state
        }
    }

    package init(role: Role, now: NIODeadline) {
        self.box = Box(State(role: role, lastSent: now))
    }

    // MARK: Life

    /// Adds what one handshake negotiated: above what is there, since the extended handshake lies above the opening.
    package mutating func add(_ negotiated: [NegotiatedExtension], from extensions: [any WebSocketExtension]) {
        var hooks: [Hook] = []
        var frames: [any FrameTransform] = []
        var claims: [ReservedBits] = []
        for item in negotiated {
            guard let known = extensions.first(where: { $0.name == item.name }) else { continue }
            if let transform = known.makeTransform(role: self.state.role, parameters: item.parameters) {
                hooks.append(Hook(transform: transform))
            }
            if !known.reservedBits.isEmpty,
                let transform = known.makeFrameTransform(role: self.state.role, parameters: item.parameters)
            {
                frames.append(transform)
                claims.append(known.reservedBits)
            }
        }
        self.state.hooks = hooks + self.state.hooks
        self.state.frames = frames + self.state.frames
        self.state.claims = claims + self.state.claims
        self.state.inbound = FramePipeline(count: self.state.frames.count)
    }

    package var isEmpty: Bool { self.state.hooks.isEmpty && self.state.frames.isEmpty }

    /// The reserved bits that received frames may have.
    package var reservedBits: UInt8 { self.state.claims.reduce(into: 0) { $0 |= $1.rawValue } }

    /// Whether messages must be whole before the application gets them, and are sent whole.
    package var needsWholeMessages: Bool { self.state.hooks.contains { $0.transform.handlesMessages } }

    /// How many have a hand in messages as a whole.
    package var messageTransforms: Int { self.state.hooks.count { $0.transform.handlesMessages } }

    package var transformsFrames: Bool { !self.state.frames.isEmpty }

    /// The socket is open.
    package mutating func opened(url: WebSocketURL, now: NIODeadline) throws {
        self.state.url = url
        self.state.lastSent = now
        for index in self.state.hooks.indices {
            _ = try self.run(index, now, now) { hook, scope in try hook.opened(&scope) }
        }
    }

    /// The connection has ended.
    package mutating func closed() {
        for index in self.state.hooks.indices { self.state.hooks[index].transform.closed() }
        for index in self.state.frames.indices { self.state.frames[index].closed() }
        self.state.hooks = []
        self.state.frames = []
        self.state.claims = []
        self.state.inbound = FramePipeline(count: 0)
    }

    // MARK: Hooks

    /// Calls a hook and does what it asked for.
    private mutating func run<Result>(
        _ index: Int,
        _ now: NIODeadline,
        _ received: NIODeadline,
        _ body: (inout any MessageTransform, inout ExtensionScope) throws -> Result
    ) throws -> Result? {
        guard let url = self.state.url else { return nil }
        var scope = ExtensionScope(
            role: self.state.role,
            url: url,
            now: now,
            lastReceived: received,
            lastSent: self.state.lastSent,
            deadline: self.state.hooks[index].deadline
        )
        let result = try body(&self.state.hooks[index].transform, &scope)
        self.state.hooks[index].deadline = scope.deadline
        for command in scope.commands {
            switch command {
            case .send(let message): try self.pass(message, behind: index, now, received)
            case .ping: try self.ping(for: index, now, received)
            case .close(let code, let reason): self.state.outgoing.append(.close(code, reason))
            }
        }
        return result
    }

    private mutating func ping(for asking: Int, _ now: NIODeadline, _ received: NIODeadline) throws {
        for index in self.state.hooks.indices where index != asking {
            let isSent = try self.run(index, now, received) { hook, scope in try hook.sendPing(&scope) }
            if isSent == true { return }
        }
        self.state.outgoing.append(.ping)
        self.state.lastSent = now
    }

    /// Sends a message through the hooks on the wire's side of one.
    private mutating func pass(
        _ message: WebSocketMessage,
        behind index: Int?,
        _ now: NIODeadline,
        _ received: NIODeadline
    ) throws {
        var message = message
        for index in (index.map { $0 + 1 } ?? 0)..<self.state.hooks.count
        where self.state.hooks[index].transform.handlesMessages {
            let result = try self.run(index, now, received) { hook, scope in try hook.outbound(message, &scope) }
            guard let next = result ?? nil else { return }
            message = next
        }
        self.state.outgoing.append(.message(message))
        self.state.lastSent = now
    }

    /// The application's message; what is to be sent in the end is taken with ``takeOutgoing()``.
    package mutating func outbound(_ message: WebSocketMessage, now: NIODeadline, received: NIODeadline) throws {
        try self.pass(message, behind: nil, now, received)
    }

    /// A whole received message, as the application gets it; `nil` where it was swallowed.
    package mutating func inbound(
        _ message: WebSocketMessage,
        now: NIODeadline,
        received: NIODeadline
    ) throws -> WebSocketMessage? {
        var message = message
        for index in self.state.hooks.indices.reversed() where self.state.hooks[index].transform.handlesMessages {
            let result = try self.run(index, now, received) { hook, scope in try hook.inbound(message, &scope) }
            guard let next = result ?? nil else { return nil }
            message = next
        }
        return message
    }

    /// What hooks and messages have left to be sent or done.
    package mutating func takeOutgoing() -> [Outgoing] {
        guard !self.state.outgoing.isEmpty else { return [] }
        defer { self.state.outgoing = [] }
        return self.state.outgoing
    }

    /// Keeps what cannot be sent yet.
    package mutating func putBack(_ outgoing: [Outgoing]) {
        self.state.outgoing = outgoing + self.state.outgoing
    }

    package var hasOutgoing: Bool { !self.state.outgoing.isEmpty }

    /// Something was sent past the hooks.
    package mutating func sent(now: NIODeadline) {
        self.state.lastSent = now
    }

    /// When to call ``deadlineReached(now:received:)``.
    package var deadline: NIODeadline? {
        self.state.hooks.reduce(nil) { earliest, hook in
            guard let earliest, let deadline = hook.deadline else { return earliest ?? hook.deadline }
            return min(earliest, deadline)
        }
    }

    package mutating func deadlineReached(now: NIODeadline, received: NIODeadline) throws {
        for index in self.state.hooks.indices {
            guard let deadline = self.state.hooks[index].deadline, deadline <= now else { continue }
            self.state.hooks[index].deadline = nil
            _ = try self.run(index, now, received) { hook, scope in try hook.deadlineReached(&scope) }
            // One that asks for a time that has passed would be called without a pause.
            guard let next = self.state.hooks[index].deadline, next <= now else { continue }
            self.state.hooks[index].deadline = now + Self.shortestWait
        }
    }

    // MARK: Pieces

    /// What frames hold of a message that has reserved bits; nothing may be pending.
    package mutating func receive(_ piece: MessagePiece) {
        if piece.isFirst { self.state.message = Inbound() }
        self.state.message.wireBytes += piece.bytes.readableBytes
        self.state.inbound.push(piece)
    }

    /// Whether `next` has something to do without new input.
    package var isPending: Bool { self.state.inbound.isPending }

    /// The bytes that the message delivered last had in its frames.
    package var wireBytes: Int { self.state.message.wireBytes }

    /// The bytes that came in frames of the message since the last call, for those who deliver it in chunks.
    package mutating func takeWireBytes() -> Int {
        defer { self.state.message.wireBytes = 0 }
        return self.state.message.wireBytes
    }

    /// The output of the pieces: a whole message, or a chunk at a time where messages are streamed. `nil` when more
    /// input is needed.
    ///
    /// - Parameter limit: bytes of a message, counted here, behind the transforms (threat C1).
    package mutating func next(limit: Int, streams: Bool) throws(Failure) -> InboundFrameEvent? {
        let limit = streams ? limit : min(limit, Int(Int32.max))
        while true {
            let delivery: FramePipeline.Delivery?
            if streams { self.state.message.buffer = ByteBuffer() }
            let before = self.state.message.buffer.readableBytes
            do {
                // One byte more than is allowed is enough to see that there is more.
                delivery = try self.pull(room: min(FramePipeline.stepBytes, limit - self.state.message.count) + 1)
            } catch {
                throw .failed(error)
            }
            guard let delivery else { return nil }
            try self.check(delivery, from: before, limit: limit)
            if streams {
                let chunk = self.state.message.buffer
                self.state.message.buffer = ByteBuffer()
                return .chunk(
                    kind: delivery.kind,
                    payload: chunk,
                    isFirst: delivery.isFirst,
                    isLast: delivery.isLast,
                    rsv: 0
                )
            }
            guard delivery.isLast else { continue }
            let whole = self.state.message.buffer
            self.state.message.buffer = ByteBuffer()
            return .message(kind: delivery.kind, payload: whole, rsv: 0)
        }
    }

    private mutating func pull(room: Int) throws -> FramePipeline.Delivery? {
        // Taken out, so that it is appended to in place.
        var buffer = self.state.message.buffer
        self.state.message.buffer = ByteBuffer()
        defer { self.state.message.buffer = buffer }
        return try Self.pull(&self.state, &buffer, room)
    }

    private static func pull(
        _ state: inout State,
        _ buffer: inout ByteBuffer,
        _ room: Int
    ) throws -> FramePipeline.Delivery? {
        try state.inbound.pull(&state.frames, state.claims, into: &buffer, room: room)
    }

    private mutating func check(
        _ delivery: FramePipeline.Delivery,
        from start: Int,
        limit: Int
    ) throws(Failure) {
        let count = self.state.message.buffer.readableBytes - start
        self.state.message.count += count
        guard self.state.message.count <= limit else { throw .violation(.tooBig(limit: limit)) }
        guard delivery.kind == .text else { return }
        var utf8 = self.state.message.utf8
        let isValid = self.state.message.buffer.withUnsafeReadableBytes { bytes in
            utf8.validate(UnsafeRawBufferPointer(rebasing: bytes.suffix(count)))
        }
        self.state.message.utf8 = utf8
        guard isValid, !delivery.isLast || utf8.isComplete else { throw .violation(.invalidText()) }
    }

    /// A message, or a piece of one, as it goes into a frame; `nil` where there is nothing to write yet.
    package mutating func encode(_ piece: MessagePiece) throws -> Frame? {
        var piece = piece
        if piece.isFirst {
            self.state.outboundBits = []
            self.state.hasOutboundBegun = false
        }
        for index in self.state.frames.indices {
            var output = ByteBuffer()
            let bits = piece.reservedBits
            piece.reservedBits = []
            try self.state.frames[index].outbound(&piece, into: &output)
            // No other bits than its own are its to set.
            piece.reservedBits = piece.reservedBits.intersection(self.state.claims[index]).union(bits)
            piece.bytes = output
        }
        self.state.outboundBits.formUnion(piece.reservedBits)
        guard piece.bytes.readableBytes > 0 || piece.isLast else { return nil }
        let isFirst = !self.state.hasOutboundBegun
        self.state.hasOutboundBegun = !piece.isLast
        return Frame(
            bytes: piece.bytes,
            reservedBits: isFirst ? self.state.outboundBits.rawValue : 0,
            isFirst: isFirst,
            isLast: piece.isLast
        )
    }
}
