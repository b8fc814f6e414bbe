// `khp gateway --config FILE`: the gateway runs in the foreground, with its log on standard error.

import Dispatch
import Foundation
import KHPGateway
import Synchronization

/// Runs the gateway of a file until a signal ends it.
struct GatewayRunning {
    let file: String
    let surroundings: Surroundings
    /// Reads the file anew, as the start has read it.
    let load: GatewayRun.Load

    /// - Throws: ``CommandFailure`` where it cannot start, and where sessions were cut at its end.
    func run(_ materials: GatewayMaterials) async throws {
        let console = self.surroundings.console
        console.onLoss(nil)
        let run = GatewayRun(
            materials,
            load: self.load,
            notice: ReadinessNotice(socket: self.surroundings.environment["NOTIFY_SOCKET"])
        ) {
            console.report(.note($0))
        }
        let signals = self.surroundings.shutdown.signals()
        let stop = AsyncStream<Void> { continuation in
            let task = Task {
                for await _ in signals { continuation.yield() }
                continuation.finish()
            }
            continuation.onTermination = { _ in task.cancel() }
        }
        let hangups = Hangups.sequence()
        let reopens = Hangups.sequence(of: SIGUSR1)
        let reopening = Task {
            for await _ in reopens { run.noteReopening() }
        }
        defer { reopening.cancel() }
        let cut: Int
        do throws(Gateway.Failure) {
            cut = try await run.run(reloads: hangups, stop: stop) { listening in
                console.report(.serving(listening))
            }
        } catch {
            throw self.failure(error)
        }
        if cut > 0 {
            throw CommandFailure(
                .closedOtherwise,
                code: "sessions-cut",
                "\(cut) session\(cut == 1 ? " was" : "s were") cut at the end of the drain"
            )
        }
    }

    private func failure(_ failure: Gateway.Failure) -> CommandFailure {
        switch failure {
        case .cannotListen(let name, let words):
            CommandFailure(.connectFailed, code: "connect-failed", "listener \(name): \(TerminalText.escaped(words))")
        case .invalid(let words), .unavailable(let words):
            CommandFailure(.usage, code: "invalid-configuration", TerminalText.escaped("\(self.file): \(words)"))
        }
    }
}
