// How an extension is tested: a client and a server joined in memory, without sockets, tasks or waiting.

import KHPProtocol
import KHPTesting
import Testing

@testable import ExampleCustomExtension

@Suite struct NumberingTests {
    @Test func applicationsSeeNoNumbers() throws {
        let pipe = try ConnectionPipe(
            client: .init(extensions: [Numbering(from: 100)]),
            server: .init(extensions: [Numbering()])
        )
        let agreed = try pipe.open().server.extensions
        #expect(agreed.map(\.description) == ["x-number; from=100"])
        #expect(agreed.map(\.layer) == [.extended])

        try pipe.send(.text("hello"), from: .client)
        #expect(pipe.takeMessages(at: .server) == [.text("hello")])
    }

    @Test func anOfferWithoutANumberIsDeclined() throws {
        let pipe = try ConnectionPipe(
            client: .init(extensions: [NamedExtension("x-number")]),
            server: .init(extensions: [Numbering()])
        )
        #expect(try pipe.open().client.extensions.isEmpty)
    }

    @Test func aMessageWithoutItsNumberEndsTheConnection() throws {
        // This client agrees on the extension and then does nothing about it.
        let silent = NamedExtension("x-number", parameters: ["from": "1"])
        let pipe = try ConnectionPipe(client: .init(extensions: [silent]), server: .init(extensions: [Numbering()]))
        _ = try pipe.open()
        try pipe.send(.text("hello"), from: .client)
        #expect(pipe.takeMessages(at: .server).isEmpty)
        #expect(pipe.closeInfo(at: .client)?.code == .internalError)
    }
}
