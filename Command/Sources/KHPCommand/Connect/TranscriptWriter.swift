import Foundation
import KHPProtocol
import KHPTesting
import Synchronization

/// Writes the conversation of `--save-transcript`. Credentials are hidden as in every other output, so a conversation
/// with a challenge can be read, and played again once `client.user` is added.
final class TranscriptWriter: Sendable {
    private struct State {
        var file: FileHandle
        var recorder = TranscriptRecorder()
    }

    private let state: Mutex<State>

    /// Creates the file, readable by its owner alone: it holds what was said.
    init(path: String, head: TranscriptRecorder.Head) throws(CommandFailure) {
        guard
            FileManager.default.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o600]),
            let file = FileHandle(forWritingAtPath: path)
        else { throw .usage("the file `\(path)` of --save-transcript cannot be written") }
        try? file.write(contentsOf: Array(head.text.utf8))
        self.state = Mutex(State(file: file))
    }

    /// Takes an event; called on an event loop.
    func observe(_ event: ConnectionEvent) {
        self.state.withLock { state in
            let step = state.recorder.step(for: event)
            // A full disk must not end the conversation.
            if !step.isEmpty { try? state.file.write(contentsOf: Array(step.utf8)) }
        }
    }
}
