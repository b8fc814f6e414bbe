// The actions that a connection has decided on and its shell has not taken yet. There is seldom more than one, and the
// first needs no memory of its own.

package struct ActionQueue {
    private var first: ConnectionAction?
    /// The actions after ``first``, in their order; the slots before ``taken`` are empty. The empty slots are removed when
    /// they are half of all, so that each action is moved once on the average, however many a peer causes in one read.
    private var rest: [ConnectionAction?] = []
    private var taken = 0
    /// True while no action waits. Stored, since a look at ``first`` costs more.
    package private(set) var isEmpty = true

    package init() {}

    package mutating func append(_ action: ConnectionAction) {
        if self.isEmpty {
            self.first = action
            self.isEmpty = false
        } else {
            self.rest.append(action)
        }
    }

    package mutating func popFirst() -> ConnectionAction? {
        let action = self.first.take()
        if self.rest.isEmpty { self.isEmpty = true } else { self.advance() }
        return action
    }

    /// All actions that wait, for tests.
    var waiting: [ConnectionAction] { ([self.first] + self.rest).compactMap { $0 } }

    private mutating func advance() {
        self.first = self.rest[self.taken].take()
        self.taken += 1
        if self.taken == self.rest.count {
            self.rest.removeAll(keepingCapacity: self.taken < 16)
            self.taken = 0
        } else if self.taken >= 32, self.taken * 2 >= self.rest.count {
            self.rest.removeFirst(self.taken)
            self.taken = 0
        }
    }
}
