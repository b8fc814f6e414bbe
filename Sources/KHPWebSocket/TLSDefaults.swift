// Decisions where swift-nio-ssl leaves a default as it was years ago: Specs/defaults.md has the table.

package import NIOSSL

extension TLSConfiguration {
    /// The cipher suites of TLS 1.2 where a caller has not chosen any: swift-nio-ssl's but those without forward secrecy
    /// (RFC 9325 section 4.1).
    private static let forwardSecretSuites =
        "ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES256:ECDH+AES128:!aNULL:!eNULL:!MD5"

    /// The algorithms that a peer may sign with where a caller has not chosen any: BoringSSL's, in its order, but those with
    /// SHA-1 (RFC 9155).
    private static let signatures: [SignatureAlgorithm] = [
        .ecdsaSecp256R1Sha256, .rsaPssRsaeSha256, .rsaPkcs1Sha256, .ecdsaSecp384R1Sha384, .rsaPssRsaeSha384,
        .rsaPkcs1Sha384, .rsaPssRsaeSha512, .rsaPkcs1Sha512,
    ]

    /// This configuration with the library's decisions where the caller has left a default.
    ///
    /// TLS 1.2 at least (RFC 8996, RFC 9325 section 3.1.1), unless the configuration says less: a minimum of 1.1, or a
    /// maximum below 1.2. A minimum of 1.0 is swift-nio-ssl's default, and so no choice of the caller's.
    package var decided: TLSConfiguration {
        var tls = self
        let saysLess = tls.maximumTLSVersion == .tlsv1 || tls.maximumTLSVersion == .tlsv11
        if tls.minimumTLSVersion == .tlsv1, !saysLess { tls.minimumTLSVersion = .tlsv12 }
        if tls.cipherSuites == defaultCipherSuites, tls.pskClientProvider == nil, tls.pskServerProvider == nil {
            tls.cipherSuites = Self.forwardSecretSuites
        }
        if tls.verifySignatureAlgorithms == nil { tls.verifySignatureAlgorithms = Self.signatures }
        tls.applicationProtocols = ["http/1.1"]
        // swift-nio-ssl keeps its whole state for this long after a connection whose peer has sent no close notification;
        // no handler of ours waits longer for one.
        tls.shutdownTimeout = min(tls.shutdownTimeout, EndTimeouts().goodbye)
        return tls
    }

    /// ``decided`` for a server. Full verification becomes that of the chain alone: swift-nio-ssl would compare a client's
    /// certificate with the address that the connection comes from. The application decides whom it names.
    package var decidedForServer: TLSConfiguration {
        var tls = self.decided
        if tls.certificateVerification == .fullVerification { tls.certificateVerification = .noHostnameVerification }
        return tls
    }
}
