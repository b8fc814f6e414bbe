// The queue of an `Inbox`. It moves its elements in and out without counting a reference, which the general-purpose
// collections do not, and a message goes through it for each one that an application takes.

import KHPProtocol

struct MessageQueue: ~Copyable {
    private var memory: UnsafeMutablePointer<MessageChunk>
    /// A power of two.
    private var capacity = 8
    private var head = 0
    private(set) var count = 0

    init() {
        self.memory = .allocate(capacity: self.capacity)
    }

    deinit {
        for index in 0..<self.count { (self.memory + self.place(index)).deinitialize(count: 1) }
        self.memory.deallocate()
    }

    var isEmpty: Bool { self.count == 0 }

    @inline(__always)
    private func place(_ index: Int) -> Int { (self.head &+ index) & (self.capacity &- 1) }

    @inline(__always)
    mutating func append(_ chunk: consuming MessageChunk) {
        if self.count == self.capacity { self.grow() }
        (self.memory + self.place(self.count)).initialize(to: chunk)
        self.count &+= 1
    }

    @inline(__always)
    mutating func popFirst() -> MessageChunk? {
        guard self.count > 0 else { return nil }
        let chunk = (self.memory + self.head).move()
        self.head = self.place(1)
        self.count &-= 1
        return chunk
    }

    @inline(never)
    private mutating func grow() {
        let larger = UnsafeMutablePointer<MessageChunk>.allocate(capacity: self.capacity * 2)
        for index in 0..<self.count {
            (larger + index).moveInitialize(from: self.memory + self.place(index), count: 1)
        }
        self.memory.deallocate()
        self.memory = larger
        self.capacity *= 2
        self.head = 0
    }
}
