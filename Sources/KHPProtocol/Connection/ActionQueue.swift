// The actions that a connection has decided on and nobody has taken yet: seldom more than one, and the first needs no
// memory of its own.

struct ActionQueue {
    private var first: ConnectionAction?
    private var rest: [ConnectionAction] = []

    @inline(__always)
    var isEmpty: Bool {
        if case nil = self.first { true } else { false }
    }

    mutating func append(_ action: ConnectionAction) {
        if self.isEmpty {
            self.first = action
        } else {
            self.rest.append(action)
        }
    }

    mutating func popFirst() -> ConnectionAction? {
        let action = self.first.take()
        if !self.rest.isEmpty { self.first = self.rest.removeFirst() }
        return action
    }
}
