// The hash functions that RFC 7616 section 6.1 registers, each alone and with its session form.

import COpenSSL

/// An algorithm of the Digest scheme (RFC 7616 section 3.3), by its registered name.
public enum DigestAlgorithm: String, Sendable, Hashable, CaseIterable {
    /// MD5: only for peers that know nothing better.
    case md5 = "MD5"
    /// MD5, the key bound to the nonces of a session.
    case md5Session = "MD5-sess"
    /// SHA-256.
    case sha256 = "SHA-256"
    /// SHA-256, the key bound to the nonces of a session.
    case sha256Session = "SHA-256-sess"
    /// SHA-512/256 of FIPS 180-4, which is not SHA-512 cut short (threat G7).
    case sha512_256 = "SHA-512-256"
    /// SHA-512/256, the key bound to the nonces of a session.
    case sha512_256Session = "SHA-512-256-sess"

    /// The algorithm of that name, without regard to case.
    public init?(name: String) {
        let name = Bytes.lowercasedASCII(name)
        guard let match = Self.allCases.first(where: { Bytes.lowercasedASCII($0.rawValue) == name }) else { return nil }
        self = match
    }

    /// `true` when the key is bound to the nonces of a session (`-sess`).
    public var isSession: Bool {
        switch self {
        case .md5Session, .sha256Session, .sha512_256Session: true
        case .md5, .sha256, .sha512_256: false
        }
    }

    /// The form of this hash function that is not bound to a session. Stored keys are made with it.
    public var base: DigestAlgorithm {
        switch self {
        case .md5, .md5Session: .md5
        case .sha256, .sha256Session: .sha256
        case .sha512_256, .sha512_256Session: .sha512_256
        }
    }

    /// Stronger algorithms have larger numbers; the session form does not count.
    package var strength: Int {
        switch self.base {
        case .sha512_256: 3
        case .sha256: 2
        default: 1
        }
    }

    /// The hash in lower-case hexadecimal. Empty, and so equal to no peer's value, where libcrypto refuses the hash
    /// function by policy.
    package func hash(_ bytes: some Sequence<UInt8>) -> String {
        let input = Array(bytes)
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length: UInt32 = 0
        let isDone = input.withUnsafeBytes {
            EVP_Digest($0.baseAddress, $0.count, &digest, &length, self.method, nil) == 1
        }
        return isDone ? Hexadecimal.encode(digest.prefix(Int(length))) : ""
    }

    /// The hash of the bytes that a text stands for: a server's text is hashed as it came.
    package func hash(_ text: String) -> String { self.hash(FieldText.bytes(of: text)) }

    /// Fetched once; OpenSSL's method objects live as long as the process and may be used from any thread.
    private var method: OpaquePointer? {
        switch self.base {
        case .sha512_256: Self.sha512_256Method
        case .sha256: Self.sha256Method
        default: Self.md5Method
        }
    }

    nonisolated(unsafe) private static let md5Method = EVP_MD_fetch(nil, "MD5", nil)
    nonisolated(unsafe) private static let sha256Method = EVP_MD_fetch(nil, "SHA256", nil)
    nonisolated(unsafe) private static let sha512_256Method = EVP_MD_fetch(nil, "SHA512-256", nil)
}

package enum Hexadecimal {
    private static let digits = Array("0123456789abcdef".utf8)

    /// Two lower-case digits for each byte.
    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        for byte in bytes {
            text.append(self.digits[Int(byte >> 4)])
            text.append(self.digits[Int(byte & 0x0F)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
