// How the nonces of Digest are made and remembered, as a user of the server sets it.

/// The nonces of Digest challenges (RFC 7616 section 3.3).
///
/// A nonce carries the time at which it was issued under a seal, so that nothing is stored until somebody has answered
/// it rightly. From then on the largest count that was used with it is remembered, and a request that is sent a second
/// time is refused with `stale=true`. When more than ``capacity`` nonces are in use, the oldest are forgotten together
/// with everything issued before them: clients answer a fresh challenge then, and no replay gets through. All endpoints of
/// a process with the same key and realm remember together, those that are replaced too.
public struct DigestNonceOptions: Sendable {
    /// The key that seals nonces. Servers that share it accept each other's: give the same key to all nodes behind a
    /// balancer. Each process remembers the counts that it has seen itself.
    let key: [UInt8]
    /// Keys whose nonces are taken too.
    let otherKeys: [[UInt8]]
    /// How long a nonce may be used; after that the answer is `stale=true`.
    public var lifetime: Duration
    /// How many nonces in use are remembered.
    public var capacity: Int

    /// The minimum length of a key, in bytes.
    static let minimumKeyBytes = 16

    /// Made once for the process.
    private static let processKey: [UInt8] = {
        var generator = SystemRandomNumberGenerator()
        return (0..<32).map { _ in generator.next() }
    }()

    /// - Parameters:
    ///   - key: at least 16 bytes that nobody can guess, otherwise the server does not start; `nil` takes random ones
    ///     that last as long as the process.
    ///   - otherKeys: keys whose nonces are taken too, while none is sealed with them. To change the key of several
    ///     nodes, add the new one here on all of them, then make it their key and leave the old one here, then take the
    ///     old one out once its last nonce has ended.
    ///   - lifetime: how long a nonce may be used.
    ///   - capacity: how many nonces in use are remembered, about 70 bytes each.
    public init(
        key: [UInt8]? = nil,
        otherKeys: [[UInt8]] = [],
        lifetime: Duration = .seconds(300),
        capacity: Int = 65_536
    ) {
        self.key = key ?? Self.processKey
        self.otherKeys = otherKeys
        self.lifetime = lifetime
        self.capacity = capacity
    }

    /// In microseconds, never negative.
    var lifetimeMicroseconds: UInt64 {
        let (seconds, attoseconds) = self.lifetime.components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (whole, overflows) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000)
        return overflows ? .max / 2 : min(whole, .max / 2) + UInt64(attoseconds / 1_000_000_000_000)
    }
}

extension DigestNonceOptions: CustomStringConvertible, CustomReflectable {
    /// Without the key.
    public var description: String { "nonces for \(self.lifetime), at most \(self.capacity)" }

    /// Without the key.
    public var customMirror: Mirror { Mirror(self, children: ["nonces": self.description]) }
}
