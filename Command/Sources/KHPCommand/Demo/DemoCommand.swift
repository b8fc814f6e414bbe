import ArgumentParser
import KHPClient

/// `khp demo`: the whole stack on loopback, in one process, in a few seconds.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Show the whole journey on loopback ports: redirect, challenge, extension, messages, close.",
        discussion: """
            Starts two servers, one over TLS with a certificate made on the spot, and connects a client to them; then \
            the same in short for every wire dialect. \
            Prints one line per step and checks each; ends with status 0 when all of them passed.

            EXAMPLE
              khp demo --trace
            """
    )

    @Flag(help: "Show every head as well.")
    var trace = false

    func run() async throws {
        let journey = try DemoJourney(trace: self.trace)
        do {
            let dialects = DemoDialects(trace: self.trace)
            let passed = try await Self.withinTime { try await journey.run() + dialects.run() }
            Output.shared.line("demo: all \(passed) steps passed")
        } catch {
            throw CommandFailure(
                .closedOtherwise,
                code: "demo-failed",
                "the demo failed: " + CommandFailure(any: error).sentence
            )
        }
    }

    /// Far more than it takes, so that a demo that hangs says so.
    private static let limit = Duration.seconds(20)

    private static func withinTime(_ body: @escaping @Sendable () async throws -> Int) async throws -> Int {
        let work = Task { try await body() }
        let alarm = Task {
            try await Task.sleep(for: limit)
            Output.shared.line("khp: the demo failed: it took longer than \(limit)", to: .standardError)
            Output.shared.flush()
            work.cancel()
        }
        defer { alarm.cancel() }
        return try await work.value
    }
}
