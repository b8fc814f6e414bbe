// The names in a certificate that a principal may be called by.

import CLibcrypto
import NIOSSL

struct CertificateNames {
    private let certificate: NIOSSLCertificate

    init(_ certificate: NIOSSLCertificate) {
        self.certificate = certificate
    }

    /// In the order of the certificate; without those that hold control characters, which are for deceiving readers.
    func names(_ kind: GatewayConfiguration.Certificate.Name) -> [String] {
        let names: [[UInt8]]
        switch kind {
        case .commonName: names = self.commonNames
        case .uri: names = self.alternatives(.uri)
        case .dns: names = self.alternatives(.dnsName)
        case .email: names = self.alternatives(.email)
        }
        return names.compactMap { bytes in
            guard let name = String(validating: bytes, as: UTF8.self), !name.isEmpty, name.utf8.count <= 256,
                name.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
            else { return nil }
            return name
        }
    }

    private func alternatives(_ kind: _SubjectAlternativeName.NameType) -> [[UInt8]] {
        self.certificate._subjectAlternativeNames().filter { $0.nameType == kind }.map { Array($0.contents) }
    }

    /// One at most: a second would let somebody choose.
    private var commonNames: [[UInt8]] {
        guard let bytes = try? self.certificate.toDERBytes() else { return [] }
        let parsed = bytes.withUnsafeBufferPointer { buffer in
            var start = buffer.baseAddress
            return d2i_X509(nil, &start, bytes.count)
        }
        guard let parsed, let subject = X509_get_subject_name(parsed) else { return [] }
        defer { X509_free(parsed) }
        let first = X509_NAME_get_index_by_NID(subject, NID_commonName, -1)
        guard first >= 0, X509_NAME_get_index_by_NID(subject, NID_commonName, first) < 0,
            let data = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, first))
        else { return [] }
        var text: UnsafeMutablePointer<UInt8>?
        let length = ASN1_STRING_to_UTF8(&text, data)
        guard let text, length > 0 else { return [] }
        defer { CRYPTO_free(text, #file, #line) }
        return [Array(UnsafeBufferPointer(start: text, count: Int(length)))]
    }
}
