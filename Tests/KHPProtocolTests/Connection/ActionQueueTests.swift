// Actions that wait for their shell: in order, and without memory for those that were taken.

import NIOCore
import Testing

@testable import KHPProtocol

@Suite("Actions that wait to be taken")
struct ActionQueueTests {
    private func next(_ queue: inout ActionQueue) -> Int? {
        guard case .message(_, let payload)? = queue.popFirst() else { return nil }
        return Int(String(buffer: payload))
    }

    private func action(_ number: Int) -> ConnectionAction {
        .message(kind: .text, payload: .init(string: "\(number)"))
    }

    @Test("in their order, however many wait and whenever they come")
    func order() {
        var queue = ActionQueue()
        var next = 0
        var expected = 0
        for round in 0..<300 {
            for _ in 0..<(round % 7) {
                queue.append(self.action(next))
                next += 1
            }
            for _ in 0..<(round % 5) where expected < next {
                #expect(self.next(&queue) == expected)
                expected += 1
            }
        }
        while !queue.isEmpty {
            #expect(self.next(&queue) == expected)
            expected += 1
        }
        #expect(expected == next)
        #expect(self.next(&queue) == nil)
    }

    @Test("a queue that is never empty does not grow with all that it has handed out")
    func memory() {
        var queue = ActionQueue()
        for number in 0..<50 { queue.append(self.action(number)) }
        for number in 50..<10_000 {
            queue.append(self.action(number))
            #expect(self.next(&queue) == number - 50)
        }
        let rest = Mirror(reflecting: queue).children.first { $0.label == "rest" }?.value as? [ConnectionAction?]
        #expect((rest?.count ?? .max) < 200)
    }
}
