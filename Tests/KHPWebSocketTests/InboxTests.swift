// The inbox between the event loop and the one task that takes messages, without a socket.

import KHPProtocol
import KHPWebSocket
import NIOCore
import Testing

@Suite("Inbox", .timeLimit(.minutes(1)))
struct InboxTests {
    private static func inbox(messages: Int = 4, bytes: Int = 1000) -> Inbox {
        var limits = Limits()
        limits.inboundQueueMessages = messages
        limits.inboundQueueBytes = bytes
        return Inbox(limits: limits)
    }

    private static func bytes(_ count: Int) -> ByteBuffer { ByteBuffer(repeating: 0, count: count) }

    private static func end(_ error: WebSocketError? = nil) -> CloseInfo {
        CloseInfo(code: .normalClosure, reason: "", clean: error == nil, initiator: .peer, error: error)
    }

    /// Messages of these sizes are pushed; then the consumer takes all but one by one until reading may go on.
    @Test(
        "reading stops at either limit, and goes on at half of both",
        arguments: [
            (sizes: [1, 1, 1, 1], pausesAt: 4, resumesAt: 2),
            (sizes: [400, 400, 400], pausesAt: 3, resumesAt: 2),
            (sizes: [1200, 1], pausesAt: 1, resumesAt: 1),
            (sizes: [999, 1], pausesAt: 2, resumesAt: 1),
            (sizes: [500, 500], pausesAt: 2, resumesAt: 1),
            (sizes: [499, 501], pausesAt: 2, resumesAt: 2),
        ]
    )
    func pauses(sizes: [Int], pausesAt: Int, resumesAt: Int) {
        let inbox = Self.inbox()
        for (index, size) in sizes.enumerated() {
            #expect(inbox.push(.binary, Self.bytes(size), isClosing: false) == (index + 1 >= pausesAt))
        }
        #expect(inbox.queued == (sizes.count, sizes.reduce(0, +)))
        var taken = 0
        while case .item(_, let drained) = inbox.take() {
            taken += 1
            #expect(drained == (taken == resumesAt))
        }
        #expect(taken == sizes.count)
    }

    @Test("what finds no room while this side closes is dropped, and said to be")
    func drops() {
        let inbox = Self.inbox(bytes: 10)
        #expect(!inbox.push(.binary, Self.bytes(10), isClosing: true))
        #expect(!inbox.hasLost)
        #expect(!inbox.push(.binary, Self.bytes(1), isClosing: true))
        #expect(inbox.hasLost)
        #expect(inbox.queued == (1, 10))
    }

    @Test("a consumer that waits gets the message without the queue, or the end")
    func waits() async throws {
        let inbox = Self.inbox()
        let messages = Task { () async throws -> [Int] in
            var sizes: [Int] = []
            while let item = try inbox.item(of: await inbox.wait { _ in }) { sizes.append(item.bytes.readableBytes) }
            return sizes
        }
        for size in 1...3 { _ = inbox.push(.binary, Self.bytes(size), isClosing: false) }
        inbox.finish(Self.end())
        #expect(try await messages.value == [1, 2, 3])
        #expect(inbox.endWasSeen)
        #expect(inbox.closedError.closeCode == .normalClosure)
    }

    @Test("an end with an error is thrown to each that asks, behind what had arrived")
    func failure() async throws {
        let inbox = Self.inbox()
        _ = inbox.push(.text, Self.bytes(1), isClosing: false)
        inbox.finish(Self.end(WebSocketError(.protocolViolation, "broken")))
        #expect(inbox.isFinished && !inbox.endWasSeen)
        #expect(try inbox.item(of: await inbox.wait { _ in })?.bytes.readableBytes == 1)
        for _ in 0..<2 {
            let error = await #expect(throws: WebSocketError.self) { try inbox.item(of: await inbox.wait { _ in }) }
            #expect(error?.code == .protocolViolation)
        }
        #expect(inbox.endWasSeen)
    }

    @Test("a second consumer is refused while the first waits")
    func second() async throws {
        let inbox = Self.inbox()
        let results = await withTaskGroup(of: WebSocketError.Code?.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    do throws(WebSocketError) {
                        #expect(try inbox.item(of: await inbox.wait { _ in }) == nil)
                        return nil
                    } catch {
                        return error.code
                    }
                }
            }
            // Whichever of both came second ends first; then the end is told to the other.
            let first = await group.next()
            inbox.finish(Self.end())
            return [first ?? nil, await group.next() ?? nil]
        }
        #expect(results == [.invalidArgument, nil])
    }

    @Test("the event loop waits for the end of a consumer's work on a message")
    func busy() async throws {
        let inbox = Self.inbox()
        #expect(!inbox.isBusy())
        _ = inbox.push(.text, Self.bytes(1), isClosing: false)
        #expect(inbox.isBusy())
        guard case .item = inbox.take() else {
            Issue.record("the message was lost")
            return
        }
        #expect(inbox.isBusy())
        guard case .nothing(isAwaited: true) = inbox.take() else {
            Issue.record("nobody told the event loop")
            return
        }
        #expect(!inbox.isBusy())
    }

    @Test("pieces are joined, and a consumer of messages behind one of pieces begins anew")
    func joins() {
        let inbox = Self.inbox()
        func piece(_ text: String, isFirst: Bool = false, isLast: Bool = false) -> MessageChunk {
            MessageChunk(kind: .text, bytes: ByteBuffer(string: text), isFirst: isFirst, isLast: isLast)
        }
        #expect(inbox.join(piece("lost", isFirst: true)) == nil)
        #expect(inbox.join(piece("a", isFirst: true)) == nil)
        #expect(inbox.join(piece("b")) == nil)
        #expect(inbox.join(piece("c", isLast: true))?.message == .text("abc"))
        #expect(inbox.join(piece("d", isFirst: true, isLast: true))?.message == .text("d"))
        #expect(inbox.join(piece("tail")) == nil && inbox.join(piece("of another", isLast: true)) == nil)
        #expect(inbox.join(piece("e", isFirst: true)) == nil)
        inbox.forgetPart()
        #expect(inbox.join(piece("taken as pieces", isLast: true)) == nil)
    }

    @Test("a task that is cancelled ends its own wait, and nobody else's")
    func cancelledSecond() async throws {
        let inbox = Self.inbox()
        let first = Task { try inbox.item(of: await inbox.wait { _ in })?.bytes }
        // The consumer has taken nothing yet, so nobody is at work once it waits.
        while !inbox.isAwaited { await Task.yield() }
        let second = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await inbox.wait { _ in }
        }
        guard case .cancelled = await second.value else {
            Issue.record("a cancelled task waits")
            return
        }
        #expect(inbox.isAwaited)
        _ = inbox.push(.binary, Self.bytes(1), isClosing: false)
        #expect(try await first.value == Self.bytes(1))
    }
}
