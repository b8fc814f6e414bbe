package import KHPProtocol

#if canImport(Glibc)
    import CCrypt
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

/// Passwords as a users file keeps them: hashes of the system's crypt (bcrypt, SHA-crypt, yescrypt), made and verified.
///
/// Both take tens of milliseconds on purpose: call them off the event loops.
package enum PasswordHash {
    package typealias Algorithm = UsersFile.PasswordAlgorithm

    /// `true` when this system can make and verify them: of the C libraries, GNU's alone has a crypt beside it that knows
    /// them.
    static var isAvailable: Bool {
        #if canImport(Glibc)
            true
        #else
            false
        #endif
    }

    /// The longest password that crypt accepts (512 with its terminator); longer ones are refused before any work is
    /// done.
    static let maximumPasswordBytes = 511

    /// bcrypt reads no more than this of a password, silently.
    static let maximumBcryptBytes = 72

    /// Hashes that are worth the name: bcrypt, SHA-crypt, yescrypt, gost-yescrypt, scrypt. Not DES, not MD5.
    package static func isSupported(_ hash: String) -> Bool {
        let prefixes = ["$2a$", "$2b$", "$2y$", "$5$", "$6$", "$y$", "$gy$", "$7$"]
        return prefixes.contains { hash.hasPrefix($0) }
            && hash.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
    }

    /// The approximate time to verify a hash, in microseconds, to find the dearer of two. A hash that does not state its cost
    /// counts as cheap.
    package static func cost(of hash: String) -> Double {
        let parts = hash.split(separator: "$", omittingEmptySubsequences: true)
        guard let kind = parts.first, parts.count > 1 else { return 0 }
        let setting = parts[1]
        switch kind {
        case "2a", "2b", "2y":
            return Double(setting).map { exp2($0) * 50 } ?? 0
        case "5", "6":
            return (setting.hasPrefix("rounds=") ? Double(setting.dropFirst(7)) ?? 0 : 5000) * 0.5
        case "y", "gy":
            // A flavour, log2 N less one, r less one.
            let values = setting.dropFirst().utf8.prefix(2).map { sixBits($0) }
            return values.count == 2 ? exp2(values[0] + 1) * (values[1] + 1) * 0.15 : 0
        case "7":
            // log2 N, then r in five digits, the least first.
            let values = setting.utf8.prefix(6).map { sixBits($0) }
            guard values.count == 6 else { return 0 }
            return exp2(values[0]) * values[1...].reversed().reduce(0) { $0 * 64 + $1 } * 0.4
        default:
            return 0
        }
    }

    /// A digit of crypt's base 64: `./0-9A-Za-z`.
    private static func sixBits(_ digit: UInt8) -> Double {
        switch digit {
        case 0x2E...0x39: Double(digit - 0x2E)
        case 0x41...0x5A: Double(digit - 0x41 + 12)
        case 0x61...0x7A: Double(digit - 0x61 + 38)
        default: 0
        }
    }

    /// Makes a hash with a fresh salt.
    package static func make(_ password: String, algorithm: Algorithm = .bcrypt) throws(WebSocketError) -> String {
        if password.utf8.contains(0) {
            throw WebSocketError(.invalidArgument, "The password holds a zero byte, which no hash can cover.")
        }
        if algorithm == .bcrypt, password.utf8.count > maximumBcryptBytes {
            throw WebSocketError(
                .invalidArgument,
                "The password is longer than the 72 bytes that bcrypt reads; use sha512."
            )
        }
        if password.utf8.count > maximumPasswordBytes {
            throw WebSocketError(.invalidArgument, "The password is longer than \(maximumPasswordBytes) bytes.")
        }
        #if canImport(Glibc)
            var random = SystemRandomNumberGenerator()
            let salt = (0..<16).map { _ in CChar(truncatingIfNeeded: Int(random.next() as UInt8)) }
            var setting = [CChar](repeating: 0, count: Int(CRYPT_GENSALT_OUTPUT_SIZE))
            let made = salt.withUnsafeBufferPointer { salt in
                crypt_gensalt_rn(
                    algorithm.prefix,
                    algorithm.cost,
                    salt.baseAddress,
                    Int32(salt.count),
                    &setting,
                    Int32(setting.count)
                ) != nil
            }
            guard made, let hash = hashed(password, setting: text(setting)) else {
                throw WebSocketError(
                    .invalidArgument,
                    "The system's crypt cannot make \(algorithm.rawValue) hashes; try another algorithm."
                )
            }
            return hash
        #else
            throw WebSocketError(
                .invalidArgument,
                "This system's crypt knows neither bcrypt nor SHA-crypt; make the hash on Linux."
            )
        #endif
    }

    /// Returns `true` when a password belongs to a hash. The time does not depend on where the two differ.
    package static func verify(_ password: String, _ hash: String) -> Bool {
        guard isSupported(hash), password.utf8.count <= maximumPasswordBytes, !password.utf8.contains(0),
            let computed = hashed(password, setting: hash)
        else { return false }
        return constantTimeEquals(computed, hash)
    }

    #if canImport(Glibc)
        private static func hashed(_ password: String, setting: String) -> String? {
            // crypt_ra allocates its 32 KiB of working memory itself; we wipe and free it.
            var memory: UnsafeMutableRawPointer?
            var size: Int32 = 0
            defer {
                if let memory { explicit_bzero(memory, Int(size)) }
                free(memory)
            }
            guard let result = crypt_ra(password, setting, &memory, &size), result.pointee != CChar(UInt8(ascii: "*"))
            else {
                return nil
            }
            return String(cString: result)
        }

        private static func text(_ characters: [CChar]) -> String {
            String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    #else
        private static func hashed(_ password: String, setting: String) -> String? { nil }
    #endif
}

extension UsersFile.PasswordAlgorithm {
    fileprivate var prefix: String {
        switch self {
        case .bcrypt: "$2b$"
        case .sha512: "$6$"
        case .sha256: "$5$"
        }
    }

    /// bcrypt counts powers of two; SHA-crypt counts rounds.
    fileprivate var cost: UInt {
        switch self {
        case .bcrypt: 10
        case .sha512, .sha256: 100_000
        }
    }
}
