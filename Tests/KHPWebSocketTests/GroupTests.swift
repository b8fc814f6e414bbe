// Groups: one order for all members, topics, and each treatment of members that are slow.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@Suite("Groups", .timeLimit(.minutes(1)))
struct GroupTests {
    /// The texts among the frames that a client has got.
    private static func texts(_ bytes: ByteBuffer) -> [String] {
        serverFrames(bytes).filter { $0.first == 0x81 }.map { String(decoding: $0.payload, as: UTF8.self) }
    }

    /// Reads until a text has come, and returns all texts.
    private static func texts(of served: ServedSocket, until last: String) async throws -> [String] {
        self.texts(try await served.client.receive { self.texts($0).contains(last) })
    }

    /// Options under which three messages fill a member's queue.
    private static func options(_ slowMembers: WebSocketGroup.SlowMembers) -> WebSocketGroup.Options {
        var options = WebSocketGroup.Options()
        options.slowMembers = slowMembers
        options.queuedMessages = 3
        return options
    }

    /// Waits until all that was published has been delivered or queued: publications reach a loop in turns of its own.
    private static func settle(_ served: ServedSocket) async throws {
        try await served.channel.eventLoop.submit {}.get()
        try await served.channel.eventLoop.submit {}.get()
    }

    @Test("all members get all messages in one order, whoever publishes, on every event loop")
    func order() async throws {
        let group = WebSocketGroup()
        try await withServedSocket { first in
            try await withServedSocket { second in
                #expect(first.channel.eventLoop !== second.channel.eventLoop || System.coreCount == 1)
                try await group.withMember(first.socket) { _ in
                    try await group.withMember(second.socket) { _ in
                        #expect(group.count == 2)
                        await withTaskGroup(of: Void.self) { tasks in
                            for author in 0..<4 {
                                tasks.addTask {
                                    for number in 0..<50 { try? await group.publish("\(author):\(number)") }
                                }
                            }
                        }
                        try await group.publish("end")
                        let one = try await Self.texts(of: first, until: "end")
                        let other = try await Self.texts(of: second, until: "end")
                        #expect(one.count == 201)
                        #expect(one == other)
                        for author in 0..<4 {
                            #expect(one.filter { $0.hasPrefix("\(author):") } == (0..<50).map { "\(author):\($0)" })
                        }
                    }
                }
                try await Self.settle(second)
            }
            try await Self.settle(first)
        }
        #expect(group.count == 0)
    }

    @Test("topics: those who are subscribed, as long as they are; the author is left out where it asks for that")
    func topics() async throws {
        let group = WebSocketGroup()
        try await withServedSocket { first in
            try await withServedSocket { second in
                try await group.withMember(first.socket, topics: ["gold"]) { one in
                    try await group.withMember(second.socket) { other in
                        try await group.publish("gold 1", to: "gold")
                        other.subscribe(to: "gold")
                        other.subscribe(to: "gold")
                        try await group.publish("gold 2", to: "gold")
                        try await group.publish("gold 3", to: "gold", except: one)
                        other.unsubscribe(from: "gold")
                        one.unsubscribe(from: "silver")
                        try await group.publish("gold 4", to: "gold")
                        try await group.publish("nobody's", to: "silver")
                        try await group.publish("all")
                        #expect(try await Self.texts(of: first, until: "all") == ["gold 1", "gold 2", "gold 4", "all"])
                        #expect(try await Self.texts(of: second, until: "all") == ["gold 2", "gold 3", "all"])
                    }
                }
            }
        }
    }

    @Test("members that compress without a context get one frame, which is compressed once for each event loop")
    func compressed() async throws {
        let group = WebSocketGroup()
        let offer = "permessage-deflate; server_no_context_takeover"
        let text = String(repeating: "1.0425 ", count: 100)
        func compressedFrame(of served: ServedSocket) async throws -> [UInt8]? {
            let bytes = try await served.client.receive { serverFrames($0).contains { $0.first == 0xC1 } }
            return serverFrames(bytes).first { $0.first == 0xC1 }.map { Array($0.payload) }
        }
        try await withServedSocket(extensions: [PerMessageDeflate()], offer: offer) { first in
            try await withServedSocket(extensions: [PerMessageDeflate()], offer: offer) { second in
                try await withServedSocket { plain in
                    for served in [first, second, plain] {
                        _ = try await served.on { group.add(EventLoopSocket($0)) }
                    }
                    try await group.publish(text)
                    let frame = try await compressedFrame(of: first)
                    let one = try #require(frame)
                    #expect(one.count < 100)
                    #expect(try await compressedFrame(of: second) == one)
                    #expect(try await Self.texts(of: plain, until: text) == [text])
                }
            }
        }
    }

    @Test("one that has left gets nothing more, and a closed one leaves by itself")
    func leaving() async throws {
        let group = WebSocketGroup()
        try await withServedSocket { served in
            try await group.withMember(served.socket) { _ in try await group.publish("in") }
            try await group.publish("out")
            try await served.socket.send("last")
            let all = try await Self.texts(of: served, until: "last")
            #expect(all == ["in", "last"])
            try await Self.settle(served)
            #expect(group.count == 0)
        }
        try await withServedSocket { served in
            let others = WebSocketGroup()
            _ = try await served.on { handler in
                let first = others.add(EventLoopSocket(handler))
                first.leave()
                return group.add(EventLoopSocket(handler), topics: ["gold"])
            }
            _ = try await served.on { group.add(EventLoopSocket($0)) }
            #expect(group.count == 2)
            try await served.client.send(maskedFrame(8, [3, 232]))
            _ = try await served.socket.closed()
            #expect(group.count == 0 && others.count == 0)
            _ = try await served.on { group.add(EventLoopSocket($0)) }
            #expect(group.count == 0)
        }
    }

    @Test("drop the oldest: a slow member gets the newest that its queue holds, and the others get all")
    func dropOldest() async throws {
        let group = WebSocketGroup(options: Self.options(.dropOldest))
        try await withServedSocket { slow in
            try await withServedSocket { quick in
                try await slow.fill()
                try await group.withMember(slow.socket) { _ in
                    try await group.withMember(quick.socket) { _ in
                        for number in 0..<10 { try await group.publish("\(number)") }
                        #expect(try await Self.texts(of: quick, until: "9") == (0..<10).map { "\($0)" })
                        try await Self.settle(slow)
                        try await slow.client.setReading(true)
                        #expect(try await Self.texts(of: slow, until: "9") == ["7", "8", "9"])
                        try await group.publish("after")
                        #expect(try await Self.texts(of: slow, until: "after").last == "after")
                    }
                }
            }
        }
    }

    @Test("close: whoever made a member on its event loop is told before it is closed, once")
    func tellsOfSlowMembers() async throws {
        let group = WebSocketGroup(options: Self.options(.close()))
        let told = Mutex(0)
        try await withServedSocket { slow in
            try await slow.fill()
            _ = try await slow.on { group.add(EventLoopSocket($0)) { told.withLock { $0 += 1 } } }
            for number in 0..<3 { try await group.publish("\(number)") }
            try await Self.settle(slow)
            #expect(told.withLock { $0 } == 0)
            for number in 3..<6 { try await group.publish("\(number)") }
            try await Self.settle(slow)
            #expect(told.withLock { $0 } == 1)
        }
    }

    @Test("close: a slow member gets what fitted, then 1008")
    func closes() async throws {
        let group = WebSocketGroup(options: Self.options(.close()))
        try await withServedSocket { slow in
            try await slow.fill()
            try await group.withMember(slow.socket) { _ in
                for number in 0..<4 { try await group.publish("\(number)") }
                try await Self.settle(slow)
                #expect(group.count == 0)
                try await slow.client.setReading(true)
                let bytes = try await slow.client.receive { serverFrames($0).contains { $0.first == 0x88 } }
                #expect(serverFrames(bytes).last?.payload.prefix(2) == [0x03, 0xF0])
            }
        }
    }

    @Test("wait: the publisher goes on once the member takes messages again")
    func waits() async throws {
        let group = WebSocketGroup(options: Self.options(.wait(atMost: .seconds(30))))
        try await withServedSocket { slow in
            try await withServedSocket { quick in
                try await slow.fill()
                try await group.withMember(slow.socket) { _ in
                    try await group.withMember(quick.socket) { _ in
                        for number in 0..<3 { try await group.publish("\(number)") }
                        try await Self.settle(slow)
                        #expect(!group.offer(.text("no")))
                        async let published: Void = group.publish("3")
                        #expect(try await Self.texts(of: quick, until: "2") == ["0", "1", "2"])
                        try await slow.client.setReading(true)
                        try await published
                        #expect(try await Self.texts(of: slow, until: "3") == ["0", "1", "2", "3"])
                        #expect(try await Self.texts(of: quick, until: "3") == ["0", "1", "2", "3"])
                        #expect(group.offer(.text("yes")))
                    }
                }
            }
        }
    }

    @Test("wait: a member that holds publishers up too long is closed, one that closes lets them go on")
    func patience() async throws {
        for patience in [Duration.milliseconds(50), .seconds(30)] {
            let group = WebSocketGroup(options: Self.options(.wait(atMost: patience)))
            try await withServedSocket { slow in
                try await slow.fill()
                try await group.withMember(slow.socket) { _ in
                    for number in 0..<3 { try await group.publish("\(number)") }
                    try await Self.settle(slow)
                    if patience > .seconds(1) { try await slow.on { $0.close(code: .goingAway, reason: "") } }
                    try await group.publish("3")
                    #expect(group.count == (patience > .seconds(1) ? 1 : 0))
                }
            }
        }
    }

    @Test("wait: the time that slow members have cost is taken off the patience with the next ones")
    func debt() async throws {
        let group = WebSocketGroup(options: Self.options(.wait(atMost: .milliseconds(800))))
        var holds: [Duration] = []
        for _ in 0..<3 {
            try await withServedSocket { slow in
                try await slow.fill()
                try await group.withMember(slow.socket) { _ in
                    for number in 0..<3 { try await group.publish("\(number)") }
                    try await Self.settle(slow)
                    let began = ContinuousClock.now
                    try await group.publish("3")
                    holds.append(began.duration(to: .now))
                }
            }
        }
        #expect(holds[0] >= .milliseconds(800))
        #expect(holds[1] >= .milliseconds(250) && holds[1] < .milliseconds(800))
        #expect(holds[2] >= .milliseconds(250) && holds[2] < .milliseconds(800))
    }

    @Test("wait: one that never publishes but offers has slow members closed too")
    func offers() async throws {
        let group = WebSocketGroup(options: Self.options(.wait(atMost: .milliseconds(50))))
        try await withServedSocket { slow in
            try await slow.fill()
            _ = try await slow.on { group.add(EventLoopSocket($0)) }
            for number in 0..<3 { #expect(group.offer(.text("\(number)"))) }
            try await Self.settle(slow)
            #expect(!group.offer(.text("3")))
            try await group.publish("3")
            #expect(group.count == 0)
        }
    }

    @Test("a publisher that is cancelled while it waits has published nothing")
    func cancelled() async throws {
        let group = WebSocketGroup(options: Self.options(.wait(atMost: .seconds(30))))
        try await withServedSocket { slow in
            try await slow.fill()
            try await group.withMember(slow.socket) { _ in
                for number in 0..<3 { try await group.publish("\(number)") }
                try await Self.settle(slow)
                for waitsFirst in [true, false, nil] {
                    let task = Task {
                        if waitsFirst == nil { withUnsafeCurrentTask { $0?.cancel() } }
                        try await group.publish("never")
                    }
                    if waitsFirst == true { await Task.yield() }
                    if waitsFirst != nil { task.cancel() }
                    await #expect(throws: CancellationError.self) { try await task.value }
                    #expect(!group.knowsPublishers)
                }
                try await slow.client.setReading(true)
                while !group.offer(.text("end")) { try await Self.settle(slow) }
                #expect(try await Self.texts(of: slow, until: "end") == ["0", "1", "2", "end"])
            }
        }
    }

    @Test("a message that a member sends in pieces is not broken up by what is published meanwhile")
    func streaming() async throws {
        let group = WebSocketGroup()
        try await withServedSocket { served in
            try await group.withMember(served.socket) { _ in
                try await served.socket.stream(.text) { stream in
                    try await stream.write(ByteBuffer(string: "a "))
                    try await group.publish("published")
                    try await Self.settle(served)
                    try await stream.write(ByteBuffer(string: "stream"))
                }
                let bytes = try await served.client.receive { Self.texts($0).contains("published") }
                let frames = serverFrames(bytes)
                #expect(frames.last?.payload == Array("published".utf8))
                #expect(frames.dropLast().flatMap(\.payload) == Array("a stream".utf8))
            }
        }
    }
}
