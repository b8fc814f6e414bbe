import NIOSSL

/// Reads certificates and keys that options name.
enum PEM {
    static func certificates(_ path: String, option: String) throws(CommandFailure) -> [NIOSSLCertificate] {
        let bytes = try FileArgument.bytes(path, option: option)
        guard let certificates = try? NIOSSLCertificate.fromPEMBytes(bytes), !certificates.isEmpty else {
            throw .usage("the file `\(path)` of \(option) holds no PEM certificate")
        }
        return certificates
    }

    /// Checks that a certificate and a key belong together.
    static func checkPair(_ tls: TLSConfiguration, _ certificate: String, _ key: String) throws(CommandFailure) {
        guard (try? NIOSSLContext(configuration: tls)) != nil else {
            throw .usage("the key of \(key) does not belong to the certificate of \(certificate)")
        }
    }

    static func key(_ path: String, option: String) throws(CommandFailure) -> NIOSSLPrivateKey {
        let bytes = try FileArgument.bytes(path, option: option)
        guard let key = try? NIOSSLPrivateKey(bytes: bytes, format: .pem) else {
            throw .usage("the file `\(path)` of \(option) holds no PEM private key without a password")
        }
        return key
    }
}
