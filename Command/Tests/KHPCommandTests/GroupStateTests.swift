// The rules of a group, without sockets and tasks: who waits for whom, for how long, and who is dropped. Time is an
// argument.

import KHPServer
import NIOCore
import Synchronization
import Testing

@testable import KHPCommand

struct GroupStateTests {
    /// Notes what happens to members and senders.
    private final class Log: Sendable {
        private let lines = Mutex<[String]>([])

        func note(_ line: String) { self.lines.withLock { $0.append(line) } }

        func taken() -> [String] {
            self.lines.withLock { lines in
                defer { lines = [] }
                return lines
            }
        }

        func taker(_ id: Int) -> GroupState.Taker {
            { message in
                switch message {
                case .text(let text): self.note("\(id) takes \(text)")
                case .binary(let bytes): self.note("\(id) takes \(bytes.readableBytes) bytes")
                case nil: self.note("\(id) is done")
                }
            }
        }

        func watcher(_ id: Int) -> GroupState.Watcher { { self.note("\(id) \($0 ? "is dropped" : "leaves")") } }
    }

    private let start = ContinuousClock.now
    private let log = Log()
    private let patience = Duration.seconds(5)

    private func group(of count: Int) -> GroupState {
        var state = GroupState(patience: self.patience)
        for id in 1...count {
            let entered = state.enter(now: self.start)
            #expect(entered == id)
            state.watch(id, self.log.watcher(id)).resume()
        }
        return state
    }

    /// Fills the queues of all members that take nothing.
    private func fill(_ state: inout GroupState, at time: Duration = .zero) {
        for _ in 0..<GroupState.queuedMessages {
            let (deadline, woken) = state.put(.text("m"), now: self.start + time)
            #expect(deadline == nil)
            woken.resume()
        }
    }

    @Test("a message goes to all: at once to those who wait for one, and into the queue of the others")
    func delivery() {
        var state = self.group(of: 2)
        state.take(1, now: self.start, self.log.taker(1)).resume()
        #expect(self.log.taken() == [])
        let (deadline, woken) = state.put(.text("a"), now: self.start)
        woken.resume()
        #expect(deadline == nil)
        #expect(self.log.taken() == ["1 takes a"])
        state.take(2, now: self.start, self.log.taker(2)).resume()
        #expect(self.log.taken() == ["2 takes a"])
    }

    @Test("while one queue is full nobody gets anything; a place in it wakes the senders in their order")
    func fullQueue() {
        var state = self.group(of: 2)
        self.fill(&state)
        for _ in 0..<GroupState.queuedMessages { state.take(1, now: self.start, self.log.taker(1)).resume() }
        _ = self.log.taken()
        let (deadline, woken) = state.put(.text("late"), now: self.start)
        woken.resume()
        #expect(deadline == self.start + self.patience)
        #expect(self.log.taken() == [], "not to the first either")
        for name in ["x", "y"] {
            let ticket = state.ticket()
            state.wait(ticket) { self.log.note("\(name) goes on") }.resume()
        }
        let abandoned = state.ticket()
        state.wait(abandoned) { self.log.note("z gives up") }.resume()
        state.giveUp(abandoned).resume()
        #expect(self.log.taken() == ["z gives up"])
        state.take(2, now: self.start, self.log.taker(2)).resume()
        #expect(self.log.taken() == ["2 takes m", "x goes on", "y goes on"])
    }

    @Test("a queue is full by its bytes too")
    func bytes() {
        var state = self.group(of: 1)
        let large = WebSocketMessage.binary(ByteBuffer(repeating: 0, count: GroupState.queuedBytes))
        #expect(state.put(large, now: self.start).deadline == nil)
        #expect(state.put(.text("a"), now: self.start).deadline != nil)
    }

    @Test("who holds the others up for the whole patience is dropped, and who took nothing as long; others stay")
    func patienceEnds() {
        var state = self.group(of: 3)
        self.fill(&state)
        // The third reads, so that its queue has room again; the second took something before the hold only.
        let later = self.start + .seconds(1)
        for _ in 0..<10 { state.take(3, now: later, self.log.taker(3)).resume() }
        _ = self.log.taken()
        let hold = self.start + .milliseconds(500)
        #expect(state.put(.text("a"), now: hold).deadline == hold + self.patience)
        // A sender that comes later waits no longer than the first.
        #expect(state.put(.text("b"), now: hold + .seconds(2)).deadline == hold + self.patience)
        state.dropFull(now: hold + self.patience - .milliseconds(1)).resume()
        #expect(self.log.taken() == [])
        state.dropFull(now: hold + self.patience).resume()
        #expect(self.log.taken().sorted() == ["1 is dropped", "2 is dropped"])
        #expect(state.count == 1)
    }

    @Test("time that dropped members have cost is taken off the next patience, and wears off")
    func debt() {
        var state = self.group(of: 2)
        self.fill(&state)
        for _ in 0..<GroupState.queuedMessages { state.take(2, now: self.start, self.log.taker(2)).resume() }
        let first = state.put(.text("a"), now: self.start).deadline
        #expect(first == self.start + self.patience)
        let end = self.start + self.patience
        state.dropFull(now: end).resume()
        self.fill(&state, at: self.patience)
        let next = state.put(.text("b"), now: end).deadline
        #expect(next == end + .milliseconds(250), "the least that a member gets")
        var patient = self.group(of: 1)
        self.fill(&patient)
        #expect(patient.put(.text("b"), now: end).deadline == end + self.patience)
    }

    @Test("a member that leaves ends its taker and wakes the senders that waited for it")
    func leaving() {
        var state = self.group(of: 2)
        state.take(2, now: self.start, self.log.taker(2)).resume()
        state.leave(2).resume()
        #expect(self.log.taken() == ["2 is done", "2 leaves"])
        self.fill(&state)
        let ticket = state.ticket()
        state.wait(ticket) { self.log.note("goes on") }.resume()
        state.leave(1).resume()
        #expect(self.log.taken() == ["goes on", "1 leaves"])
        #expect(state.count == 0)
        // Too late: it is a member no longer.
        state.take(1, now: self.start, self.log.taker(1)).resume()
        #expect(self.log.taken() == ["1 is done"])
    }
}
