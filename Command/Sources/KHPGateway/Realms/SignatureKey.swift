// The keys of tokens' signatures, by libcrypto. A key says itself which algorithms it is for: the token only chooses among
// them.

import CLibcrypto

typealias SignatureAlgorithm = GatewayConfiguration.JWT.Algorithm

/// A key that signatures are verified with.
final class SignatureKey: Sendable {
    enum Kind: Sendable, Hashable {
        case rsa(bits: Int)
        case p256
        case p384
        case p521
        case ed25519
        case secret(bytes: Int)
    }

    let kind: Kind
    private enum Material: @unchecked Sendable {
        /// Read by many threads, as libcrypto allows once a key is made.
        case key(OpaquePointer)
        case secret([UInt8])
    }

    private let material: Material

    var isSecret: Bool {
        if case .secret = self.kind { true } else { false }
    }

    private init(kind: Kind, _ material: Material) {
        self.kind = kind
        self.material = material
    }

    deinit {
        if case .key(let key) = self.material { EVP_PKEY_free(key) }
    }

    // MARK: Making

    /// `nil` where the numbers make no key.
    static func rsa(modulus: [UInt8], exponent: [UInt8]) -> SignatureKey? {
        let modulus = Array(modulus.drop { $0 == 0 })
        guard let first = modulus.first, exponent.contains(where: { $0 != 0 }) else { return nil }
        let bits = modulus.count * 8 - first.leadingZeroBitCount
        let numbers = DER.sequence(DER.integer(modulus) + DER.integer(exponent))
        return self.make(.rsa(bits: bits), DER.sequence(DER.rsaEncryption + [0x05, 0x00]), numbers)
    }

    /// `nil` for coordinates that are not on the curve, or not of its length (RFC 7518 section 6.2.1).
    static func curve(_ kind: Kind, x: [UInt8], y: [UInt8]) -> SignatureKey? {
        let length: Int
        let curve: [UInt8]
        switch kind {
        case .p256: (length, curve) = (32, DER.p256)
        case .p384: (length, curve) = (48, DER.p384)
        case .p521: (length, curve) = (66, DER.p521)
        case .rsa, .ed25519, .secret: return nil
        }
        guard x.count == length, y.count == length else { return nil }
        return self.make(kind, DER.sequence(DER.ecPublicKey + curve), [0x04] + x + y)
    }

    static func ed25519(_ bytes: [UInt8]) -> SignatureKey? {
        guard bytes.count == 32 else { return nil }
        return self.make(.ed25519, DER.sequence(DER.ed25519), bytes)
    }

    static func secret(_ bytes: [UInt8]) -> SignatureKey {
        SignatureKey(kind: .secret(bytes: bytes.count), .secret(bytes))
    }

    private static func make(_ kind: Kind, _ algorithm: [UInt8], _ key: [UInt8]) -> SignatureKey? {
        let info = DER.sequence(algorithm + DER.bitString(key))
        let made = info.withUnsafeBufferPointer { buffer in
            var start = buffer.baseAddress
            return d2i_PUBKEY(nil, &start, info.count)
        }
        guard let made else {
            ERR_clear_error()
            return nil
        }
        return SignatureKey(kind: kind, .key(made))
    }

    // MARK: Fitting

    /// True where the key can make signatures of that algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1).
    func fits(_ algorithm: SignatureAlgorithm) -> Bool {
        switch (algorithm, self.kind) {
        case (.es256, .p256), (.es384, .p384), (.es512, .p521), (.edDSA, .ed25519): true
        case (.rs256, .rsa(let bits)), (.rs384, .rsa(let bits)), (.rs512, .rsa(let bits)), (.ps256, .rsa(let bits)),
            (.ps384, .rsa(let bits)), (.ps512, .rsa(let bits)):
            bits >= 2048
        // RFC 7518 section 3.2: no shorter than the hash.
        case (.hs256, .secret(let bytes)): bytes >= 32
        case (.hs384, .secret(let bytes)): bytes >= 48
        case (.hs512, .secret(let bytes)): bytes >= 64
        default: false
        }
    }

    // MARK: Verifying

    /// True for a signature of these bytes by this key with an algorithm that fits it.
    func verifies(_ signature: [UInt8], of bytes: [UInt8], _ algorithm: SignatureAlgorithm) -> Bool {
        guard self.fits(algorithm) else { return false }
        switch self.material {
        case .secret(let secret):
            let expected = Self.code(bytes, secret, algorithm)
            return expected.count == signature.count && !expected.isEmpty
                && CRYPTO_memcmp(expected, signature, expected.count) == 0
        case .key(let key):
            guard let signature = self.encoded(signature) else { return false }
            let isRight = Self.verify(signature, bytes, key, algorithm)
            // A wrong signature leaves errors on the thread, for others to wonder about.
            ERR_clear_error()
            return isRight
        }
    }

    /// ECDSA signatures are two numbers of fixed length in tokens, and DER in libcrypto (RFC 7518 section 3.4).
    private func encoded(_ signature: [UInt8]) -> [UInt8]? {
        let length: Int
        switch self.kind {
        case .p256: length = 32
        case .p384: length = 48
        case .p521: length = 66
        case .rsa, .ed25519, .secret: return signature
        }
        guard signature.count == 2 * length else { return nil }
        return DER.sequence(
            DER.integer(Array(signature.prefix(length))) + DER.integer(Array(signature.suffix(length)))
        )
    }

    private static func verify(
        _ signature: [UInt8],
        _ bytes: [UInt8],
        _ key: OpaquePointer,
        _ algorithm: SignatureAlgorithm
    ) -> Bool {
        guard let context = EVP_MD_CTX_new() else { return false }
        defer { EVP_MD_CTX_free(context) }
        var keyContext: OpaquePointer?
        guard EVP_DigestVerifyInit(context, &keyContext, self.digest(algorithm), nil, key) == 1 else { return false }
        switch algorithm {
        case .ps256, .ps384, .ps512:
            guard EVP_PKEY_CTX_set_rsa_padding(keyContext, RSA_PKCS1_PSS_PADDING) > 0,
                EVP_PKEY_CTX_set_rsa_pss_saltlen(keyContext, RSA_PSS_SALTLEN_DIGEST) > 0
            else { return false }
        default: break
        }
        return EVP_DigestVerify(context, signature, signature.count, bytes, bytes.count) == 1
    }

    private static func code(_ bytes: [UInt8], _ secret: [UInt8], _ algorithm: SignatureAlgorithm) -> [UInt8] {
        var code = [UInt8](repeating: 0, count: 64)
        var length: UInt32 = 0
        guard HMAC(self.digest(algorithm), secret, Int32(secret.count), bytes, bytes.count, &code, &length) != nil
        else {
            return []
        }
        return Array(code.prefix(Int(length)))
    }

    /// `nil` for EdDSA, which has its own.
    private static func digest(_ algorithm: SignatureAlgorithm) -> OpaquePointer? {
        switch algorithm {
        case .es256, .rs256, .ps256, .hs256: EVP_sha256()
        case .es384, .rs384, .ps384, .hs384: EVP_sha384()
        case .es512, .rs512, .ps512, .hs512: EVP_sha512()
        case .edDSA: nil
        }
    }
}

/// The few forms of DER that keys and signatures need (X.690, RFC 5280 section 4.1.2.7).
enum DER {
    static let rsaEncryption: [UInt8] = [0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01]
    static let ecPublicKey: [UInt8] = [0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01]
    static let p256: [UInt8] = [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07]
    static let p384: [UInt8] = [0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22]
    static let p521: [UInt8] = [0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x23]
    static let ed25519: [UInt8] = [0x06, 0x03, 0x2B, 0x65, 0x70]

    static func sequence(_ content: [UInt8]) -> [UInt8] { self.element(0x30, content) }
    static func bitString(_ content: [UInt8]) -> [UInt8] { self.element(0x03, [0x00] + content) }

    /// A number that is not negative.
    static func integer(_ bytes: [UInt8]) -> [UInt8] {
        let digits = Array(bytes.drop { $0 == 0 })
        let isHigh = digits.first.map { $0 >= 0x80 } ?? true
        return self.element(0x02, (isHigh ? [0x00] : []) + digits)
    }

    private static func element(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        var length: [UInt8] = []
        var count = content.count
        if count < 0x80 { return [tag, UInt8(count)] + content }
        while count > 0 {
            length.insert(UInt8(truncatingIfNeeded: count), at: 0)
            count >>= 8
        }
        return [tag, 0x80 | UInt8(length.count)] + length + content
    }
}
