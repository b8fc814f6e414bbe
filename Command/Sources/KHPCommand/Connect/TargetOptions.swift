import ArgumentParser
import KHPClient
import KHPProtocol

/// The place to dial instead of the one that the URL names.
struct TargetOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Dial this host and port, for every hop and without a proxy. The URL goes on naming Host, Origin, SNI and the "
                + "certificate. vsock:CID:PORT dials a virtual machine, or its host with 2 as CID.",
            valueName: "host:port"
        )
    )
    var connectTo: String?

    @Option(help: ArgumentHelp("The same with a Unix domain socket.", valueName: "path"))
    var unixSocket: String?

    func validate() throws {
        if self.connectTo != nil, self.unixSocket != nil {
            throw ValidationError("--connect-to and --unix-socket name two places to dial; give one")
        }
        _ = try self.target()
    }

    func apply(to configuration: inout WebSocketClient.Configuration) throws {
        configuration.connectTo = try self.target()
    }

    private func target() throws -> WebSocketClient.ConnectTarget? {
        if let unixSocket {
            guard !unixSocket.isEmpty else { throw ValidationError("--unix-socket needs the path of a socket") }
            return .unixDomainSocket(path: unixSocket)
        }
        guard let connectTo else { return nil }
        if connectTo.hasPrefix("vsock:") { return try Self.virtualMachine(connectTo) }
        guard let place = try? WebSocketURL("ws://\(connectTo)"), place.resource == "/",
            connectTo.contains(/:[0-9]+$/)
        else {
            throw ValidationError("--connect-to needs a host and a port, such as 127.0.0.1:8443 or [::1]:8443")
        }
        return .host(place.host, port: place.port)
    }

    private static func virtualMachine(_ text: String) throws -> WebSocketClient.ConnectTarget {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).dropFirst().map {
            $0.utf8.allSatisfy { (0x30...0x39).contains($0) } ? UInt32($0) : nil
        }
        guard parts.count == 2, let contextID = parts[0], let port = parts[1], contextID < .max, port < .max else {
            throw ValidationError("--connect-to vsock: needs a context identifier and a port, such as vsock:2:8080")
        }
        return .virtualMachine(contextID: contextID, port: port)
    }
}
