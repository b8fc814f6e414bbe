// From a process to a command: makes the surroundings, and ends the process with the command's ending.

import CLibcrypto
import Foundation

/// The whole command, from what was typed to the exit status.
public enum Program {
    /// Runs the command with the arguments of this process, and ends the process.
    public static func main() async {
        // Nothing of the runtime's stands between SIGQUIT and a core: its backtracer may never end.
        signal(SIGQUIT, SIG_DFL)
        // A reader that goes away shows as an error of `write`, which is handled there.
        signal(SIGPIPE, SIG_IGN)
        StandardDescriptors.fill()
        // Connections may still be served while the process ends: libcrypto must not clean up under them.
        OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_ATEXIT), nil)
        let start = ContinuousClock.now
        let console = Console { ContinuousClock.now - start }
        let shutdown = Shutdown(console: console)
        let terminal = TerminalMode()
        shutdown.register { _ in
            terminal.restore()
            return true
        }
        console.onLoss { loss in
            Thread.detachNewThread { shutdown.leave(for: loss) }
        }
        let surroundings = Surroundings(
            console: console,
            shutdown: shutdown,
            terminal: terminal,
            person: Person(
                isWatching: console.terminals.output || console.terminals.errors,
                terminal: terminal,
                shutdown: shutdown
            ),
            environment: ProcessInfo.processInfo.environment
        )
        shutdown.leave(await Khp.run(Array(CommandLine.arguments.dropFirst()), in: surroundings))
    }
}
