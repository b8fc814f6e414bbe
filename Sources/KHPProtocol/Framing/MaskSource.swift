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

/// A source of masks as a link holds it: a link without a value of any type in it is moved, and not copied.
final class MaskBox {
    // Unchecked: a source calls nothing of ours.
    @exclusivity(unchecked) private var source: any MaskSource

    init(_ source: any MaskSource) {
        self.source = source
    }

    func next() -> UInt32 { self.source.next() }

    func copy() -> MaskBox { MaskBox(self.source) }
}
