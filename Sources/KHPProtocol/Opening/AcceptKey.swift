// Sec-WebSocket-Key and Sec-WebSocket-Accept, RFC 6455 sections 4.1 and 4.2.2.

import COpenSSL
import Synchronization

package enum AcceptKey {
    /// RFC 6455 section 1.3.
    private static let suffix: StaticString = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    /// The algorithm, fetched once: looking it up by name costs more than the digest. It lives as long as the process,
    /// and OpenSSL's method objects may be used from any thread.
    nonisolated(unsafe) private static let sha1 = EVP_MD_fetch(nil, "SHA1", nil)

    /// A context of the digest, which serves again: making one costs as much as the digest. It lives as long as the
    /// process.
    private struct Context: ~Copyable, @unchecked Sendable {
        // Unchecked: reached through the mutex alone.
        private let pointer = EVP_MD_CTX_new()

        deinit { EVP_MD_CTX_free(self.pointer) }

        /// - Returns: `true` when `digest` has been written.
        func digest(_ input: UnsafeRawBufferPointer, into digest: UnsafeMutablePointer<UInt8>) -> Bool {
            var written: UInt32 = 0
            return EVP_DigestInit_ex2(self.pointer, AcceptKey.sha1, nil) == 1
                && EVP_DigestUpdate(self.pointer, input.baseAddress, input.count) == 1
                && EVP_DigestFinal_ex(self.pointer, digest, &written) == 1 && written == 20
        }
    }

    private static let context = Mutex(Context())

    /// The Sec-WebSocket-Accept value for a Sec-WebSocket-Key value: base64(SHA-1(key + GUID)).
    ///
    /// Empty, and so equal to no peer's value, where libcrypto refuses SHA-1 by policy.
    package static func accept(for key: String) -> String {
        Bytes.withUTF8(of: key) { self.accept(for: $0) }.text
    }

    /// The same for a key as it was sent.
    static func accept(for key: UnsafeRawBufferPointer) -> AcceptValue {
        let length = key.count + suffix.utf8CodeUnitCount
        return withUnsafeTemporaryAllocation(byteCount: length, alignment: 1) { input in
            input.copyMemory(from: key)
            UnsafeMutableRawBufferPointer(rebasing: input[key.count...])
                .copyMemory(from: UnsafeRawBufferPointer(start: suffix.utf8Start, count: suffix.utf8CodeUnitCount))
            return withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digest in
                guard let pointer = digest.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
                    return AcceptValue()
                }
                let input = UnsafeRawBufferPointer(input)
                // Another event loop may use the context at this moment: no one waits for it.
                let isDigested = Self.context.withLockIfAvailable { $0.digest(input, into: pointer) }
                guard isDigested ?? Context().digest(input, into: pointer) else {
                    return AcceptValue()
                }
                return AcceptValue(digest: UnsafeRawBufferPointer(digest))
            }
        }
    }

    /// A Sec-WebSocket-Key of sixteen random bytes.
    package static func makeKey(using generator: inout some RandomNumberGenerator) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16)
        for _ in 0..<2 {
            withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) }
        }
        return Base64.encode(bytes)
    }

    /// Returns `true` for a Sec-WebSocket-Key as RFC 6455 section 4.2.1 has it: base64 of sixteen bytes (threat A9).
    package static func isValidKey(_ key: String) -> Bool {
        Bytes.withUTF8(of: key) { self.isValidKey($0) }
    }

    /// The same for a key as it was sent.
    static func isValidKey(_ key: UnsafeRawBufferPointer) -> Bool {
        guard key.count == 24, key[22] == Base64.padding, key[23] == Base64.padding else { return false }
        var last: UInt8 = 0
        for byte in key[..<22] {
            guard let digit = Base64.value(byte) else { return false }
            last = digit
        }
        // The last digit has two bits that count.
        return last & 0x0F == 0
    }
}

/// A value of Sec-WebSocket-Accept, without memory of its own: a server writes it and needs it no more. Empty in dialects
/// without one, and where libcrypto refuses SHA-1.
package struct AcceptValue: Sendable {
    /// Its digits; base 64 of twenty bytes has 28.
    private var digits: (UInt64, UInt64, UInt64, UInt32) = (0, 0, 0, 0)
    private static let count = 28

    /// An empty one.
    package init() {}

    /// The value that a text spells; another text makes an empty one.
    package init(_ text: String) {
        Bytes.withUTF8(of: text) { text in
            guard text.count == Self.count else { return }
            withUnsafeMutableBytes(of: &self.digits) { $0.copyMemory(from: text) }
        }
    }

    /// - Parameter digest: twenty bytes.
    fileprivate init(digest: UnsafeRawBufferPointer) {
        _ = withUnsafeMutableBytes(of: &self.digits) { Base64.encode(digest, to: $0) }
    }

    package var isEmpty: Bool { self.digits.0 == 0 }

    package var text: String {
        self.isEmpty ? "" : self.withDigits { String(decoding: $0, as: UTF8.self) }
    }

    @inline(__always)
    fileprivate func withDigits<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        // The tuple's stride is longer than what it holds.
        withUnsafeBytes(of: self.digits) { body(UnsafeRawBufferPointer(rebasing: $0[..<Self.count])) }
    }
}

extension TextWriter {
    @inline(__always)
    mutating func write(_ value: AcceptValue) {
        value.withDigits { self.write($0) }
    }
}
