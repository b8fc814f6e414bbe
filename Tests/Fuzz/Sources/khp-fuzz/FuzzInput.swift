// Cuts an input in two: the last bytes decide how the others are used. In this order a change of the content moves no
// decision.

import NIOCore

struct FuzzInput {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: UnsafeBufferPointer<UInt8>) {
        self.rest = Array(bytes)[...]
    }

    /// The next byte of decisions; 0 when there are no more.
    mutating func byte() -> UInt8 { self.rest.popLast() ?? 0 }

    /// A number below `count`.
    mutating func choice(_ count: Int) -> Int { Int(self.byte()) % count }

    mutating func flag() -> Bool { self.byte() & 1 == 1 }

    /// How to cut the content; 0 does not cut it.
    mutating func cuts() -> Cuts { Cuts(seed: self.byte()) }

    /// The bytes that no decision has taken.
    var content: [UInt8] { Array(self.rest) }

    /// The same at the places of line feeds.
    var lines: [String] {
        self.rest.split(separator: 0x0A, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    }
}

/// Lengths of pieces out of one byte: SplitMix64.
struct Cuts: RandomNumberGenerator {
    private let isWhole: Bool
    private var state: UInt64

    init(seed: UInt8) {
        self.isWhole = seed == 0
        self.state = UInt64(seed)
    }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// The bytes in pieces, none of them empty. Many are very short, since that is where cuts hurt.
    mutating func pieces(of bytes: [UInt8]) -> [ByteBuffer] {
        if self.isWhole { return bytes.isEmpty ? [] : [ByteBuffer(bytes: bytes)] }
        var pieces: [ByteBuffer] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let longest = [1, 3, 16, 200].randomElement(using: &self) ?? 1
            let count = Int.random(in: 1...longest, using: &self)
            pieces.append(ByteBuffer(bytes: rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return pieces
    }
}
