import Foundation
import Synchronization

/// Changes of the terminal's mode, and the promise to undo them however the process ends.
final class TerminalMode: Sendable {
    private struct Saved {
        var descriptor: Int32
        var mode: termios
        /// True where keys that are not read yet are thrown away: half a password, which a shell would show.
        var discards: Bool
    }

    /// Standard input.
    private let input: Int32
    private let saved = Mutex<Saved?>(nil)

    init(input: Int32 = STDIN_FILENO) {
        self.input = input
    }

    /// `true` where standard input is a terminal.
    var isThere: Bool { isatty(self.input) == 1 }

    /// Turns off echo and line assembly, so that the line editor sees each key; Ctrl-C still interrupts. Returns false
    /// when the descriptor is no terminal.
    func enterKeyByKey(_ descriptor: Int32) -> Bool {
        // Keys that were typed ahead count.
        self.change(descriptor, discards: false) { mode in
            mode.c_lflag &= ~tcflag_t(ECHO | ICANON | IEXTEN)
            mode.c_iflag &= ~tcflag_t(IXON)
            withUnsafeMutableBytes(of: &mode.c_cc) { characters in
                characters[Int(VMIN)] = 1
                characters[Int(VTIME)] = 0
            }
        }
    }

    /// Runs the body while what is typed is not shown.
    func withoutEcho<R>(_ descriptor: Int32, _ body: () -> R) -> R {
        let changed = self.change(descriptor, discards: true) { mode in
            mode.c_lflag &= ~tcflag_t(ECHO)
        }
        defer { if changed { self.restore() } }
        return body()
    }

    /// Puts the terminal back as it was. Harmless when nothing was changed.
    func restore() {
        self.saved.withLock { saved in
            guard var undo = saved else { return }
            tcsetattr(undo.descriptor, undo.discards ? TCSAFLUSH : TCSADRAIN, &undo.mode)
            saved = nil
        }
    }

    private func change(_ descriptor: Int32, discards: Bool, _ edit: (inout termios) -> Void) -> Bool {
        self.saved.withLock { saved in
            var mode = termios()
            guard isatty(descriptor) == 1, tcgetattr(descriptor, &mode) == 0 else { return false }
            if saved == nil { saved = Saved(descriptor: descriptor, mode: mode, discards: discards) }
            saved?.discards = discards
            edit(&mode)
            return tcsetattr(descriptor, discards ? TCSAFLUSH : TCSADRAIN, &mode) == 0
        }
    }

    /// The terminal's width in columns; 80 where it does not say.
    static func columns(_ descriptor: Int32) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}
