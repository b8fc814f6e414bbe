// An authority that signs any certificate that a test asks for: names in any spelling, dates of any day. In memory,
// with one key for all of them, so that dozens of certificates cost nothing.

import COpenSSL
package import NIOSSL

package final class CertificateAuthority: @unchecked Sendable {
    // Read only after `init`.
    private let key: OpaquePointer
    private let certificate: OpaquePointer
    private let leafKey: OpaquePointer

    package struct Failure: Error {}

    /// An extension of a certificate, its value as openssl writes it.
    package enum Extension: Sendable {
        case subjectAltName(String)
        case basicConstraints(String)
        case keyUsage(String)
        case extendedKeyUsage(String)
        case nameConstraints(String)
        /// A comment: an extension that verifiers do not know.
        case comment(String)

        fileprivate var pair: (identifier: Int32, value: String) {
            switch self {
            case .subjectAltName(let value): (NID_subject_alt_name, value)
            case .basicConstraints(let value): (NID_basic_constraints, value)
            case .keyUsage(let value): (NID_key_usage, value)
            case .extendedKeyUsage(let value): (NID_ext_key_usage, value)
            case .nameConstraints(let value): (NID_name_constraints, value)
            case .comment(let value): (NID_netscape_comment, value)
            }
        }
    }

    /// One for the whole run.
    package static let shared = Result { try CertificateAuthority() }

    /// - Parameters:
    ///   - name: its CN, by which a verifier finds it.
    ///   - superior: the authority that signs it; none for a root.
    ///   - extensions: instead of one that makes it an authority.
    package init(
        named name: String = "authority",
        under superior: CertificateAuthority? = nil,
        from: Int = -86_400,
        to: Int = 86_400,
        extensions: [Extension] = [.basicConstraints("critical,CA:TRUE")]
    ) throws {
        guard let key = Self.makeKey(), let leafKey = Self.makeKey(),
            let certificate = Self.make(
                key: key,
                issuer: superior?.certificate,
                commonName: name,
                from: from,
                to: to
            )
        else { throw Failure() }
        self.key = key
        self.leafKey = leafKey
        self.certificate = certificate
        guard extensions.allSatisfy({ Self.add($0.pair.identifier, $0.pair.value, to: certificate) }),
            X509_sign(certificate, superior?.key ?? key, EVP_sha256()) > 0
        else { throw Failure() }
    }

    deinit {
        X509_free(self.certificate)
        EVP_PKEY_free(self.key)
        EVP_PKEY_free(self.leafKey)
    }

    /// A certificate and its key.
    package struct Issued: Sendable {
        package let chain: [NIOSSLCertificateSource]
        package let key: NIOSSLPrivateKeySource
        package let pem: [UInt8]
        package let keyPEM: [UInt8]
    }

    /// The roots that clients have to trust.
    package func roots() throws -> NIOSSLTrustRoots {
        .certificates(try NIOSSLCertificate.fromPEMBytes(try self.pem()))
    }

    /// The authority's own certificate as PEM.
    package func pem() throws -> [UInt8] {
        guard let bytes = Self.pem({ PEM_write_bio_X509($0, self.certificate) }) else { throw Failure() }
        return bytes
    }

    /// The authority's own certificate, for a chain that leads to its superior.
    package func source() throws -> NIOSSLCertificateSource {
        guard let certificate = try NIOSSLCertificate.fromPEMBytes(try self.pem()).first else { throw Failure() }
        return .certificate(certificate)
    }

    /// The authority's own certificate with its key, as if it were a server's.
    package func own() throws -> Issued {
        guard let keyPEM = Self.pem({ PEM_write_bio_PrivateKey($0, self.key, nil, nil, 0, nil, nil) }) else {
            throw Failure()
        }
        return Issued(
            chain: [try self.source()],
            key: .privateKey(try NIOSSLPrivateKey(bytes: keyPEM, format: .pem)),
            pem: try self.pem(),
            keyPEM: keyPEM
        )
    }

    /// Signs a certificate.
    /// - Parameters:
    ///   - names: the subjectAltName as openssl writes it, `DNS:a.example,IP:192.0.2.1`; `nil` for none.
    ///   - commonName: the CN of the subject.
    ///   - from: when it begins to be valid, in seconds from now.
    ///   - to: when it ends, in seconds from now.
    ///   - extensions: beside the names.
    package func issue(
        _ names: String?,
        commonName: String = "leaf",
        from: Int = -3600,
        to: Int = 86_400,
        extensions: [Extension] = []
    ) throws -> Issued {
        guard
            let leaf = Self.make(
                key: self.leafKey,
                issuer: self.certificate,
                commonName: commonName,
                from: from,
                to: to
            )
        else { throw Failure() }
        defer { X509_free(leaf) }
        let all = (names.map { [.subjectAltName($0)] } ?? []) + extensions
        guard all.allSatisfy({ Self.add($0.pair.identifier, $0.pair.value, to: leaf) }),
            X509_sign(leaf, self.key, EVP_sha256()) > 0,
            let pem = Self.pem({ PEM_write_bio_X509($0, leaf) }),
            let keyPEM = Self.pem({ PEM_write_bio_PrivateKey($0, self.leafKey, nil, nil, 0, nil, nil) })
        else { throw Failure() }
        return Issued(
            chain: try NIOSSLCertificate.fromPEMBytes(pem).map { .certificate($0) },
            key: .privateKey(try NIOSSLPrivateKey(bytes: keyPEM, format: .pem)),
            pem: pem,
            keyPEM: keyPEM
        )
    }

    /// A server that presents such a certificate.
    package func server(
        _ names: String?,
        commonName: String = "leaf",
        from: Int = -3600,
        to: Int = 86_400
    ) throws -> TLSConfiguration {
        let issued = try self.issue(names, commonName: commonName, from: from, to: to)
        return .makeServerConfiguration(certificateChain: issued.chain, privateKey: issued.key)
    }

    // MARK: libcrypto

    private static func makeKey() -> OpaquePointer? {
        guard let context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nil) else { return nil }
        defer { EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        guard EVP_PKEY_keygen_init(context) == 1,
            EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1,
            EVP_PKEY_keygen(context, &key) == 1
        else { return nil }
        return key
    }

    private static func make(
        key: OpaquePointer,
        issuer: OpaquePointer?,
        commonName: String,
        from: Int,
        to: Int
    ) -> OpaquePointer? {
        guard let certificate = X509_new(), X509_set_version(certificate, 2) == 1,
            ASN1_INTEGER_set(X509_get_serialNumber(certificate), Int.random(in: 1...Int(Int32.max))) == 1,
            X509_gmtime_adj(X509_getm_notBefore(certificate), from) != nil,
            X509_gmtime_adj(X509_getm_notAfter(certificate), to) != nil,
            X509_set_pubkey(certificate, key) == 1,
            let name = X509_get_subject_name(certificate),
            X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, commonName, -1, -1, 0) == 1,
            X509_set_issuer_name(certificate, issuer.map { X509_get_subject_name($0) } ?? name) == 1
        else { return nil }
        return certificate
    }

    private static func add(_ identifier: Int32, _ value: String, to certificate: OpaquePointer) -> Bool {
        guard let item = X509V3_EXT_conf_nid(nil, nil, identifier, value) else { return false }
        defer { X509_EXTENSION_free(item) }
        return X509_add_ext(certificate, item, -1) == 1
    }

    private static func pem(_ write: (OpaquePointer) -> Int32) -> [UInt8]? {
        guard let memory = BIO_new(BIO_s_mem()) else { return nil }
        defer { BIO_free(memory) }
        guard write(memory) == 1 else { return nil }
        var bytes = [UInt8](repeating: 0, count: BIO_ctrl_pending(memory))
        let count = BIO_read(memory, &bytes, Int32(bytes.count))
        return count > 0 ? Array(bytes.prefix(Int(count))) : nil
    }
}
