import CLibcrypto

/// SHA-256 by libcrypto.
enum SHA256 {
    static func hash(_ bytes: [UInt8]) -> [UInt8] {
        var hash = [UInt8](repeating: 0, count: 32)
        return EVP_Digest(bytes, bytes.count, &hash, nil, EVP_sha256(), nil) == 1 ? hash : []
    }
}
