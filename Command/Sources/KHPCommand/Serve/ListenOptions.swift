import ArgumentParser
import KHPServer
import NIOSSL

/// Where to listen.
struct ListenOptions: ParsableArguments {
    @Option(help: "The address to listen on.")
    var host = "127.0.0.1"

    @Option(
        help: ArgumentHelp("The port; 0 takes a free one. (default: 8080)", valueName: "port"),
        transform: { try Number.read($0, in: 0...65_535) }
    )
    var port = 8080

    @Flag(help: "Listen on the socket that systemd hands over (LISTEN_FDS), in place of --host and --port.")
    var listenFds = false

    @Option(help: ArgumentHelp("The certificate and its chain, PEM: serves wss.", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The certificate's key, PEM.", valueName: "file"))
    var tlsKey: String?

    @Option(help: ArgumentHelp("Ask clients for a certificate of these authorities, PEM.", valueName: "file"))
    var clientCa: String?

    func validate() throws {
        if self.host.isEmpty { throw ValidationError("--host needs a name or an address") }
    }

    /// The place to listen at.
    /// - Parameters:
    ///   - environment: where a service manager says which sockets it hands over (sd_listen_fds(3)).
    ///   - process: the number of this process: the variables may be meant for another one.
    func address(_ environment: [String: String], process: Int32) throws -> WebSocketServer.BindAddress {
        guard self.listenFds else { return .hostname(Self.withoutBrackets(self.host), port: self.port) }
        guard environment["LISTEN_PID"].flatMap({ Int32($0) }) == process, let count = environment["LISTEN_FDS"] else {
            throw CommandFailure.usage("--listen-fds: systemd hands no socket over; is there a socket unit?")
        }
        guard count == "1" else {
            throw CommandFailure.usage(
                "--listen-fds: systemd hands \(count) sockets over, and one is what is listened on"
            )
        }
        return .boundSocket(3)
    }

    /// An address of IPv6 as URLs write it is as good as without its brackets.
    static func withoutBrackets(_ host: String) -> String {
        host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
    }

    func tls() throws -> TLSConfiguration? {
        guard (self.tlsCert == nil) == (self.tlsKey == nil) else {
            throw CommandFailure.usage("--tls-cert and --tls-key belong together; one of them is missing")
        }
        guard let tlsCert, let tlsKey else {
            if self.clientCa != nil { throw CommandFailure.usage("--client-ca needs --tls-cert and --tls-key") }
            return nil
        }
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try PEM.certificates(tlsCert, option: "--tls-cert").map { .certificate($0) },
            privateKey: .privateKey(try PEM.key(tlsKey, option: "--tls-key"))
        )
        try PEM.checkPair(tls, "--tls-cert", "--tls-key")
        if let clientCa {
            tls.trustRoots = .certificates(try PEM.certificates(clientCa, option: "--client-ca"))
            tls.certificateVerification = .noHostnameVerification
        }
        return tls
    }
}
