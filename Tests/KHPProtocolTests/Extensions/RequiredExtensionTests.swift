// Extensions that a client cannot do without (RFC 6455 section 7.4.1, close code 1010).

import KHPProtocol
import KHPTesting
import NIOCore
import Testing

@Suite("Required extensions")
struct RequiredExtensionTests {
    private static let asked: [any WebSocketExtension] = [
        NamedExtension("x-a"), NamedExtension("x-b"), PerMessageDeflate(),
    ]

    private static func pipe(
        requires names: Set<String>,
        from server: [any WebSocketExtension],
        extended: ExtendedHandshakePolicy
    ) throws -> ConnectionPipe {
        var client = ConnectionPipe.Client(extensions: Self.asked, extendedHandshake: extended)
        client.requiredExtensions = names
        return try ConnectionPipe(client: client, server: .init(extensions: server))
    }

    @Test("the socket opens where all of them are agreed on", arguments: [ExtendedHandshakePolicy.off, .required])
    func agreed(extended: ExtendedHandshakePolicy) throws {
        let server: [any WebSocketExtension] = [NamedExtension("x-b"), PerMessageDeflate()]
        let pipe = try Self.pipe(requires: ["x-b", "permessage-deflate"], from: server, extended: extended)
        #expect(try pipe.open().client.extensions.map(\.name) == ["x-b", "permessage-deflate"])
    }

    @Test("agreed on in one handshake each is agreed on")
    func inEither() throws {
        struct Early: WebSocketExtension {
            let name = "x-a"
            let layers: Set<HandshakeLayer> = [.opening]
        }
        var client = ConnectionPipe.Client(extensions: [Early(), PerMessageDeflate()], extendedHandshake: .required)
        client.requiredExtensions = ["x-a", "permessage-deflate"]
        let pipe = try ConnectionPipe(client: client, server: .init(extensions: [Early(), PerMessageDeflate()]))
        #expect(try pipe.open().client.extensions.map(\.layer) == [.opening, .extended])
    }

    @Test(
        "where one is missing the connect fails, and the server hears 1010 and which",
        arguments: [(ExtendedHandshakePolicy.off, WebSocketError.Phase.opening), (.required, .extended)]
    )
    func missing(extended: ExtendedHandshakePolicy, phase: WebSocketError.Phase) throws {
        let names: Set<String> = ["x-b", "x-a", "permessage-deflate"]
        let pipe = try Self.pipe(requires: names, from: [NamedExtension("x-b")], extended: extended)
        let error = #expect(throws: WebSocketError.self) { try pipe.open() }
        #expect(error?.code == .extensionRequired)
        #expect(error?.phase == phase)
        #expect(error?.closeCode == .mandatoryExtension)
        #expect(error?.response?.status == 101)
        #expect(error?.message == "The server did not agree on x-a, permessage-deflate, which this connect requires.")
        let end = pipe.closeInfo(at: .server)
        #expect(end?.code == .mandatoryExtension)
        #expect(end?.reason == "x-a, permessage-deflate")
        #expect(end?.initiator == .peer && end?.clean == true)
    }

    @Test("what is required has to be asked for")
    func notAsked() throws {
        let error = #expect(throws: WebSocketError.self) {
            try Self.pipe(requires: ["x-c"], from: [], extended: .off)
        }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("x-c") == true)
    }

    @Test("a dialect without reserved bits cannot have what needs them")
    func dialect() throws {
        var client = ConnectionPipe.Client(extensions: Self.asked)
        client.dialect = .hixie76
        client.requiredExtensions = ["permessage-deflate"]
        let pipe = try ConnectionPipe(client: client, server: .init(extensions: Self.asked))
        #expect(throws: WebSocketError.self) { try pipe.open() }
        client.requiredExtensions = ["x-a"]
        let other = try ConnectionPipe(client: client, server: .init(extensions: Self.asked))
        #expect(try other.open().client.extensions.map(\.name) == ["x-a", "x-b"])
    }
}
