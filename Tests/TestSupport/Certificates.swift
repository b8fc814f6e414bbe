// Certificates made by openssl for one run of the tests.

import Foundation

package struct Certificates: Sendable {
    package let directory: String
    package var authority: String { self.directory + "/ca.pem" }
    package var server: String { self.directory + "/server.pem" }
    package var serverKey: String { self.directory + "/server.key" }
    package var otherHost: String { self.directory + "/other.pem" }
    package var otherHostKey: String { self.directory + "/other.key" }
    package var client: String { self.directory + "/client.pem" }
    package var clientKey: String { self.directory + "/client.key" }

    package struct Failure: Error { package var message: String }

    /// One authority, a server certificate for localhost and 127.0.0.1, one for another host, and a client's.
    package static let shared = Result { try Certificates() }

    private init() throws {
        let base = FileManager.default.temporaryDirectory.appendingPathComponent("khp-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: base, withIntermediateDirectories: true)
        self.directory = base.path
        try self.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 "
                + "-subj /CN=khp-test-authority"
        )
        try self.issue("server", names: "DNS:localhost,IP:127.0.0.1")
        try self.issue("other", names: "DNS:other.example")
        try self.issue("client", names: "DNS:client.example")
    }

    private func issue(_ name: String, names: String) throws {
        try "subjectAltName=\(names)\n".write(
            toFile: "\(self.directory)/\(name).ext",
            atomically: true,
            encoding: .utf8
        )
        try self.openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout \(name).key -out \(name).csr -subj /CN=\(name)"
        )
        try self.openssl(
            "x509 -req -in \(name).csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile \(name).ext "
                + "-out \(name).pem"
        )
    }

    private func openssl(_ arguments: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments.split(separator: " ").map(String.init)
        process.currentDirectoryURL = URL(fileURLWithPath: self.directory)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(message: "openssl \(arguments) failed") }
    }
}
