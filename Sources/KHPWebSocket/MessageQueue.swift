// The queue of an `Inbox`. It moves its elements in and out without counting a reference, which the general-purpose
// collections do not, and a message goes through it for each one that an application takes.

import KHPProtocol

struct MessageQueue: ~Copyable {
    /// Made for the first element: where a consumer waits, none is ever queued.
    private var memory: UnsafeMutablePointer<MessageChunk>?
    /// A power of two, once there is memory.
    private var capacity = 0
    private var head = 0
    private(set) var count = 0

    private static let firstCapacity = 8

    deinit {
        guard let memory = self.memory else { return }
        for index in 0..<self.count { (memory + self.place(index)).deinitialize(count: 1) }
        memory.deallocate()
    }

    var isEmpty: Bool { self.count == 0 }

    @inline(__always)
    private func place(_ index: Int) -> Int { (self.head &+ index) & (self.capacity &- 1) }

    @inline(__always)
    mutating func append(_ chunk: consuming MessageChunk) {
        let memory = self.count == self.capacity ? self.grow() : self.memory ?? self.grow()
        (memory + self.place(self.count)).initialize(to: chunk)
        self.count &+= 1
    }

    @inline(__always)
    mutating func popFirst() -> MessageChunk? {
        guard self.count > 0, let memory = self.memory else { return nil }
        let chunk = (memory + self.head).move()
        self.head = self.place(1)
        self.count &-= 1
        return chunk
    }

    @inline(never)
    private mutating func grow() -> UnsafeMutablePointer<MessageChunk> {
        let capacity = max(Self.firstCapacity, self.capacity * 2)
        let larger = UnsafeMutablePointer<MessageChunk>.allocate(capacity: capacity)
        if let memory = self.memory {
            for index in 0..<self.count {
                (larger + index).moveInitialize(from: memory + self.place(index), count: 1)
            }
            memory.deallocate()
        }
        self.memory = larger
        self.capacity = capacity
        self.head = 0
        return larger
    }
}
