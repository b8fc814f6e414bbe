// The code of the page on servers that change while they run, kept compiling. scripts/check-docs.py holds the page
// against it.

import KHPServer
import NIOSSL
import ServiceLifecycle

func replaced(_ server: WebSocketServer) throws {
    try server.replaceEndpoints {
        Endpoint("/orders") { socket in
            for try await message in socket.messages {
                try await socket.send(message)
            }
        }
        Endpoint("/moved/{rest...}") { _ in .redirect(to: "/orders") }
    }
}

func listeners(
    _ mount: WebSocketMount,
    _ tls: TLSConfiguration
) -> [any Service] {
    var inside = WebSocketListener.Configuration(
        address: .unixDomainSocket(path: "/run/orders.sock")
    )
    inside.name = "inside"
    var outside = WebSocketListener.Configuration(
        address: .hostname("0.0.0.0", port: 8443)
    )
    outside.name = "outside"
    outside.tls = tls
    outside.connections = 5000
    let services: [any Service] = [
        mount,
        WebSocketListener(configuration: inside, mount: mount),
        WebSocketListener(configuration: outside, mount: mount),
    ]
    return services
}

func behindByteProxy() -> WebSocketListener.Configuration {
    var configuration = WebSocketListener.Configuration(
        address: .hostname("0.0.0.0", port: 8443)
    )
    configuration.proxyProtocol = .required(from: ["10.0.0.0/8"])
    return configuration
}

func certificates(
    _ server: WebSocketServer,
    _ directory: String
) throws {
    let chain = try NIOSSLCertificate.fromPEMFile("\(directory)/server.pem")
    let key = try NIOSSLPrivateKey(
        file: "\(directory)/server.key",
        format: .pem
    )
    try server.replaceTLS(
        .makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(key)
        )
    )
}

func byHost(
    _ configuration: inout WebSocketServer.Configuration,
    chain: [NIOSSLCertificate],
    key: NIOSSLPrivateKey
) {
    configuration.tlsHosts["*.example.com"] = .init(
        certificateChain: chain,
        privateKey: key
    )
}

func withPassphrase(
    _ file: String,
    _ passphrase: @escaping @Sendable () -> String
) throws -> NIOSSLPrivateKey {
    try NIOSSLPrivateKey(file: file, format: .pem) { setPassphrase in
        setPassphrase(passphrase().utf8)
    }
}

func spreadDrain(_ configuration: inout WebSocketServer.Configuration) {
    configuration.drainDuration = .seconds(30)
}
