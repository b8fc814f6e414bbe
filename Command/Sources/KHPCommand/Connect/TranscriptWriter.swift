import Foundation
import KHPProtocol
import KHPTesting
import Synchronization

/// Writes the conversation of `--save-transcript`. Credentials are hidden as in every other output, so a conversation
/// with a challenge can be read, and played again once `client.user` is added.
final class TranscriptWriter: Sendable {
    private struct State {
        var recorder = TranscriptRecorder()
        /// The number of the first error of the file, behind which nothing is written.
        var error: Int32 = 0
    }

    private let path: String
    private let console: Console
    private let file: SavedFile
    private let state: Mutex<State>

    /// Creates the file, or empties it; readable by its owner alone, as it holds what was said.
    init(path: String, head: TranscriptRecorder.Head, console: Console) throws(CommandFailure) {
        self.path = path
        self.console = console
        self.file = try SavedFile(path, option: "--save-transcript")
        self.state = Mutex(State(error: self.file.write(head.text.utf8)))
    }

    /// Takes an event; called on an event loop.
    func observe(_ event: ConnectionEvent) {
        self.state.withLock { state in
            let step = state.recorder.step(for: event)
            // A full disk must not end the conversation.
            if !step.isEmpty, state.error == 0 { state.error = self.file.write(step.utf8) }
        }
    }

    /// Closes the file, at the end of the command.
    /// - Returns: `true` when all of it could be written.
    func finish() -> Bool {
        let error = self.state.withLock { state in
            self.file.close()
            // An event that comes later is for no file.
            defer { state.error = state.error == 0 ? EPIPE : state.error }
            return state.error
        }
        // A reader that has left is no failure, here as on standard output.
        guard error != 0, error != EPIPE else { return true }
        let shown = TerminalText.escaped(self.path)
        let reason = String(cString: strerror(error))
        self.console.report(.note("khp: the file `\(shown)` of --save-transcript ends early: \(reason)"))
        return false
    }
}
