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

package final class ExtensionStack {
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
        /// A control message of the peer's has come.
        case control
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

    /// The state of the received message that passes the frame transforms.
    private struct Inbound {
        var buffer = ByteBuffer()
        var utf8 = UTF8Validator()
        var count = 0
        var wireBytes = 0
    }

    private let role: Role
    private var url: WebSocketURL?
    /// Of the application's side first, as are the next two.
    private var hooks: [Hook] = []
    private var frames: [any FrameTransform] = []
    private var claims: [ReservedBits] = []
    /// As ``SharedEncoding/encoding`` has it, where one transform does all that is done to a message.
    package private(set) var encoding: EncodingKey?
    private var pipeline = FramePipeline(count: 0)
    /// The message that is being put together, or what of it has not been delivered.
    private var message = Inbound()
    /// The reserved bits of the first frame of a message that is being sent in pieces.
    private var outboundBits: ReservedBits = []
    private var hasOutboundBegun = false
    private var lastSent: NIODeadline
    private var outgoing: [Outgoing] = []
    /// The answer to the peer's latest ping in messages, with the place of the extension that gives it.
    private var pong: (message: WebSocketMessage, index: Int)?

    package init(role: Role, now: NIODeadline) {
        self.role = role
        self.lastSent = now
    }

    /// Goes on from the same place, for ``Connection/copy()``. Transforms that hold objects copy them.
    func copy() -> ExtensionStack {
        let copy = ExtensionStack(role: self.role, now: self.lastSent)
        copy.url = self.url
        copy.hooks = self.hooks
        copy.frames = self.frames.map { ($0 as? any CopiedFrameTransform)?.copy() ?? $0 }
        copy.claims = self.claims
        copy.encoding = self.encoding
        copy.pipeline = self.pipeline
        copy.message = self.message
        copy.outboundBits = self.outboundBits
        copy.hasOutboundBegun = self.hasOutboundBegun
        copy.outgoing = self.outgoing
        copy.pong = self.pong
        return copy
    }

    // MARK: Life

    /// Adds what one handshake negotiated: above what is there, since the extended handshake lies above the opening.
    package func add(_ negotiated: [NegotiatedExtension], from extensions: [any WebSocketExtension]) {
        var hooks: [Hook] = []
        var frames: [any FrameTransform] = []
        var claims: [ReservedBits] = []
        for item in negotiated {
            guard let known = extensions.first(where: { $0.name == item.name }) else { continue }
            if let transform = known.makeTransform(role: self.role, parameters: item.parameters) {
                hooks.append(Hook(transform: transform))
            }
            if !known.reservedBits.isEmpty,
                let transform = known.makeFrameTransform(role: self.role, parameters: item.parameters)
            {
                frames.append(transform)
                claims.append(known.reservedBits)
            }
        }
        self.hooks = hooks + self.hooks
        self.frames = frames + self.frames
        self.claims = claims + self.claims
        let isAlone = self.frames.count == 1 && !self.needsWholeMessages
        self.encoding = isAlone ? (self.frames.first as? any SharedEncoding)?.encoding : nil
        self.pipeline = FramePipeline(count: self.frames.count)
    }

    package var isEmpty: Bool { self.hooks.isEmpty && self.frames.isEmpty }

    /// The reserved bits that received frames may have.
    package var reservedBits: UInt8 { self.claims.reduce(into: 0) { $0 |= $1.rawValue } }

    /// `true` when messages must be whole before the application gets them, and are sent whole.
    package var needsWholeMessages: Bool { self.hooks.contains { $0.transform.handlesMessages } }

    /// How many have a hand in messages as a whole.
    package var messageTransforms: Int { self.hooks.count { $0.transform.handlesMessages } }

    package var transformsFrames: Bool { !self.frames.isEmpty }

    /// The socket is open.
    package func opened(url: WebSocketURL, now: NIODeadline) throws {
        self.url = url
        self.lastSent = now
        for index in self.hooks.indices {
            _ = try self.run(index, now, now) { hook, scope in try hook.opened(&scope) }
        }
    }

    /// The connection has ended.
    package func closed() {
        for index in self.hooks.indices { self.hooks[index].transform.closed() }
        for index in self.frames.indices { self.frames[index].closed() }
        self.hooks = []
        self.pong = nil
        self.frames = []
        self.claims = []
        self.pipeline = FramePipeline(count: 0)
    }

    // MARK: Hooks

    /// Calls a hook and does what it asked for.
    private func run<Result>(
        _ index: Int,
        _ now: NIODeadline,
        _ received: NIODeadline,
        _ body: (inout any MessageTransform, inout ExtensionScope) throws -> Result
    ) throws -> Result? {
        guard let url = self.url else { return nil }
        var scope = ExtensionScope(
            role: self.role,
            url: url,
            now: now,
            lastReceived: received,
            lastSent: self.lastSent,
            deadline: self.hooks[index].deadline
        )
        let result = try body(&self.hooks[index].transform, &scope)
        self.hooks[index].deadline = scope.deadline
        for command in scope.commands {
            switch command {
            case .send(let message): try self.pass(message, behind: index, now, received)
            case .ping: try self.ping(for: index, now, received)
            case .control: self.outgoing.append(.control)
            case .pong(let message): self.pong = (message, index)
            case .close(let code, let reason): self.outgoing.append(.close(code, reason))
            }
        }
        return result
    }

    private func ping(for asking: Int, _ now: NIODeadline, _ received: NIODeadline) throws {
        for index in self.hooks.indices where index != asking {
            let isSent = try self.run(index, now, received) { hook, scope in try hook.sendPing(&scope) }
            if isSent == true { return }
        }
        self.outgoing.append(.ping)
    }

    /// Sends the answer to the peer's latest ping in messages.
    /// - Returns: `false` where none waits.
    func answerPing(now: NIODeadline, received: NIODeadline) throws -> Bool {
        guard let pong = self.pong.take() else { return false }
        try self.pass(pong.message, behind: pong.index, now, received)
        return true
    }

    /// Has the first extension that can do it ask the peer to prove anew who it is.
    /// - Returns: `false` where none can.
    package func askToRevalidate(_ path: String, now: NIODeadline, received: NIODeadline) throws -> Bool {
        for index in self.hooks.indices {
            let isAsked = try self.run(index, now, received) { hook, scope in try hook.askToRevalidate(path, &scope) }
            if isAsked == true { return true }
        }
        return false
    }

    /// Sends a message through the hooks on the wire's side of one.
    private func pass(
        _ message: WebSocketMessage,
        behind index: Int?,
        _ now: NIODeadline,
        _ received: NIODeadline
    ) throws {
        var message = message
        for index in (index.map { $0 + 1 } ?? 0)..<self.hooks.count
        where self.hooks[index].transform.handlesMessages {
            let result = try self.run(index, now, received) { hook, scope in try hook.outbound(message, &scope) }
            guard let next = result ?? nil else { return }
            message = next
        }
        self.outgoing.append(.message(message))
    }

    /// The application's message; what is to be sent in the end is taken with ``takeOutgoing()``.
    package func outbound(_ message: WebSocketMessage, now: NIODeadline, received: NIODeadline) throws {
        try self.pass(message, behind: nil, now, received)
    }

    /// A whole received message, as the application gets it; `nil` where it was swallowed.
    package func inbound(
        _ message: WebSocketMessage,
        now: NIODeadline,
        received: NIODeadline
    ) throws -> WebSocketMessage? {
        var message = message
        for index in self.hooks.indices.reversed() where self.hooks[index].transform.handlesMessages {
            let result = try self.run(index, now, received) { hook, scope in try hook.inbound(message, &scope) }
            guard let next = result ?? nil else { return nil }
            message = next
        }
        return message
    }

    /// Takes the actions that hooks and messages have left.
    package func takeOutgoing() -> [Outgoing] {
        guard !self.outgoing.isEmpty else { return [] }
        defer { self.outgoing = [] }
        return self.outgoing
    }

    /// Keeps what cannot be sent yet.
    package func putBack(_ outgoing: [Outgoing]) {
        self.outgoing = outgoing + self.outgoing
    }

    package var hasOutgoing: Bool { !self.outgoing.isEmpty }

    /// A message, a piece of one or a ping of an extension has been written. One that was refused, or waits, has not.
    package func sent(now: NIODeadline) {
        self.lastSent = now
    }

    /// When to call ``deadlineReached(now:received:)``.
    package var deadline: NIODeadline? {
        self.hooks.reduce(nil) { earliest, hook in
            guard let earliest, let deadline = hook.deadline else { return earliest ?? hook.deadline }
            return min(earliest, deadline)
        }
    }

    package func deadlineReached(now: NIODeadline, received: NIODeadline) throws {
        for index in self.hooks.indices {
            guard let deadline = self.hooks[index].deadline, deadline <= now else { continue }
            self.hooks[index].deadline = nil
            _ = try self.run(index, now, received) { hook, scope in try hook.deadlineReached(&scope) }
            // One that asks for a time that has passed would be called without a pause.
            guard let next = self.hooks[index].deadline, next <= now else { continue }
            self.hooks[index].deadline = now + Self.shortestWait
        }
    }

    // MARK: Pieces

    /// Takes a piece of a message that has reserved bits. Nothing may be pending.
    package func receive(_ piece: MessagePiece) {
        if piece.isFirst { self.message = Inbound() }
        self.message.wireBytes += piece.bytes.readableBytes
        self.pipeline.push(piece)
    }

    /// `true` when `next` has something to do without new input.
    package var isPending: Bool { self.pipeline.isPending }

    /// The bytes that the message delivered last had in its frames.
    package var wireBytes: Int { self.message.wireBytes }

    /// The bytes that came in frames of the message since the last call, for those who deliver it in chunks.
    package func takeWireBytes() -> Int {
        defer { self.message.wireBytes = 0 }
        return self.message.wireBytes
    }

    /// Bytes of memory for the message that is put together, the pieces that wait and the messages that do.
    var heldBytes: Int {
        let waiting = self.outgoing.reduce(self.pong.map { Self.bytes(of: $0.message) } ?? 0) { sum, outgoing in
            if case .message(let message) = outgoing { sum + Self.bytes(of: message) } else { sum }
        }
        return self.message.buffer.storageCapacity + self.pipeline.heldBytes + waiting
    }

    private static func bytes(of message: WebSocketMessage) -> Int {
        switch message {
        case .text(let text): text.utf8.count
        case .binary(let bytes): bytes.readableBytes
        }
    }

    /// The output of the pieces: a whole message, or a chunk at a time where messages are streamed. `nil` when more
    /// input is needed.
    ///
    /// - Parameter limit: bytes of a message, counted here, behind the transforms (threat C1).
    package func next(limit: Int, streams: Bool) throws(Failure) -> InboundFrameEvent? {
        let limit = streams ? limit : min(limit, Int(Int32.max))
        while true {
            let delivery: FramePipeline.Delivery?
            if streams { self.message.buffer = ByteBuffer() }
            let before = self.message.buffer.readableBytes
            do {
                // One byte more than is allowed is enough to see that there is more.
                delivery = try self.pull(room: min(FramePipeline.stepBytes, limit - self.message.count) + 1)
            } catch {
                throw .failed(error)
            }
            guard let delivery else { return nil }
            try self.check(delivery, from: before, limit: limit)
            if streams {
                let chunk = self.message.buffer
                self.message.buffer = ByteBuffer()
                return .chunk(
                    kind: delivery.kind,
                    payload: chunk,
                    isFirst: delivery.isFirst,
                    isLast: delivery.isLast,
                    rsv: 0
                )
            }
            guard delivery.isLast else { continue }
            let whole = self.message.buffer
            self.message.buffer = ByteBuffer()
            return .message(kind: delivery.kind, payload: whole, rsv: 0)
        }
    }

    private func pull(room: Int) throws -> FramePipeline.Delivery? {
        // Taken out, so that it is appended to in place.
        var buffer = self.message.buffer
        self.message.buffer = ByteBuffer()
        defer { self.message.buffer = buffer }
        return try self.pipeline.pull(&self.frames, self.claims, into: &buffer, room: room)
    }

    private func check(
        _ delivery: FramePipeline.Delivery,
        from start: Int,
        limit: Int
    ) throws(Failure) {
        let count = self.message.buffer.readableBytes - start
        self.message.count += count
        guard self.message.count <= limit else { throw .violation(.tooBig(limit: limit)) }
        guard delivery.kind == .text else { return }
        var utf8 = self.message.utf8
        let isValid = self.message.buffer.withUnsafeReadableBytes { bytes in
            utf8.validate(UnsafeRawBufferPointer(rebasing: bytes.suffix(count)))
        }
        self.message.utf8 = utf8
        guard isValid, !delivery.isLast || utf8.isComplete else { throw .violation(.invalidText()) }
    }

    /// A message, or a piece of one, as it goes into a frame; `nil` where there is nothing to write yet.
    package func encode(_ piece: MessagePiece) throws -> Frame? {
        var piece = piece
        if piece.isFirst {
            self.outboundBits = []
            self.hasOutboundBegun = false
        }
        for index in self.frames.indices {
            var output = ByteBuffer()
            let bits = piece.reservedBits
            piece.reservedBits = []
            try self.frames[index].outbound(&piece, into: &output)
            // No other bits than its own are its to set.
            piece.reservedBits = piece.reservedBits.intersection(self.claims[index]).union(bits)
            piece.bytes = output
        }
        self.outboundBits.formUnion(piece.reservedBits)
        guard piece.bytes.readableBytes > 0 || piece.isLast else { return nil }
        let isFirst = !self.hasOutboundBegun
        self.hasOutboundBegun = !piece.isLast
        return Frame(
            bytes: piece.bytes,
            reservedBits: isFirst ? self.outboundBits.rawValue : 0,
            isFirst: isFirst,
            isLast: piece.isLast
        )
    }
}
