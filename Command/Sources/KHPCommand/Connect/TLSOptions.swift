import ArgumentParser
import Foundation
import NIOSSL

/// TLS.
struct TLSOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Trust the authorities of this PEM file and no others.", valueName: "file"))
    var cacert: String?

    @Flag(help: "Verify neither the server's certificate nor its name.")
    var insecure = false

    @Option(help: ArgumentHelp("The client certificate, PEM.", valueName: "file"))
    var cert: String?

    @Option(help: ArgumentHelp("The client certificate's key, PEM.", valueName: "file"))
    var key: String?

    /// - Parameter isNeeded: `true` when TLS is certain to be spoken.
    func configuration(isNeeded: Bool) throws -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        if let cacert {
            tls.trustRoots = .certificates(try PEM.certificates(cacert, option: "--cacert"))
        } else if !self.insecure, let roots = EnvironmentRoots(ProcessInfo.processInfo.environment) {
            tls.trustRoots = try roots.roots(isNeeded: isNeeded)
        }
        if self.insecure { tls.certificateVerification = .none }
        guard (self.cert == nil) == (self.key == nil) else {
            throw CommandFailure.usage("--cert and --key belong together; one of them is missing")
        }
        if let cert, let key {
            tls.certificateChain = try PEM.certificates(cert, option: "--cert").map { .certificate($0) }
            tls.privateKey = .privateKey(try PEM.key(key, option: "--key"))
            try PEM.checkPair(tls, "--cert", "--key")
        }
        return tls
    }
}
