// The life of one open socket of `khp connect`: when it closes, and why. Time passes as the test says.

import KHPClient
import Testing

@testable import KHPCommand

@Suite(.timeLimit(.minutes(1)))
struct ConversationTests {
    private let socket: ScriptedSocket
    private let clock = ManualTime()
    private let recording = RecordingConsole()

    init() throws {
        self.socket = try ScriptedSocket()
    }

    private func conversation(
        _ source: OutgoingSource,
        count: Int? = nil,
        listens: Bool = false,
        prompt: Prompt = Prompt()
    ) -> Conversation<ScriptedSocket> {
        Conversation(
            socket: self.socket,
            source: source,
            reception: Reception(count: count),
            prompt: prompt,
            listens: listens,
            timeout: .seconds(30),
            console: self.recording.console,
            time: self.clock.time
        )
    }

    private func list(_ texts: String...) -> OutgoingSource { .list(OutgoingSource.Pending(texts.map { .text($0) })) }

    private func lines(_ lines: String..., isInteractive: Bool = true) -> OutgoingSource {
        let queue = InputQueue()
        for line in lines { queue.put(.success(line)) }
        queue.end()
        return .lines(queue, isInteractive: isInteractive)
    }

    @Test("a line that the socket does not take is the next one of the queue again", arguments: [false, true])
    func putBack(isInteractive: Bool) async throws {
        let queue = InputQueue()
        for line in ["a", "b"] { queue.put(.success(line)) }
        queue.end()
        self.socket.end(CloseInfo(code: .serviceRestart, reason: "", clean: true, initiator: .peer))
        _ = try await self.conversation(.lines(queue, isInteractive: isInteractive)).run()
        #expect(try await queue.next() == "a")
        #expect(try await queue.next() == "b")
        #expect(try await queue.next() == nil)
    }

    @Test("after the last message it closes once nothing has come for a while")
    func quiet() async throws {
        let conversation = self.conversation(self.list("a", "b"))
        async let end = conversation.run()
        await self.clock.sleeps.wait(for: 1)
        #expect(self.socket.sent == [.text("a"), .text("b")])
        self.clock.advance(to: .milliseconds(60))
        await self.socket.deliver("answer")
        // A hundred milliseconds after the end, and forty after the answer.
        #expect(self.clock.advance(to: .milliseconds(100)) == 1)
        await self.clock.sleeps.wait(for: 2)
        #expect(self.socket.end == nil)
        #expect(self.clock.advance(to: .milliseconds(159)) == 0)
        self.clock.advance(to: .milliseconds(160))
        let ended = try await end
        #expect(ended.code == .normalClosure)
        #expect(self.recording.texts == ["message answer"])
    }

    @Test("a server that never stops talking is heard out for two seconds")
    func talkative() async throws {
        let conversation = self.conversation(self.lines("a", isInteractive: false))
        async let end = conversation.run()
        var due = Duration.milliseconds(100)
        for sleeps in 1... {
            await self.clock.sleeps.wait(for: sleeps)
            self.clock.advance(to: due - .milliseconds(40))
            await self.socket.deliver("tick")
            #expect(self.socket.end == nil)
            #expect(self.clock.advance(to: due) == 1)
            if due >= .seconds(2) { break }
            // A hundred milliseconds after what came last.
            due += .milliseconds(60)
        }
        let ended = try await end
        #expect(ended.clean)
        #expect(due < .milliseconds(2060))
    }

    @Test("--count: closes after the last one wanted")
    func count() async throws {
        let conversation = self.conversation(self.list("a"), count: 2)
        async let end = conversation.run()
        await self.socket.sends.wait(for: 1)
        await self.socket.deliver("1")
        self.socket.deliverLast("2")
        let ended = try await end
        #expect(ended.code == .normalClosure)
        #expect(self.recording.texts == ["message 1", "message 2"])
    }

    @Test("--count: too few in time are a failure that tells how many came")
    func tooFew() async throws {
        let conversation = self.conversation(self.list(), count: 3)
        async let end = conversation.run()
        await self.clock.sleeps.wait(for: 1)
        await self.socket.deliver("1")
        await self.socket.deliver("2")
        self.clock.advance(to: .seconds(30))
        do {
            _ = try await end
            Issue.record("it ended well")
        } catch let failure as CommandFailure {
            #expect(failure.status == .timeout)
            #expect(failure.sentence.hasPrefix("only 2 of 3 messages came within 30.0 s"))
        }
        #expect(self.socket.end != nil)
        #expect(self.recording.texts.last == "closed 1000")
    }

    @Test("--count: what comes while it closes, behind the time, is not counted")
    func lateOnes() async throws {
        let conversation = self.conversation(self.list(), count: 2)
        async let end = conversation.run()
        await self.clock.sleeps.wait(for: 1)
        await self.socket.deliver("1")
        let socket = self.socket
        socket.onClose {
            socket.deliverLast("2")
            // It closes by itself then.
            while socket.end == nil { await Task.yield() }
        }
        self.clock.advance(to: .seconds(30))
        let failure: CommandFailure?
        do {
            _ = try await end
            failure = nil
        } catch {
            failure = error as? CommandFailure
        }
        #expect(failure?.sentence.hasPrefix("only 1 of 2 messages came within 30.0 s") ?? false)
    }

    @Test("a message that cannot be sent closes the socket, and is a mistake in what was typed")
    func mistake() async throws {
        self.socket.refuse(WebSocketError(.invalidArgument, "hixie-75 has no binary messages."))
        let failure = await #expect(throws: CommandFailure.self) { try await self.conversation(self.list("a")).run() }
        #expect(failure?.status == .usage)
        #expect(self.socket.end?.code == .normalClosure)
    }

    @Test("--listen: the end of input closes nothing, the peer does")
    func listening() async throws {
        let conversation = self.conversation(self.list("a"), listens: true)
        async let end = conversation.run()
        await self.socket.sends.wait(for: 1)
        await self.socket.deliver("news")
        self.socket.end(CloseInfo(code: .goingAway, reason: "", clean: true, initiator: .peer))
        let ended = try await end
        #expect(ended.initiator == .peer)
        #expect(self.clock.sleeps.count == 0)
    }

    @Test("at the prompt: slash words are commands, two slashes are text, /close closes as it is told")
    func prompt() async throws {
        let prompt = Prompt()
        let source = self.lines("hello", "//help", "/ping", "/other", "/close 4000 bye", "unsent")
        let end = try await self.conversation(source, prompt: prompt).run()
        #expect(self.socket.sent == [.text("hello"), .text("/help"), .text("/other")])
        #expect(self.socket.pings == 1)
        #expect(end.code?.rawValue == 4000)
        #expect(end.reason == "bye")
        #expect(prompt.hasClosed)
        let notes = self.recording.texts
        #expect(notes.contains { $0.hasPrefix("note pong after 3") }, "\(notes)")
        #expect(notes.contains("note " + InteractiveCommand.unknownHint))
    }

    @Test("at the prompt: a pong that does not come holds up no line, and no end")
    func silentPing() async throws {
        self.socket.holdPongs()
        let end = try await self.conversation(self.lines("/ping", "hello", "/close")).run()
        #expect(self.socket.pings == 1)
        #expect(self.socket.sent == [.text("hello")])
        #expect(end.code == .normalClosure)
    }
}
