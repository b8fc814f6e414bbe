// The choice of a backend among those that may be chosen. Hashes choose alike on every gateway, and move only the clients of
// a backend that comes or goes (rendezvous hashing).

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

/// One that may be chosen.
struct Candidate {
    var url: String
    var weight: Int
    var connections: Int
}

/// Chooses; keeps whose turn it is.
struct Balance {
    private let rule: GatewayConfiguration.Pool.Balance
    /// How far each is ahead of its share, by URL: the smooth rounds of nginx, which mix weights evenly.
    private var credits: [String: Int] = [:]

    init(_ rule: GatewayConfiguration.Pool.Balance) {
        self.rule = rule
    }

    /// The place of the choice in `candidates`; `nil` where there is none.
    /// - Parameter key: the client's address or principal, for hashes.
    mutating func choose(_ candidates: [Candidate], key: String) -> Int? {
        if candidates.count < 2 { return candidates.isEmpty ? nil : 0 }
        switch self.rule {
        case .roundRobin:
            return self.turn(candidates, Array(candidates.indices))
        case .leastConnections:
            // The least for its weight; among equals, whose turn it is.
            let least = candidates.map { Double($0.connections + 1) / Double(max($0.weight, 1)) }
            guard let lowest = least.min() else { return nil }
            return self.turn(candidates, candidates.indices.filter { least[$0] == lowest })
        case .sourceHash, .principalHash:
            return candidates.indices.max { Self.score(candidates[$0], key) < Self.score(candidates[$1], key) }
        }
    }

    private mutating func turn(_ candidates: [Candidate], _ places: [Int]) -> Int? {
        var all = 0
        for place in places {
            let weight = max(candidates[place].weight, 0)
            self.credits[candidates[place].url, default: 0] += weight
            all += weight
        }
        let credits = self.credits
        guard
            let best = places.max(by: {
                credits[candidates[$0].url, default: 0] < credits[candidates[$1].url, default: 0]
            })
        else { return nil }
        self.credits[candidates[best].url, default: 0] -= all
        return best
    }

    private static func score(_ candidate: Candidate, _ key: String) -> Double {
        // FNV-1a, then the finish of splitmix64, which spreads its low bits.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in key.utf8 + [0] + candidate.url.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ (hash >> 30)) &* 0xBF58_476D_1CE4_E5B9
        hash = (hash ^ (hash >> 27)) &* 0x94D0_49BB_1331_11EB
        hash ^= hash >> 31
        let unit = (Double(hash >> 11) + 0.5) / Double(1 << 53)
        return -Double(candidate.weight) / log(unit)
    }
}
