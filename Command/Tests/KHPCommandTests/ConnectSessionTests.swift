// The course of `khp connect` over its sockets: how it ends, when it connects again, and what an interrupt does.

import Foundation
import KHPClient
import Synchronization
import Testing

@testable import KHPCommand

/// Sockets in a given order, each connected to once the one before has ended.
private struct ScriptedSockets: SocketSource {
    let sockets: [ScriptedSocket]
    var failure: WebSocketError?
    var offersExtendedHandshake: Bool { true }

    func withConnection(
        to url: String,
        subprotocols: [String],
        _ body: (ScriptedSocket) async throws -> Void
    ) async throws {
        if let failure { throw failure }
        for socket in self.sockets.prefix(1) { try await body(socket) }
    }

    func withReconnection(
        to url: String,
        subprotocols: [String],
        policy: ReconnectPolicy,
        _ body: (ScriptedSocket) async throws -> Void
    ) async throws {
        for socket in self.sockets { try await body(socket) }
    }
}

@Suite(.timeLimit(.minutes(1)))
struct ConnectSessionTests {
    private let recording = RecordingConsole()
    private let clock = ManualTime()

    private func session(
        _ sockets: ScriptedSockets,
        sending texts: [String] = [],
        count: Int? = nil,
        listens: Bool = false,
        reconnects: Bool = false,
        in surroundings: Surroundings
    ) -> ConnectSession<ScriptedSockets> {
        ConnectSession(
            url: "ws://desk.example/",
            subprotocols: [],
            sockets: sockets,
            source: .list(OutgoingSource.Pending(texts.map { .text($0) })),
            count: count,
            listens: listens,
            timeout: .seconds(30),
            reconnects: reconnects,
            watcher: Watcher(console: surroundings.console, json: false, isInteractive: false),
            surroundings: surroundings,
            time: self.clock.time
        )
    }

    private func lost() -> CloseInfo {
        let error = WebSocketError(.connectFailed, "The connection was lost.", phase: .open)
        return CloseInfo(code: .abnormal, reason: "", clean: false, initiator: .peer, error: error)
    }

    private func closed(_ code: UInt16) -> CloseInfo {
        CloseInfo(code: WebSocketCloseCode(rawValue: code), reason: "", clean: true, initiator: .peer)
    }

    @Test(
        "the peer's code decides how the command ends",
        arguments: [(1000, nil), (1001, nil), (1011, Ending.closedOtherwise)] as [(UInt16, Ending?)]
    )
    func ends(code: UInt16, ending: Ending?) async throws {
        let socket = try ScriptedSocket()
        let surroundings = Surroundings.alone(console: self.recording.console)
        let session = self.session(ScriptedSockets(sockets: [socket]), listens: true, in: surroundings)
        socket.end(self.closed(code))
        do {
            try await session.run()
            #expect(ending == nil)
        } catch let failure as CommandFailure {
            #expect(failure.status == ending)
        }
        #expect(self.recording.texts == ["closed \(code)"])
    }

    @Test("a connect that fails ends the command with the URL and the library's reason")
    func failure() async throws {
        let error = WebSocketError(.connectFailed, "Nobody listens there.")
        let sockets = ScriptedSockets(sockets: [], failure: error)
        let session = self.session(sockets, in: .alone(console: self.recording.console))
        let failure = await #expect(throws: CommandFailure.self) { try await session.run() }
        #expect(failure?.status == .connectFailed)
        #expect(failure?.url == "ws://desk.example/")
    }

    @Test("fewer messages than --count wants are a failure, also when the connection closed well")
    func missing() async throws {
        let socket = try ScriptedSocket()
        let session = self.session(
            ScriptedSockets(sockets: [socket]),
            count: 2,
            in: .alone(console: self.recording.console)
        )
        socket.end(self.closed(1000))
        let failure = await #expect(throws: CommandFailure.self) { try await session.run() }
        #expect(failure?.status == .timeout)
        #expect(failure?.sentence.contains("0 of 2 messages") == true)
    }

    @Test("--reconnect: a lost connection is followed by another one, a close in order by none")
    func reconnecting() async throws {
        let sockets = try [ScriptedSocket(), ScriptedSocket(), ScriptedSocket()]
        let surroundings = Surroundings.alone(console: self.recording.console)
        let session = self.session(
            ScriptedSockets(sockets: sockets),
            sending: ["a"],
            listens: true,
            reconnects: true,
            in: surroundings
        )
        let running = Task { try await session.run() }
        await sockets[0].sends.wait(for: 1)
        sockets[0].end(self.lost())
        await sockets[1].deliver("back")
        sockets[1].end(self.closed(4001))
        await #expect(throws: CommandFailure.self) { try await running.value }
        // The message that was sent is not sent again, and the third was never connected to.
        #expect(sockets[1].sent.isEmpty)
        #expect(self.recording.texts == ["closed 1006", "message back", "closed 4001"])
    }

    @Test("--reconnect: messages that a closing socket did not take are sent on the next connection, in order")
    func putBack() async throws {
        let sockets = try [ScriptedSocket(), ScriptedSocket(), ScriptedSocket()]
        sockets[0].end(self.closed(1012))
        sockets[1].refuse(WebSocketError(.closed, "The peer is closing."))
        sockets[1].end(self.closed(1012))
        let session = self.session(
            ScriptedSockets(sockets: sockets),
            sending: ["a", "b"],
            listens: true,
            reconnects: true,
            in: .alone(console: self.recording.console)
        )
        let running = Task { try await session.run() }
        await sockets[2].sends.wait(for: 2)
        sockets[2].end(self.closed(1000))
        try await running.value
        #expect(sockets.map(\.sent) == [[], [], [.text("a"), .text("b")]])
    }

    @Test(
        "--reconnect: nothing follows the last message that --count wants, however its connection closes",
        arguments: [(1001, nil), (1012, Ending.closedOtherwise)] as [(UInt16, Ending?)]
    )
    func counted(code: UInt16, ending: Ending?) async throws {
        let sockets = try [ScriptedSocket(), ScriptedSocket(), ScriptedSocket()]
        for (socket, text) in zip(sockets, ["one", "two", "three"]) {
            socket.deliverLast(text)
            socket.end(self.closed(code))
        }
        let session = self.session(
            ScriptedSockets(sockets: sockets),
            count: 2,
            reconnects: true,
            in: .alone(console: self.recording.console)
        )
        do {
            try await session.run()
            #expect(ending == nil)
        } catch let failure as CommandFailure {
            #expect(failure.status == ending)
        }
        #expect(
            self.recording.texts == ["message one", "closed \(code)", "message two", "closed \(code)"],
            "\(self.recording.texts)"
        )
    }

    @Test("SIGINT closes the open socket with 1001, and the command ends well")
    func interrupt() async throws {
        let socket = try ScriptedSocket()
        let surroundings = Surroundings.alone(console: self.recording.console)
        let session = self.session(ScriptedSockets(sockets: [socket]), listens: true, in: surroundings)
        async let end: Void = session.run()
        await socket.deliver("news")
        surroundings.shutdown.received(SIGINT)
        try await end
        #expect(socket.end?.code == .goingAway)
        #expect(self.recording.texts == ["message news", "closed 1001"])
    }
}
