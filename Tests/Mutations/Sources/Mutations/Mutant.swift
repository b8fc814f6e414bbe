// A mutant is one small weakening of the sources that a test should notice.

internal import Foundation

/// One change of one place in the sources.
package struct Mutant: Codable, Sendable, Hashable {
    /// The kinds of change, named for the reader of the tables.
    package enum Kind: String, Codable, Sendable, CaseIterable {
        /// `<` for `<=`, `>` for `>=`, and back.
        case boundary
        /// `==` for `!=`, and back.
        case equality
        /// A condition that is always met.
        case met
        /// A condition that is never met.
        case unmet
        /// `&&` for `||`, and back.
        case connective
        /// A `!` left out, or a condition turned round.
        case negation
        /// `+ 1` for `- 1`, and back.
        case sign
        /// `+ 1` left out.
        case step
        /// A number twice as large.
        case doubled
        /// A number larger by one.
        case oneMore = "one more"
        /// A time a thousand times as long.
        case time
        /// `min` for `max`, and back.
        case extremum
        /// A `throw` or `return` left out.
        case exit
        /// An expression that `guards.txt` names, and its own change: for guards that are no conditions.
        case written
    }

    /// The number that switches it on; it changes whenever the sources do.
    package var number: Int
    /// File, declaration, kind and ordinal within the declaration: stable while the declaration stays.
    package var id: String
    /// The path of the file within the package.
    package var file: String
    package var kind: Kind
    /// The first and last line that it changes.
    package var lines: ClosedRange<Int>
    /// The lines of the declaration around it.
    package var scope: ClosedRange<Int>
    package var before: String
    package var after: String
    /// `true` for what keeps something out: the conditions of a `guard` and of an `if` that leaves, limits, times, and
    /// `throw` and `return` themselves.
    package var isGuard: Bool
    /// `true` where the guard lets through more than before, rather than less.
    package var isWeaker: Bool

    /// The folder that its score counts for: `KHPProtocol/Framing`, `KHPServer`.
    package var folder: String {
        let parts = Self.shortened(self.file).split(separator: "/").dropLast()
        return parts.prefix(parts.first == "KHPProtocol" ? 2 : 1).joined(separator: "/")
    }

    /// A file's path from its module on.
    static func shortened(_ path: String) -> String {
        path.range(of: "Sources/").map { String(path[$0.upperBound...]) } ?? path
    }
}

/// Order by chance that a seed repeats: FNV-1a over the seed and the name, so that other names leave it as it is.
package func drawnRank(_ id: String, seed: UInt64) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ (seed &* 0x9e37_79b9_7f4a_7c15)
    for byte in id.utf8 {
        hash ^= UInt64(byte)
        hash &*= 0x100_0000_01b3
    }
    // FNV alone mixes the last bytes poorly into the upper bits.
    hash ^= hash >> 32
    hash &*= 0x9e37_79b9_7f4a_7c15
    return hash ^ (hash >> 29)
}
