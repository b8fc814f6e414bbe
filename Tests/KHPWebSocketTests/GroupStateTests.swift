// A group's state under its lock.

import KHPProtocol
import NIOCore
import NIOEmbedded
import Testing

@testable import KHPWebSocket

@Suite("A group's state")
struct GroupStateTests {
    private static func options(atMost patience: Duration = .seconds(1)) -> WebSocketGroup.Options {
        var options = WebSocketGroup.Options()
        options.slowMembers = .wait(atMost: patience)
        options.queuedPublications = 2
        return options
    }

    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test("what a group holds for its members unless it is told otherwise")
    func defaults() {
        let options = WebSocketGroup.Options()
        #expect(options.queuedMessages == 64)
        #expect(options.queuedBytes == 1_048_576)
        #expect(options.queuedPublications == 1024)
    }

    @Test("a publisher that looks for room waits while a member is full, and not a moment longer")
    func room() {
        var options = Self.options()
        var state = GroupState()
        #expect(state.hasRoom(options))
        _ = state.moved(isFull: true, now: Self.start)
        #expect(!state.hasRoom(options))
        options.slowMembers = .dropOldest
        #expect(state.hasRoom(options), "where nobody is waited for")
        options = Self.options()
        _ = state.moved(isFull: false, now: Self.start)
        #expect(state.hasRoom(options))
    }

    @Test("a publisher that was cancelled before it waits does not wait")
    func cancelledBefore() async {
        var state = GroupState()
        let ticket = state.ticket()
        state.giveUp(ticket).resume()
        await withUnsafeContinuation { continuation in
            let waits = state.wait(ticket, continuation)
            #expect(!waits)
            continuation.resume()
        }
    }

    @Test("publishers go on when the last full member has room, and one that gives up goes on alone")
    func wakes() async {
        var state = GroupState()
        for givesUp in [false, true] {
            await withUnsafeContinuation { continuation in
                let ticket = state.ticket()
                expect(state.wait(ticket, continuation), true)
                for isFull in [true, true, false] { state.moved(isFull: isFull, now: Self.start).resume() }
                #expect(state.knowsPublishers)
                if givesUp { state.giveUp(ticket).resume() }
                #expect(state.knowsPublishers == !givesUp)
                state.moved(isFull: false, now: Self.start).resume()
                #expect(!state.knowsPublishers)
            }
        }
    }

    @Test("publications are refused once one event loop has as many before it as it may have")
    func behind() throws {
        let group = WebSocketGroup()
        let loops = [EmbeddedEventLoop(), EmbeddedEventLoop()]
        var state = GroupState()
        let shards = loops.map { state.enter($0, group).shard }
        expect(state.enter(loops[0], group).shard === shards[0], true, "one for all members of a loop")
        #expect(state.members == 3)
        let options = Self.options()
        func put() -> String {
            switch state.put(Publication(.text("a"), topic: nil, except: nil), options, now: Self.start) {
            case .queued(let wake): "wakes \(wake.count)"
            case .behind: "behind"
            case .held: "held"
            }
        }
        expect(put(), "wakes 2")
        expect(put(), "wakes 0")
        #expect(!state.hasRoom(options))
        expect(put(), "behind")
        expect(state.take(shards[0]).0.count, 2)
        expect(put(), "behind", "the other loop is")
        expect(state.take(shards[1]).0.count, 2)
        #expect(state.hasRoom(options))
        expect(put(), "wakes 2")
    }

    @Test("an event loop without members, as one that is shut down, keeps no publisher waiting")
    func loopWithoutMembers() async {
        let group = WebSocketGroup()
        let loops = [EmbeddedEventLoop(), EmbeddedEventLoop()]
        var state = GroupState()
        let shards = loops.map { state.enter($0, group).shard }
        let publication = Publication(.text("a"), topic: nil, except: nil)
        for _ in 0..<2 { _ = state.put(publication, Self.options(), now: Self.start) }
        // The other does not take them any more.
        expect(state.take(shards[0]).0.count, 2)
        #expect(!state.hasRoom(Self.options()))
        await withUnsafeContinuation { continuation in
            let ticket = state.ticket()
            expect(state.wait(ticket, continuation), true)
            let woken = state.leave(shards[1], wasFull: false, now: Self.start)
            #expect(state.hasRoom(Self.options()))
            #expect(!state.knowsPublishers)
            woken.resume()
        }
        let next = state.enter(loops[1], group).shard
        #expect(next !== shards[1])
        _ = state.put(publication, Self.options(), now: Self.start)
        expect(state.put(.unsubscribe(1, "gold"), for: shards[1]), false)
        expect(state.take(shards[1]).0.count, 0, "what waits is the other one's")
        expect(state.take(next).0.count, 1)
    }

    @Test("a hold that an event loop without members would have ended is over")
    func holdWithoutMembers() {
        let group = WebSocketGroup()
        var state = GroupState()
        let shards = (0..<2).map { _ in state.enter(EmbeddedEventLoop(), group).shard }
        _ = state.moved(isFull: true, now: Self.start)
        let publication = Publication(.text("a"), topic: nil, except: nil)
        guard case .held(let first?) = state.put(publication, Self.options(), now: Self.start) else {
            return #expect(Bool(false))
        }
        _ = state.leave(first.shard, wasFull: false, now: Self.start)
        guard case .held(let second?) = state.put(publication, Self.options(), now: Self.start) else {
            return #expect(Bool(false), "nobody would end it")
        }
        #expect(second.shard !== first.shard && shards.contains { $0 === second.shard })
    }

    /// The end of a hold that begins now, if one begins.
    private static func hold(_ state: inout GroupState, _ patience: Duration, at now: NIODeadline) -> TimeAmount? {
        let publication = Publication(.text("a"), topic: nil, except: nil)
        guard case .held(let hold?) = state.put(publication, Self.options(atMost: patience), now: now) else {
            return nil
        }
        return hold.until - now
    }

    @Test("slow members hold publishers up for as long as the patience, at once one time, and less the next time")
    func holds() {
        let group = WebSocketGroup()
        var state = GroupState()
        _ = state.enter(EmbeddedEventLoop(), group)
        expect(Self.hold(&state, .seconds(10), at: Self.start), nil, "nobody is full")
        _ = state.moved(isFull: true, now: Self.start)
        expect(Self.hold(&state, .seconds(10), at: Self.start), .seconds(10))
        expect(Self.hold(&state, .seconds(10), at: Self.start + .seconds(1)), nil, "it has begun")
        let end = Self.start + .seconds(10)
        expect(state.endHold(now: end - .nanoseconds(1))?.since, nil)
        expect(state.endHold(now: end)?.since, Self.start)
        expect(state.endHold(now: end)?.since, nil)
        // All of the patience is used up: the next one has a quarter of a second.
        expect(Self.hold(&state, .seconds(10), at: end), .milliseconds(250))
        // A hold is over with its last full member, and costs nothing that soon.
        _ = state.moved(isFull: false, now: end + .milliseconds(250))
        expect(state.endHold(now: end + .seconds(60))?.since, nil)
        _ = state.moved(isFull: true, now: Self.start)
        expect(Self.hold(&state, .milliseconds(100), at: end + .seconds(600)), .milliseconds(100))
    }

    @Test("holds that end in time add up: who takes something just before the end, or leaves, is out the next time")
    func holdsInTime() {
        for leaves in [false, true] {
            let group = WebSocketGroup()
            var state = GroupState()
            var shard = state.enter(EmbeddedEventLoop(), group).shard
            var now = Self.start
            var holds: [TimeAmount?] = []
            for _ in 0..<3 {
                _ = state.moved(isFull: true, now: now)
                holds.append(Self.hold(&state, .seconds(10), at: now))
                now = now + .seconds(9)
                if state.endHold(now: now) != nil { break }
                if leaves {
                    _ = state.leave(shard, wasFull: true, now: now)
                    shard = state.enter(EmbeddedEventLoop(), group).shard
                } else {
                    _ = state.moved(isFull: false, now: now)
                }
            }
            // All but the first quarter of a second of the first one has counted.
            let expected: [TimeAmount?] = [.seconds(10), .milliseconds(1250)]
            #expect(holds == expected, "\(leaves)")
        }
    }

    @Test("a member that takes something within a quarter of a second sets the pace for as long as it likes")
    func pace() {
        let group = WebSocketGroup()
        var state = GroupState()
        _ = state.enter(EmbeddedEventLoop(), group)
        var now = Self.start
        for _ in 0..<1000 {
            _ = state.moved(isFull: true, now: now)
            expect(Self.hold(&state, .seconds(10), at: now), .seconds(10))
            now = now + .milliseconds(250)
            _ = state.moved(isFull: false, now: now)
        }
        // A longer one each minute is forgotten by the next.
        for _ in 0..<10 {
            _ = state.moved(isFull: true, now: now)
            expect(Self.hold(&state, .seconds(10), at: now), .seconds(10))
            now = now + .seconds(9)
            _ = state.moved(isFull: false, now: now)
            now = now + .seconds(60)
        }
    }
}
