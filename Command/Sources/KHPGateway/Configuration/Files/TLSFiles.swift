// Certificates and keys, as the TLS of listeners and to backends.

import NIOCore
import NIOSSL

struct TLSFiles {
    /// Reads the TLS of a listener, or of the admin address.
    /// - Returns: the TLS, and the second since 1970 at which its certificate ends; `nil` after a finding.
    mutating func server(
        _ settings: Configuration.TLS,
        _ key: String,
        _ reading: inout Reading
    ) -> (tls: TLSConfiguration, end: Int64)? {
        let chain = self.certificates(settings.certificate, "\(key).certificate", &reading)
        let privateKey = self.privateKey(settings.key, "\(key).key", &reading)
        let roots = settings.clientCA.map { self.certificates($0, "\(key).clientCA", &reading) }
        guard let first = chain?.first, let chain, let privateKey else { return nil }
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(privateKey)
        )
        tls.minimumTLSVersion = settings.minimum == .v1_3 ? .tlsv13 : .tlsv12
        if settings.clientAuthentication != .none {
            guard let roots, let roots else { return nil }
            tls.trustRoots = .certificates(roots)
            tls.certificateVerification =
                settings.clientAuthentication == .required ? .noHostnameVerification : .optionalVerification
        }
        guard self.isPair(tls, settings.certificate, "\(key).key", &reading) else { return nil }
        return (tls, Int64(first.notValidAfter))
    }

    /// To backends; `nil` after a finding.
    mutating func client(
        _ settings: Configuration.BackendTLS,
        _ key: String,
        _ reading: inout Reading
    ) -> TLSConfiguration? {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        // As long as a client has for its goodbye: a drain waits for both.
        tls.shutdownTimeout = .seconds(1)
        if !settings.verifies { tls.certificateVerification = .none }
        if let ca = settings.ca {
            guard let roots = self.certificates(ca, "\(key).ca", &reading) else { return nil }
            tls.trustRoots = .certificates(roots)
        }
        if let certificate = settings.certificate, let privateKey = settings.key {
            let chain = self.certificates(certificate, "\(key).certificate", &reading)
            let own = self.privateKey(privateKey, "\(key).key", &reading)
            guard let chain, let own else { return nil }
            tls.certificateChain = chain.map { .certificate($0) }
            tls.privateKey = .privateKey(own)
            guard self.isPair(tls, certificate, "\(key).key", &reading) else { return nil }
        }
        do {
            _ = try NIOSSLContext(configuration: tls)
            return tls
        } catch {
            reading.error(key, "makes no TLS: \(error)")
            return nil
        }
    }

    /// The certificates of a PEM file that counts for something today.
    private func certificates(_ file: String, _ key: String, _ reading: inout Reading) -> [NIOSSLCertificate]? {
        guard let bytes = NamedFiles.bytes(file, key, &reading) else { return nil }
        guard let chain = try? NIOSSLCertificate.fromPEMBytes(bytes), let first = chain.first else {
            reading.error(key, "the file \(file) holds no certificate in PEM")
            return nil
        }
        let left = Int64(first.notValidAfter) - reading.surroundings.now()
        let days = left / 86_400
        if left <= 0 {
            reading.error(key, "the certificate in \(file) has expired")
        } else if days < 14 {
            reading.warning(key, "the certificate in \(file) expires in \(days) day\(days == 1 ? "" : "s")")
        }
        if Int64(first.notValidBefore) > reading.surroundings.now() {
            reading.error(key, "the certificate in \(file) is not valid yet")
        }
        return chain
    }

    private func privateKey(_ file: String, _ key: String, _ reading: inout Reading) -> NIOSSLPrivateKey? {
        guard let bytes = NamedFiles.bytes(file, key, &reading) else { return nil }
        if reading.surroundings.isReadableByOthers(file) { reading.warning(key, "\(file) can be read by others") }
        guard let privateKey = try? NIOSSLPrivateKey(bytes: bytes, format: .pem) else {
            reading.error(key, "the file \(file) holds no key in PEM that needs no password")
            return nil
        }
        return privateKey
    }

    private func isPair(_ tls: TLSConfiguration, _ file: String, _ key: String, _ reading: inout Reading) -> Bool {
        guard (try? NIOSSLContext(configuration: tls)) != nil else {
            reading.error(key, "is not the key of the certificate in \(file)")
            return false
        }
        return true
    }
}
