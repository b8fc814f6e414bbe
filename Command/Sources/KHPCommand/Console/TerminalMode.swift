import Foundation
import Synchronization

/// Changes of the terminal's mode, and the promise to undo them however the process ends, and while it is stopped (Ctrl-Z).
final class TerminalMode: Sendable {
    private struct Saved {
        var descriptor: Int32
        var mode: termios
        /// True where keys that are not read yet are thrown away: half a password, which a shell would show.
        var discards: Bool
        /// The mode that is in force until ``restore()``.
        var changed: termios
        /// Draws the prompt once more, behind a stop.
        var redraw: @Sendable () -> Void
    }

    /// Standard input.
    private let input: Int32
    private let saved = Mutex<Saved?>(nil)
    private let stops = Mutex<SignalSources?>(nil)

    init(input: Int32 = STDIN_FILENO) {
        self.input = input
    }

    /// `true` where standard input is a terminal.
    var isThere: Bool { isatty(self.input) == 1 }

    /// Turns off echo and line assembly, so that the line editor sees each key; Ctrl-C still interrupts. Returns false
    /// when the descriptor is no terminal.
    /// - Parameter redraw: draws the prompt once more when the process goes on after a stop. On any thread.
    func enterKeyByKey(_ descriptor: Int32, redraw: @escaping @Sendable () -> Void = {}) -> Bool {
        // Keys that were typed ahead count.
        self.change(descriptor, discards: false, redraw) { mode in
            mode.c_lflag &= ~tcflag_t(ECHO | ICANON | IEXTEN)
            mode.c_iflag &= ~tcflag_t(IXON)
            withUnsafeMutableBytes(of: &mode.c_cc) { characters in
                characters[Int(VMIN)] = 1
                characters[Int(VTIME)] = 0
            }
        }
    }

    /// Runs the body while what is typed is not shown.
    /// - Parameter redraw: as for ``enterKeyByKey(_:redraw:)``.
    func withoutEcho<R>(_ descriptor: Int32, redraw: @escaping @Sendable () -> Void = {}, _ body: () -> R) -> R {
        let changed = self.change(descriptor, discards: true, redraw) { mode in
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

    private func change(
        _ descriptor: Int32,
        discards: Bool,
        _ redraw: @escaping @Sendable () -> Void,
        _ edit: (inout termios) -> Void
    ) -> Bool {
        guard isatty(descriptor) == 1 else { return false }
        self.followStops()
        return self.saved.withLock { saved in
            var mode = termios()
            guard tcgetattr(descriptor, &mode) == 0 else { return false }
            let original = saved?.mode ?? mode
            edit(&mode)
            saved = Saved(descriptor: descriptor, mode: original, discards: discards, changed: mode, redraw: redraw)
            return tcsetattr(descriptor, discards ? TCSAFLUSH : TCSADRAIN, &mode) == 0
        }
    }

    // MARK: Job control

    /// Listens for SIGTSTP and SIGCONT from the first change of mode on.
    private func followStops() {
        self.stops.withLock { stops in
            if stops == nil { stops = SignalSources([SIGTSTP: { self.stop() }, SIGCONT: { self.goOn() }]) }
        }
    }

    /// Stops the process as Ctrl-Z asks, with the terminal as the shell left it.
    private func stop() {
        self.saved.withLock { saved in
            if var undo = saved { tcsetattr(undo.descriptor, TCSADRAIN, &undo.mode) }
        }
        // SIGTSTP has been taken, and this one cannot be.
        kill(getpid(), SIGSTOP)
    }

    /// Takes the terminal again, unless the process goes on in the background: there a change of mode would stop it.
    private func goOn() {
        let redraw = self.saved.withLock { saved -> (@Sendable () -> Void)? in
            guard var again = saved, tcgetpgrp(again.descriptor) == getpgrp() else { return nil }
            return tcsetattr(again.descriptor, TCSADRAIN, &again.changed) == 0 ? again.redraw : nil
        }
        redraw?()
    }

    /// The terminal's width in columns; 80 where it does not say.
    static func columns(_ descriptor: Int32) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}
