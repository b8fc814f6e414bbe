import Foundation
import NIOSSL

/// The authorities that the environment names, where no option does: `SSL_CERT_FILE` a file of them, `SSL_CERT_DIR`
/// directories of them, separated by colons. openssl, curl and others read the same, and where TLS is inspected on the
/// way these hold the authority that does so.
///
/// Where one of them is set, no authority but those is trusted.
struct EnvironmentRoots {
    private let file: String?
    private let directories: [String]

    /// `nil` where neither is set, or both are empty.
    init?(_ environment: [String: String]) {
        self.file = environment["SSL_CERT_FILE"].flatMap { $0.isEmpty ? nil : $0 }
        self.directories = (environment["SSL_CERT_DIR"] ?? "").split(separator: ":").map(String.init)
        if self.file == nil, self.directories.isEmpty { return nil }
    }

    /// The authorities to trust.
    /// - Parameter isNeeded: `true` when TLS is certain to be spoken. A variable that nobody needs may name what has
    ///   gone: then nothing is trusted by it.
    func roots(isNeeded: Bool) throws(CommandFailure) -> NIOSSLTrustRoots {
        var certificates: [NIOSSLCertificate] = []
        if let file {
            do throws(CommandFailure) {
                certificates += try PEM.certificates(file, option: "SSL_CERT_FILE")
            } catch {
                if isNeeded { throw error }
            }
        }
        for directory in self.directories { certificates += Self.certificates(in: directory) }
        if certificates.isEmpty, isNeeded {
            throw .usage("SSL_CERT_DIR names no directory with certificates in it")
        }
        return .certificates(certificates)
    }

    /// The files under the names that `openssl rehash` gives them; in a directory without such names, all that it holds.
    private static func certificates(in directory: String) -> [NIOSSLCertificate] {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
        let hashed = names.filter { $0.wholeMatch(of: /[0-9a-fA-F]{8}\.[0-9]+/) != nil }
        return (hashed.isEmpty ? names : hashed).flatMap { name in
            (try? NIOSSLCertificate.fromPEMFile("\(directory)/\(name)")) ?? []
        }
    }
}
