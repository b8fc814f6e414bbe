// The handle of a connection that is being opened, over a channel whose time is a test's.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOEmbedded
import Testing

@testable import KHPClient

@Suite("The handle of a connection that is being opened", .timeLimit(.minutes(1))) struct HopTests {
    private final class Nobody: ConnectionDelegate {
        func connected(_ handler: ConnectionHandler) {}
        func perform(_ action: ConnectionAction, on handler: ConnectionHandler) {}
    }

    @Test("a peer that does not answer our close frame is waited for for a second")
    func close() async throws {
        let channel = NIOAsyncTestingChannel()
        let loop = channel.testingEventLoop
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1))
        let place = HopPlace()
        try await loop.executeInContext {
            place.handler = ConnectionHandler(
                connection: Connection(server: ConnectionConfiguration(), isSecure: false, now: .now()),
                delegate: Nobody(),
                eventLoop: channel.eventLoop,
                transport: .socket
            )
        }
        let permit = try #require(await ConnectGate().permit(for: [], until: .distantFuture, on: loop))
        let steps = AsyncStream<ClientSession.Step> { $0.finish() }
        try await Hop(place, on: channel, steps: steps, permit: permit).close(.normalClosure)
        await loop.advanceTime(by: .milliseconds(999))
        #expect(channel.isActive)
        await loop.advanceTime(by: .milliseconds(1))
        #expect(!channel.isActive)
    }

    @Test("a hop that found no place on a shared connection leaves it to the others, and one with a stream ends that")
    func shared() async throws {
        let channel = NIOAsyncTestingChannel()
        let loop = channel.testingEventLoop
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
        try await channel.connect(to: address)
        let stream = NIOAsyncTestingChannel(loop: loop)
        try await stream.connect(to: address)
        let place = HopPlace()
        let permit = try #require(await ConnectGate().permit(for: [], until: .distantFuture, on: loop))
        let steps = AsyncStream<ClientSession.Step> { $0.finish() }
        let hop = Hop(place, on: channel, steps: steps, permit: permit)
        try await loop.executeInContext { place.isShared = true }
        hop.endsWithin(.seconds(1))
        await loop.advanceTime(by: .seconds(2))
        #expect(channel.isActive && stream.isActive)
        try await loop.executeInContext { place.stream = stream }
        hop.endsWithin(.seconds(1))
        await loop.advanceTime(by: .seconds(2))
        #expect(channel.isActive && !stream.isActive)
        permit.giveBack()
        try await channel.close()
    }
}
