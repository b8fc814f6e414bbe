import ArgumentParser
import Foundation
import Synchronization
import Testing

@testable import KHPCommand

/// The ways to end, without a process.
@Suite(.timeLimit(.minutes(1)))
struct ShutdownTests {
    @Test("what was registered is undone once, the last first; one that is not whole is told of")
    func undoing() {
        let shutdown = Surroundings.alone().shutdown
        let done = Mutex<[String]>([])
        shutdown.register { isUrgent in
            done.withLock { $0.append("first \(isUrgent)") }
            return false
        }
        shutdown.register { isUrgent in
            done.withLock { $0.append("second \(isUrgent)") }
            return true
        }
        #expect(!shutdown.undoAll(isUrgent: true))
        #expect(shutdown.undoAll(isUrgent: false))
        #expect(done.withLock { $0 } == ["second true", "first true"])
    }

    @Test("the first signal comes out of the sequence")
    func signals() async {
        let shutdown = Surroundings.alone().shutdown
        let signals = shutdown.signals()
        shutdown.received(15)
        var numbers = signals.makeAsyncIterator()
        #expect(await numbers.next() == 15)
    }

    @Test("an interrupt ends the stage that the command is in, and the next one at once")
    func stages() async {
        let ended = Mutex<[String]>([])
        @Sendable func note(_ text: String) { ended.withLock { $0.append(text) } }
        let interruption = Interruption()
        interruption.enter(.connecting { note("connect") })
        await interruption.closing({ note("close") }) {
            interruption.interrupt(.signal(2))
            interruption.interrupt(.signal(15))
        }
        // Back in the stage before, which there is reason to end.
        #expect(ended.withLock { $0 } == ["close", "close", "connect"])
        #expect(interruption.cause == .signal(2))
    }

    @Test("an interrupt cancels a connect; so does the caller")
    func cancelling() async throws {
        for byCaller in [false, true] {
            let interruption = Interruption()
            let (begun, begin) = AsyncStream.makeStream(of: Void.self)
            let task = Task {
                try await interruption.cancelling {
                    begin.finish()
                    try await Task.sleep(for: .seconds(60))
                }
            }
            for await _ in begun {}
            if byCaller { task.cancel() } else { interruption.interrupt(.signal(2)) }
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }
}

/// The table of endings.
struct EndingTests {
    @Test("the help of a command lists its endings, each with its number", arguments: Ending.Command.allCases)
    func help(_ command: Ending.Command) {
        let lines = Ending.help(for: command).split(separator: "\n").map(String.init)
        let numbers = lines.dropFirst().compactMap { $0.split(separator: " ").first.flatMap { Int32($0) } }
        #expect(lines.first == "EXIT STATUS")
        #expect(numbers == Ending.allCases.filter { $0.words(for: command) != nil }.map(\.rawValue))
        #expect(lines.allSatisfy { $0.count <= 80 })
    }

    @Test(
        "the help that a person sees holds them",
        arguments: [
            (DemoCommand.self, .demo), (ConnectCommand.self, .connect), (ServeCommand.self, .serve),
            (TunnelCommand.self, .tunnel), (GatewayCommand.self, .gateway), (GatewayControlCommand.self, .control),
            (HashCommand.self, .hash),
        ] as [(any ParsableCommand.Type, Ending.Command)]
    )
    func shownHelp(type: any ParsableCommand.Type, command: Ending.Command) {
        let shown = type.helpMessage(columns: 80)
        for line in Ending.help(for: command).split(separator: "\n") { #expect(shown.contains(line), "\(line)") }
    }

    @Test("the documentation's table is this one, for all commands")
    func documentation() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..")
        let page = try String(
            contentsOf: root.appending(path: "Documentation/swift-khp.docc/Command.md"),
            encoding: .utf8
        )
        let head = Ending.Command.allCases.map { " `\($0.rawValue)` |" }.joined()
        let rows = Ending.allCases.map { ending in
            "| \(ending.rawValue) |" + Ending.Command.allCases.map { " \(ending.words(for: $0) ?? "–") |" }.joined()
                + "\n"
        }
        #expect(page.contains("| exit status |\(head)\n|---|---|---|---|---|---|---|---|\n" + rows.joined()))
    }

    @Test("connect may end in every way; the contract's numbers")
    func numbers() {
        #expect(Ending.allCases.allSatisfy { $0.words(for: .connect) != nil })
        #expect(Ending.allCases.map(\.rawValue) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 70, 74, 130, 143])
    }
}

/// The demo's script.
struct DemoStepsTests {
    private func steps(_ script: [DemoSteps.Expected]) -> DemoSteps {
        let console = PipedConsole().console
        return DemoSteps(trace: false, style: Style(isEnabled: false), console: console, script: script)
    }

    @Test("steps that differ, are missing or are too many fail the demo, which says what it expected")
    func differences() throws {
        let script: [DemoSteps.Expected] = [.init(.app, .sent, "one"), .init(.app, .sent, "two")]
        for (texts, expected) in [
            (["one 1", "two 2"], nil), (["one"], "`app → two` was expected"), (["two"], "`app → one` was expected"),
            (["one", "two", "three"], "`app → three` came where `the end` was expected"),
        ] as [([String], String?)] {
            let steps = self.steps(script)
            for text in texts { steps.passed(.app, .sent, text) }
            guard let expected else {
                #expect(try steps.finish() == 2)
                continue
            }
            #expect { try steps.finish() } throws: { ($0 as? DemoFailure)?.sentence.contains(expected) == true }
        }
    }
}
