import KHPWebSocket
import NIOCore
import NIOSSL
import Testing

/// The settings of an untouched `TLSConfiguration`, and of a caller's own: Specs/defaults.md.
@Suite("Defaults of TLS")
struct TLSDefaultsTests {
    @Test("TLS 1.2 at least, with forward secrecy and without SHA-1, in both roles")
    func untouched() throws {
        let psk = TLSConfiguration.makePreSharedKeyConfiguration()
        for tls in [TLSConfiguration.makeClientConfiguration().decided, psk.decidedForServer] {
            #expect(tls.minimumTLSVersion == .tlsv12)
            #expect(tls.maximumTLSVersion == nil)
            #expect(!tls.cipherSuites.contains("RSA"))
            #expect(tls.verifySignatureAlgorithms?.contains(.rsaPkcs1Sha1) == false)
            #expect(tls.applicationProtocols == ["http/1.1"])
            #expect(tls.renegotiationSupport == .none)
            #expect(tls.shutdownTimeout == .seconds(1))
            _ = try NIOSSLContext(configuration: tls)
        }
        let suites = TLSConfiguration.makeClientConfiguration().decided.cipherSuiteValues
        #expect(suites.contains(.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256))
        #expect(suites.contains(.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256))
        #expect(!suites.contains(.TLS_RSA_WITH_AES_128_GCM_SHA256))
    }

    @Test("what a caller has said stays said")
    func chosen() {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv11
        #expect(tls.decided.minimumTLSVersion == .tlsv11)
        tls.minimumTLSVersion = .tlsv13
        #expect(tls.decided.minimumTLSVersion == .tlsv13)
        for maximum in [TLSVersion.tlsv1, .tlsv11] {
            tls = .makeClientConfiguration()
            tls.maximumTLSVersion = maximum
            #expect(tls.decided.minimumTLSVersion == .tlsv1)
        }
        tls.maximumTLSVersion = .tlsv12
        #expect(tls.decided.minimumTLSVersion == .tlsv12)
        tls.cipherSuites = "RSA+AESGCM"
        tls.verifySignatureAlgorithms = [.rsaPkcs1Sha1]
        #expect(tls.decided.cipherSuites == "RSA+AESGCM")
        #expect(tls.decided.verifySignatureAlgorithms == [.rsaPkcs1Sha1])
        for verification in [CertificateVerification.none, .noHostnameVerification, .optionalVerification] {
            tls.certificateVerification = verification
            #expect(tls.decidedForServer.certificateVerification == verification)
        }
        tls.shutdownTimeout = .milliseconds(10)
        #expect(tls.decided.shutdownTimeout == .milliseconds(10))
        tls.certificateVerification = .fullVerification
        #expect(tls.decidedForServer.certificateVerification == .noHostnameVerification)
        #expect(tls.decided.certificateVerification == .fullVerification)
    }
}
