// Randomness for a client's frames is an argument, so that tests can fix it.

/// Where a client's masking keys come from: the system's generator, or a fixed sequence in tests.
package protocol MaskSource {
    mutating func next() -> UInt32
}

/// Masking keys from the system's cryptographically secure generator, fetched in batches.
package struct SystemMasks: MaskSource {
    private var generator = SystemRandomNumberGenerator()
    private var spare: UInt32?

    package init() {}

    package mutating func next() -> UInt32 {
        if let spare {
            self.spare = nil
            return spare
        }
        let bits = self.generator.next() as UInt64
        self.spare = UInt32(truncatingIfNeeded: bits >> 32)
        return UInt32(truncatingIfNeeded: bits)
    }
}
