// The TLS of a listener, which connections take as it is when they are accepted: certificates change while a server runs,
// and connections that are open keep theirs.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOSSL
import Synchronization

final class ServerTLS: Sendable {
    private let inForce: Mutex<NIOSSLContext?>
    /// The application protocols that are offered, in order of preference.
    private let protocols: [String]

    init(_ configuration: WebSocketListener.Configuration, _ streams: (any StreamProtocol)? = nil) throws {
        self.protocols = (streams.map { [$0.name] } ?? []) + ["http/1.1"]
        self.inForce = Mutex(try Self.context(configuration.tls, configuration.tlsHosts, self.protocols))
    }

    /// The context for a connection that is accepted now; `nil` without TLS.
    var context: NIOSSLContext? { self.inForce.withLock { $0 } }

    /// - Throws: for certificates and keys that do not load or do not belong together; then the old ones stay in force.
    func replace(_ tls: TLSConfiguration, _ hosts: [String: WebSocketListener.TLSIdentity]) throws {
        let context = try Self.context(tls, hosts, self.protocols)
        try self.inForce.withLock { current in
            guard current != nil else {
                throw WebSocketError(.invalidArgument, "This listener serves without TLS.")
            }
            current = context
        }
    }

    private static func context(
        _ tls: TLSConfiguration?,
        _ hosts: [String: WebSocketListener.TLSIdentity],
        _ protocols: [String]
    ) throws -> NIOSSLContext? {
        guard var tls = tls?.decidedForServer else {
            guard hosts.isEmpty else {
                throw WebSocketError(.invalidArgument, "Certificates for hosts need a TLS configuration beside them.")
            }
            return nil
        }
        tls.applicationProtocols = protocols
        if !hosts.isEmpty {
            let identities = try HostIdentities(hosts, tls)
            let other = tls.sslContextCallback
            tls.sslContextCallback = { hello, promise in
                if let identity = identities.identity(of: hello.serverHostname) {
                    promise.succeed(identity)
                } else if let other {
                    other(hello, promise)
                } else {
                    promise.succeed(.noChanges)
                }
            }
        }
        return try NIOSSLContext(configuration: tls)
    }
}

/// The certificates for hosts that clients name.
private struct HostIdentities: Sendable {
    private let exact: [String: NIOSSLContextConfigurationOverride]
    /// The certificates of `*.` names, by the name after the first label.
    private let below: [String: NIOSSLContextConfigurationOverride]

    init(_ hosts: [String: WebSocketListener.TLSIdentity], _ tls: TLSConfiguration) throws {
        var exact: [String: NIOSSLContextConfigurationOverride] = [:]
        var below: [String: NIOSSLContextConfigurationOverride] = [:]
        for (host, identity) in hosts {
            let name = host.lowercased()
            let isWide = name.hasPrefix("*.")
            let key = isWide ? String(name.dropFirst(2)) : name
            guard Self.isName(key) else {
                throw WebSocketError(.invalidArgument, "\(quoted(host)) is no name of a host for a certificate.")
            }
            var loaded = NIOSSLContextConfigurationOverride()
            loaded.certificateChain = identity.certificateChain.map { .certificate($0) }
            loaded.privateKey = .privateKey(identity.privateKey)
            // Finds a certificate and key that do not belong together here rather than in a handshake.
            var alone = tls
            alone.certificateChain = loaded.certificateChain ?? []
            alone.privateKey = loaded.privateKey
            _ = try NIOSSLContext(configuration: alone)
            let old = isWide ? below.updateValue(loaded, forKey: key) : exact.updateValue(loaded, forKey: key)
            guard old == nil else {
                throw WebSocketError(.invalidArgument, "\(quoted(host)) has two certificates.")
            }
        }
        self.exact = exact
        self.below = below
    }

    private static func isName(_ name: String) -> Bool {
        !name.isEmpty
            && name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                !label.isEmpty
                    && label.utf8.allSatisfy {
                        $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || (0x30...0x39).contains($0)
                            || (0x61...0x7A).contains($0)
                    }
            }
    }

    func identity(of host: String?) -> NIOSSLContextConfigurationOverride? {
        guard let host = host?.lowercased() else { return nil }
        if let identity = self.exact[host] { return identity }
        guard let dot = host.firstIndex(of: ".") else { return nil }
        return self.below[String(host[host.index(after: dot)...])]
    }
}
