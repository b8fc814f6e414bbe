// A TLS server on loopback without files: tests and demonstrations make its certificate when they start.

import COpenSSL

/// A certificate made on the spot for `localhost`, with its key, in memory only. A test's TLS server uses it, and its
/// client trusts it and nothing else.
///
/// The key is P-256. The certificate is self-signed, names localhost, 127.0.0.1 and ::1, and is valid for a day.
public struct SelfSignedCertificate: Sendable {
    /// The certificate as PEM.
    public let certificate: [UInt8]
    /// The private key as PEM (PKCS #8).
    public let privateKey: [UInt8]

    /// libcrypto could not make a certificate.
    public struct Failure: Error {}

    /// Makes a certificate with a fresh key.
    ///
    /// - Throws: ``Failure`` when libcrypto fails, as it may without memory.
    public init() throws(Failure) {
        guard let made = Self.make() else { throw Failure() }
        (self.certificate, self.privateKey) = made
    }

    private static func make() -> (certificate: [UInt8], privateKey: [UInt8])? {
        guard let key = Self.makeKey() else { return nil }
        defer { EVP_PKEY_free(key) }
        guard let certificate = X509_new() else { return nil }
        defer { X509_free(certificate) }
        guard Self.fill(certificate, key: key) else { return nil }
        guard
            let certificatePEM = Self.pem({ PEM_write_bio_X509($0, certificate) }),
            let keyPEM = Self.pem({ PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) })
        else { return nil }
        return (certificatePEM, keyPEM)
    }

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

    private static func fill(_ certificate: OpaquePointer, key: OpaquePointer) -> Bool {
        let day = 24 * 60 * 60
        let serial = Int.random(in: 1...Int(Int32.max))
        guard X509_set_version(certificate, 2) == 1,
            ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial) == 1,
            // An hour back, for clocks that differ.
            X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != nil,
            X509_gmtime_adj(X509_getm_notAfter(certificate), day) != nil,
            X509_set_pubkey(certificate, key) == 1,
            let name = X509_get_subject_name(certificate),
            X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, "localhost", -1, -1, 0) == 1,
            X509_set_issuer_name(certificate, name) == 1,
            Self.add(NID_basic_constraints, "critical,CA:TRUE", to: certificate),
            Self.add(NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1", to: certificate)
        else { return false }
        return X509_sign(certificate, key, EVP_sha256()) > 0
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
