// How many connections of each address are still in a handshake. While there are fewer of them in all than one address
// may have, no address can have too many, and nothing is counted: that spares each connection of a server which is not
// under attack two hashes.

/// Counts pending connections by their address, from when there are many.
struct PendingAddresses {
    /// The most of one address.
    private let most: Int
    /// `nil` while nothing has to be counted.
    private var counts: [AddressKey: Int]?

    init(most: Int) {
        self.most = most
    }

    /// Counts one more of an address, unless there are as many as may be.
    ///
    /// - Parameters:
    ///   - pending: how many are pending, those without an address too.
    ///   - addresses: the addresses of the pending ones; called when counting begins.
    mutating func admit(_ key: AddressKey, pending: Int, addresses: () -> [AddressKey]) -> Bool {
        if self.counts == nil {
            guard pending >= self.most else { return true }
            self.counts = addresses().reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
        let count = self.counts?[key] ?? 0
        guard count < self.most else { return false }
        self.counts?.updateValue(count + 1, forKey: key)
        return true
    }

    /// Counts one less of an address.
    ///
    /// - Parameter pending: how many are left. Counting ends well below the number where it begins, so that it does not
    ///   begin anew with each connection.
    mutating func leave(_ key: AddressKey?, pending: Int) {
        guard self.counts != nil else { return }
        guard pending >= self.most / 2 else { return self.counts = nil }
        guard let key, let count = self.counts?[key] else { return }
        if count > 1 {
            self.counts?.updateValue(count - 1, forKey: key)
        } else {
            self.counts?.removeValue(forKey: key)
        }
    }
}
