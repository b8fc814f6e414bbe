import ArgumentParser

/// `khp demo`: the whole stack on loopback, in one process, in a few seconds.
struct DemoCommand: SurroundedCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Show the whole journey on loopback ports: redirect, challenge, extension, messages, close.",
        discussion: """
            Starts two servers, one over TLS with a certificate made on the spot, and connects a client to them; then \
            the same in short for every wire dialect. \
            Prints one line per step and checks each; ends with status 0 when all of them passed.

            EXAMPLE
              khp demo --trace

            \(Ending.help(for: .demo))
            """
    )

    @Flag(help: "Show every head as well.")
    var trace = false

    func run(in surroundings: Surroundings) async throws {
        let steps = DemoSteps(
            trace: self.trace,
            style: Style(isTerminal: surroundings.console.terminals.output, environment: surroundings.environment),
            console: surroundings.console
        )
        do {
            try await Self.withinTime {
                try await DemoJourney(steps: steps).run()
                try await DemoDialects(steps: steps).run()
            }
            surroundings.console.report(.result("demo: all \(try steps.finish()) steps passed"))
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            let reason = (error as? DemoFailure)?.sentence ?? CommandFailure(any: error).sentence
            throw CommandFailure(.closedOtherwise, code: "demo-failed", "the demo failed: \(reason)")
        }
    }

    /// Far more than it takes, so that a demo that hangs says so.
    private static let limit = Duration.seconds(20)

    private static func withinTime(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await body() }
            group.addTask {
                try await Task.sleep(for: Self.limit)
                throw DemoFailure("it took longer than \(Self.limit)")
            }
            try await group.next()
        }
    }
}

/// A step of the demo that did not pass.
struct DemoFailure: Error {
    var sentence: String

    init(_ sentence: String) {
        self.sentence = sentence
    }
}
