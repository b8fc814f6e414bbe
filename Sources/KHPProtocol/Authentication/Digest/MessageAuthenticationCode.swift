// The seal of nonces and stored tokens: HMAC-SHA-256 (RFC 2104) of libcrypto.

import COpenSSL

package enum MessageAuthenticationCode {
    /// The 32 bytes of HMAC-SHA-256; empty where libcrypto refuses, which verifies nothing.
    package static func make(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        var code = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 0
        let isDone = key.withUnsafeBytes { key in
            HMAC(EVP_sha256(), key.baseAddress, CInt(clamping: key.count), message, message.count, &code, &length)
                != nil
        }
        return isDone && length == 32 ? code : []
    }

    /// Returns `true` when two codes are equal. The time tells nothing but their lengths.
    package static func isEqual(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
        guard left.count == right.count, !left.isEmpty else { return false }
        var difference: UInt8 = 0
        for (one, other) in zip(left, right) { difference |= one ^ other }
        return difference == 0
    }
}
