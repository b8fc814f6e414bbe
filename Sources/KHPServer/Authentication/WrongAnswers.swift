// Guessing over many connections (threat G13): wrong answers are counted by address, within a window of time.

import NIOCore

/// The recent wrong answers by address. Bounded: when there is no room for another address, the one whose window began
/// first is forgotten.
struct WrongAnswers<Address: Hashable & Sendable>: Sendable {
    private struct Window {
        var began: NIODeadline
        var count: Int
    }

    private let limit: Int
    private let length: TimeAmount
    private let capacity: Int
    private var windows: [Address: Window] = [:]
    /// In the order in which windows began, since time goes on; those before `first` are gone.
    private var order: [(address: Address, began: NIODeadline)] = []
    private var first = 0

    init(limit: Int, within length: TimeAmount, capacity: Int) {
        self.limit = limit
        self.length = length
        self.capacity = max(capacity, 1)
    }

    /// How many addresses are remembered.
    var count: Int { self.windows.count }

    /// How long `address` has to wait before it may try again; `nil` when it may now.
    /// - Parameter open: how many of those counted may yet be taken back.
    func wait(_ address: Address, beside open: Int = 0, now: NIODeadline) -> TimeAmount? {
        guard let window = self.windows[address], window.count - open >= self.limit, now < window.began + self.length
        else { return nil }
        return window.began + self.length - now
    }

    /// Counts an answer of `address` as wrong until it is taken back.
    /// - Returns: the beginning of the window that it counts in, for ``takeBack(_:from:)``.
    @discardableResult
    mutating func add(_ address: Address, now: NIODeadline) -> NIODeadline {
        while self.first < self.order.count, self.order[self.first].began + self.length <= now { self.forget() }
        if var window = self.windows[address] {
            window.count += 1
            self.windows.updateValue(window, forKey: address)
            return window.began
        }
        if self.windows.count >= self.capacity { self.forget() }
        self.windows.updateValue(Window(began: now, count: 1), forKey: address)
        self.order.append((address, now))
        return now
    }

    /// An answer of `address` was none that is wrong.
    mutating func takeBack(_ address: Address, from window: NIODeadline) {
        guard let known = self.windows[address], known.began == window, known.count > 0 else { return }
        self.windows[address]?.count -= 1
    }

    private mutating func forget() {
        guard self.first < self.order.count else { return }
        self.windows.removeValue(forKey: self.order[self.first].address)
        self.first += 1
        // Gives the places of the forgotten back, in time that is constant for each of them.
        if self.first > self.order.count / 2 {
            self.order.removeFirst(self.first)
            self.first = 0
        }
    }
}
