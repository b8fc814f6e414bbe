import Foundation
import KHPProtocol
import Synchronization

/// The file of `--save-ladder`: the conversation as a sequence diagram, SVG or HTML by the end of its name.
///
/// A diagram is whole or nothing, so it is written however the command ends: by ``finish()``.
final class SavedLadder: Sendable {
    private let path: String
    private let console: Console
    private let title: String
    private let isPage: Bool
    private let file: SavedFile
    private let diagram = Mutex(LadderDiagram())

    /// Creates the file, or empties it; readable by its owner alone, as it holds what was said.
    /// - Parameter title: the text above the diagram, without secrets.
    init(path: String, title: String, console: Console) throws(CommandFailure) {
        self.console = console
        let name = path.lowercased()
        self.isPage = name.hasSuffix(".html") || name.hasSuffix(".htm")
        guard self.isPage || name.hasSuffix(".svg") else {
            throw .usage("`--save-ladder` draws SVG or HTML: the name of its file ends in .svg or .html")
        }
        self.file = try SavedFile(path, option: "--save-ladder")
        self.path = path
        self.title = title
    }

    /// Takes an event; called on an event loop.
    func observe(_ event: ConnectionEvent) {
        let now = self.console.elapsed.seconds
        self.diagram.withLock { $0.add(event, at: now) }
    }

    /// Writes the file, at the end of the command.
    /// - Returns: `true` when it could be written.
    func finish() -> Bool {
        let diagram = diagram.withLock { $0 }
        let text =
            self.isPage ? LadderDrawing.html(diagram, title: self.title) : LadderDrawing.svg(diagram, title: self.title)
        let error = self.file.write(text.utf8)
        self.file.close()
        // A reader that has left is no failure, here as on standard output.
        guard error != 0, error != EPIPE else { return true }
        let shown = TerminalText.escaped(self.path)
        let reason = String(cString: strerror(error))
        self.console.report(.note("khp: the file `\(shown)` of --save-ladder cannot be written: \(reason)"))
        return false
    }
}
