// The defaults of an extension, and the limits of its power over a handshake (KHP-E11, KHP-E14; threats A7, A10).

import HTTPTypes
import KHPProtocol
import KHPTesting
import NIOCore
import Synchronization
import Testing

private struct Plain: WebSocketExtension {
    let name = "x-plain"
}

private struct Levelled: WebSocketExtension {
    let name = "x-levelled"

    func offers() -> [ExtensionParameters] { [["level": "2"], ["level": "1", "safe": nil]] }
}

/// Known to this client, and not asked for.
private struct Silent: WebSocketExtension {
    let name = "x-silent"

    func offers() -> [ExtensionParameters] { [] }
    func judge(_ answer: ExtensionParameters) -> Bool { true }
}

/// Answers with what is no token.
private struct Injecting: WebSocketExtension {
    let name = "x-inject"
    let answer: ExtensionParameters

    func accept(_ offer: ExtensionParameters) -> ExtensionParameters? { self.answer }
}

/// Both ends give half of the key that messages are changed with.
private struct Agreeing: WebSocketExtension {
    let name = "x-agree"
    var half: UInt8 = 0

    static let next = Mutex<UInt8>(0)

    func forConnection(_ role: Role) -> any WebSocketExtension {
        Agreeing(
            half: Self.next.withLock { next in
                next &+= 1; return next
            }
        )
    }

    func offer() -> ExtensionParameters { ["client": String(self.half)] }

    func accept(_ offer: ExtensionParameters) -> ExtensionParameters? {
        offer["client"].map { ["client": $0, "server": String(self.half)] }
    }

    func judge(_ answer: ExtensionParameters) -> Bool {
        answer["client"] == String(self.half) && answer["server"].flatMap { UInt8($0) } != nil
    }

    func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? {
        let halves = ["client", "server"].compactMap { parameters[$0].flatMap { UInt8($0) } }
        return Transform(key: halves.reduce(0) { $0 &* 16 &+ $1 })
    }

    struct Transform: MessageTransform {
        let key: UInt8

        func inbound(_ message: WebSocketMessage) -> WebSocketMessage? { self.changed(message) }
        func outbound(_ message: WebSocketMessage) -> WebSocketMessage? { self.changed(message) }

        private func changed(_ message: WebSocketMessage) -> WebSocketMessage {
            guard case .binary(let bytes) = message else { return message }
            return .binary(ByteBuffer(bytes: bytes.readableBytesView.map { $0 ^ self.key }))
        }
    }
}

@Suite("Extensions by default")
struct ExtensionDefaultsTests {
    @Test(
        "a server accepts what it would ask for itself, and nothing else",
        arguments: [
            ("x-plain", "x-plain"), ("x-plain; level=1", nil), ("x-plain; flag, x-plain", "x-plain"),
            ("x-levelled; level=2", "x-levelled; level=2"), ("x-levelled", nil), ("x-levelled; level=3", nil),
            ("x-levelled; level=9, x-levelled; level=1; safe", "x-levelled; level=1; safe"),
        ] as [(String, String?)]
    )
    func server(offer: String, answer: String?) throws {
        #expect(try WirePeer.server([Plain(), Levelled()], offer: offer).extensionsField == answer)
    }

    @Test(
        "a client takes what it asked for, and fails on anything else",
        arguments: [
            ("x-plain", true), ("x-plain; level=1", false), ("x-levelled; level=2", true),
            ("x-levelled; level=1; safe", true), ("x-levelled", false), ("x-levelled; level=1", false),
            ("x-levelled; level=2; safe", false), ("x-levelled; level=2; level=2", false), ("x-silent", false),
        ]
    )
    func client(answer: String, isGood: Bool) throws {
        let peer = try WirePeer.client([Plain(), Levelled(), Silent()], answer: answer)
        #expect(peer.extensionsField == "x-plain, x-levelled; level=2, x-levelled; level=1; safe")
        #expect((peer.negotiated != nil) == isGood)
        #expect(peer.failure?.code == (isGood ? nil : .openingInvalid))
    }

    @Test("what is named and not known may have any parameters")
    func named() throws {
        let peer = try WirePeer.client([NamedExtension("x-other")], answer: "x-other; level=7")
        #expect(peer.negotiated?.extensions.map(\.description) == ["x-other; level=7"])
    }

    @Test(
        "an answer that is not made of tokens is never written: 500 in either handshake",
        arguments: [
            ["level": "1\r\nSet-Cookie: a=b"], ["level": "1, x-other"], ["level": ""], ["a b": nil], ["": nil],
            ["a;b": nil], ["\u{E4}": nil],
        ] as [ExtensionParameters],
        [ExtendedHandshakePolicy.off, .required]
    )
    func injection(answer: ExtensionParameters, policy: ExtendedHandshakePolicy) throws {
        let pipe = try ConnectionPipe(
            client: .init(extensions: [NamedExtension("x-inject")], extendedHandshake: policy),
            server: .init(extensions: [Injecting(answer: answer)])
        )
        let error = #expect(throws: WebSocketError.self) { try pipe.open() }
        #expect(error?.response?.status == 500)
        #expect(error?.response?.headers[.setCookie] == nil)
    }

    @Test("each connection negotiates with values of its own", arguments: [ExtendedHandshakePolicy.off, .required])
    func perConnection(policy: ExtendedHandshakePolicy) throws {
        let shared = Agreeing()
        var answers = Set<String>()
        for _ in 0..<3 {
            let pipe = try ConnectionPipe(
                client: .init(extensions: [shared], extendedHandshake: policy),
                server: .init(extensions: [shared])
            )
            let agreed = try pipe.open()
            #expect(agreed.client.extensions.count == 1)
            #expect(agreed.client.extensions == agreed.server.extensions)
            answers.insert(agreed.client.extensions.map(\.description).joined())
            let message = WebSocketMessage.binary(ByteBuffer(bytes: [1, 2, 3]))
            try pipe.send(message, from: .client)
            try pipe.send(message, from: .server)
            #expect(pipe.takeMessages(at: .server) == [message])
            #expect(pipe.takeMessages(at: .client) == [message])
        }
        #expect(answers.count == 3)
    }
}
