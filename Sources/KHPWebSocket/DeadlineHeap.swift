// Deadlines of many members in one binary heap, the earliest first. A member knows its place, so that it is moved and
// removed without a search, and the heap allocates nothing for one member.

import NIOCore

/// Something that waits in a ``DeadlineHeap``, in one at a time.
protocol DeadlineMember: AnyObject {
    /// Its place in the heap, or `-1` outside of one. The heap alone writes it.
    var heapPlace: Int { get set }
}

/// Holds its members until they are removed or taken.
struct DeadlineHeap<Member: DeadlineMember>: ~Copyable {
    private struct Slot {
        var deadline: NIODeadline
        /// Counted once while it is here: moving slots about counts nothing.
        var member: Unmanaged<Member>
    }

    private var slots: ContiguousArray<Slot> = []

    deinit {
        for slot in self.slots {
            slot.member._withUnsafeGuaranteedRef { $0.heapPlace = -1 }
            slot.member.release()
        }
    }

    var count: Int { self.slots.count }

    /// The earliest deadline of all.
    var earliest: NIODeadline? { self.slots.first?.deadline }

    /// Puts a member in, or moves the one that is in already.
    mutating func set(_ member: Member, to deadline: NIODeadline) {
        let place = member.heapPlace
        if place < 0 {
            self.slots.append(Slot(deadline: deadline, member: .passRetained(member)))
            self.rise(from: self.slots.count - 1)
        } else {
            let isEarlier = deadline < self.slots[place].deadline
            self.slots[place].deadline = deadline
            if isEarlier { self.rise(from: place) } else { self.sink(from: place) }
        }
    }

    /// Takes a member out, if it is in.
    mutating func remove(_ member: Member) {
        let place = member.heapPlace
        if place >= 0 { self.take(at: place).release() }
    }

    /// Takes out the member with the earliest deadline, if that has come.
    mutating func popFirst(until now: NIODeadline) -> Member? {
        guard let first = self.slots.first, first.deadline <= now else { return nil }
        return self.take(at: 0).takeRetainedValue()
    }

    private mutating func take(at place: Int) -> Unmanaged<Member> {
        let taken = self.slots[place]
        let last = self.slots.removeLast()
        if place < self.slots.count {
            self.slots[place] = last
            if last.deadline < taken.deadline { self.rise(from: place) } else { self.sink(from: place) }
        }
        taken.member._withUnsafeGuaranteedRef { $0.heapPlace = -1 }
        return taken.member
    }

    /// Moves the slot at `place` up to where no later one is above it.
    private mutating func rise(from place: Int) {
        let slot = self.slots[place]
        var place = place
        while place > 0 {
            let above = (place - 1) / 2
            guard slot.deadline < self.slots[above].deadline else { break }
            self.put(self.slots[above], at: place)
            place = above
        }
        self.put(slot, at: place)
    }

    /// Moves the slot at `place` down to where no earlier one is below it.
    private mutating func sink(from place: Int) {
        let slot = self.slots[place]
        var place = place
        while true {
            var below = 2 * place + 1
            guard below < self.slots.count else { break }
            if below + 1 < self.slots.count, self.slots[below + 1].deadline < self.slots[below].deadline { below += 1 }
            guard self.slots[below].deadline < slot.deadline else { break }
            self.put(self.slots[below], at: place)
            place = below
        }
        self.put(slot, at: place)
    }

    @inline(__always)
    private mutating func put(_ slot: Slot, at place: Int) {
        self.slots[place] = slot
        slot.member._withUnsafeGuaranteedRef { $0.heapPlace = place }
    }
}
