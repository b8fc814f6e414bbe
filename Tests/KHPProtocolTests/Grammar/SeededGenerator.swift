/// SplitMix64: the same rounds on every run, so that a failure can be repeated from its seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        self.state = seed
    }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// `bytes` with a few of them changed, removed, doubled or inserted.
    mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var result = bytes
        for _ in 0..<Int.random(in: 1...4, using: &self) {
            let index = Int.random(in: 0...result.count, using: &self)
            let byte =
                Bool.random(using: &self)
                ? UInt8.random(in: 0...255, using: &self)
                : Array(" \t\r\n:,;=\"\\%/?#@[].0a".utf8).randomElement(using: &self) ?? 0
            switch Int.random(in: 0..<4, using: &self) {
            case 0 where index < result.count: result[index] = byte
            case 1 where index < result.count: result.remove(at: index)
            case 2 where index < result.count: result.insert(result[index], at: index)
            default: result.insert(byte, at: index)
            }
        }
        return result
    }
}
