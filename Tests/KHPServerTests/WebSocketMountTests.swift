// A mount's own bounds, and the channels that it cannot set up, over channels in memory.

import HTTPTypes
import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOEmbedded
import Synchronization
import TestSupport
import Testing

@testable import KHPServer

@Suite("A mount, and the channels that it is given") struct WebSocketMountTests {
    private struct Broken: Error {}

    /// The outcome of a future that is there once its loop has run: `""` for one that has succeeded, `nil` for none.
    private static func outcome<Value>(_ future: EventLoopFuture<Value>, _ channel: EmbeddedChannel) -> String? {
        var outcome: String?
        future.assumeIsolated().whenComplete { result in
            switch result {
            case .success: outcome = ""
            case .failure(let error as WebSocketError): outcome = "\(error.code)"
            case .failure(let error): outcome = "\(error)"
            }
        }
        channel.embeddedEventLoop.run()
        return outcome
    }

    @Test("it takes one connection at least", arguments: [-1, 0, 1])
    func oneConnection(_ count: Int) throws {
        let mount = try WebSocketMount { echo() }
        if count > 0 { return try mount.replaceConnections(count) }
        let error = #expect(throws: WebSocketError.self) { try mount.replaceConnections(count) }
        #expect(error?.code == .invalidArgument)
    }

    @Test(
        "a head that cannot stand in HTTP/1.1 is not taken over, and nothing is done",
        arguments: ["", "/a b", "/\r\nX: y", "/\u{7F}b", "/\0b"]
    )
    func unusableHead(path: String) throws {
        let mount = try WebSocketMount { echo() }
        let channel = try EmbeddedChannel.connected([])
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
        let head = HTTPRequest(method: .get, scheme: nil, authority: "a", path: path)
        #expect(Self.outcome(mount.takeOver(channel, after: head), channel) == "\(WebSocketError.Code.invalidArgument)")
        #expect(try channel.written() == "")
        #expect(mount.connections == 0)
    }

    @Test("connections that have had their time are cut at once")
    func cut() throws {
        let mount = try WebSocketMount { echo() }
        let channel = try EmbeddedChannel.connected([])
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
        #expect(Self.outcome(mount.accept(channel), channel) == "")
        #expect(channel.isActive)
        mount.cut()
        channel.embeddedEventLoop.run()
        #expect(!channel.isActive)
    }

    @Test("a head that can is answered here, with what came behind it")
    func usableHead() throws {
        let mount = try WebSocketMount { echo() }
        let channel = try EmbeddedChannel.connected([MemoryWire()])
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
        let head = HTTPRequest(method: .get, scheme: nil, authority: "a", path: "/~")
        #expect(Self.outcome(mount.takeOver(channel, after: head), channel) == "")
        #expect(try channel.written().hasPrefix("HTTP/1.1 404 "))
    }

    @Test("a channel that cannot be set up fails at once, and is closed")
    func unusableChannel() throws {
        var configuration = WebSocketMount.Configuration()
        configuration.hooks = ShellHooks(prepare: { _ in throw Broken() })
        let mount = try WebSocketMount(configuration: configuration, endpoints: [echo()])
        let alone = try EmbeddedChannel.connected([])
        #expect(Self.outcome(mount.accept(alone), alone) == "\(ChannelError.alreadyClosed)")
        #expect(!alone.isActive && mount.connections == 0)
        let shared = try EmbeddedChannel.connected([])
        let accepted = mount.accept(shared) { $0.eventLoop.makeSucceededVoidFuture() }
        #expect(Self.outcome(accepted, shared) == "\(ChannelError.alreadyClosed)")
        #expect(!shared.isActive && mount.connections == 0)
    }

    @Test(
        "a connection that is theirs for want of room keeps what comes until their pipeline is there",
        arguments: [WebSocketMount.Sharing.everyRequest, .firstRequest]
    )
    func noRoom(sharing: WebSocketMount.Sharing) throws {
        var configuration = WebSocketMount.Configuration()
        configuration.limits.pendingHandshakes = 1
        let state = try ServerState(configuration: configuration, endpoints: [echo()])
        #expect(state.enter(nil) != nil)
        let channel = try EmbeddedChannel.connected([])
        let ready = channel.eventLoop.makePromise(of: Void.self)
        let port = SharedPort(sharing, .none) { _ in
            ready.futureResult
        } isOwn: {
        }
        #expect(state.setUp(channel, .none, tls: nil, port: port))
        let get = "GET /page HTTP/1.1\r\nHost: h\r\n\r\n"
        try channel.receive(get)
        let host = MemoryHost()
        try channel.pipeline.syncOperations.addHandler(host)
        ready.succeed()
        channel.embeddedEventLoop.run()
        #expect(host.told() == [get, "complete"])
    }

    @Test("a connection that is theirs for want of room ends where their pipeline cannot be set up")
    func noRoomAndNoPipeline() throws {
        var configuration = WebSocketMount.Configuration()
        configuration.limits.pendingHandshakes = 1
        let state = try ServerState(configuration: configuration, endpoints: [echo()])
        #expect(state.enter(nil) != nil)
        let channel = try EmbeddedChannel.connected([])
        let port = SharedPort(.everyRequest, .none) {
            $0.eventLoop.makeFailedFuture(Broken())
        } isOwn: {
        }
        #expect(state.setUp(channel, .none, tls: nil, port: port))
        channel.embeddedEventLoop.run()
        #expect(!channel.isActive)
    }

    @Test("for a channel that has closed, and has no room, nothing of theirs is set up")
    func closedChannel() throws {
        var configuration = WebSocketMount.Configuration()
        configuration.limits.connections = 1
        configuration.limits.pendingHandshakes = 1
        let state = try ServerState(configuration: configuration, endpoints: [echo()])
        #expect(state.enter(nil) != nil)
        for sharing in [WebSocketMount.Sharing.everyRequest, .firstRequest] {
            let channel = try EmbeddedChannel.connected([])
            channel.close(promise: nil)
            channel.embeddedEventLoop.run()
            let calls = Atomic(0)
            let port = SharedPort(sharing, .none) { channel in
                calls.add(1, ordering: .relaxed)
                return channel.eventLoop.makeSucceededVoidFuture()
            } isOwn: {
            }
            #expect(!state.setUp(channel, .none, tls: nil, port: port))
            #expect(calls.load(ordering: .relaxed) == 0)
            #expect(!state.setUp(channel, .none, tls: nil))
        }
        let open = try EmbeddedChannel.connected([MemoryWire()])
        defer { _ = try? open.finish(acceptAlreadyClosed: true) }
        #expect(state.setUp(open, .none, tls: nil))
        open.pipeline.fireChannelActive()
        open.embeddedEventLoop.run()
        #expect(try open.written().hasPrefix("HTTP/1.1 503 "))
    }
}
