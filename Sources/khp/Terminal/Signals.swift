import Dispatch
import Foundation
import Synchronization

/// Interrupts and termination requests as a callback: the first asks for a proper end, a second one ends at once.
final class Signals: Sendable {
    private let sources: Mutex<[any DispatchSourceSignal]>

    /// Calls `first` on the first SIGINT or SIGTERM. The second one leaves with 130.
    init(first: @escaping @Sendable () -> Void) {
        let count = Counter()
        var sources: [any DispatchSourceSignal] = []
        for number in [SIGINT, SIGTERM] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                if count.increment() == 1 {
                    first()
                } else {
                    TerminalMode.restore()
                    exit(130)
                }
            }
            source.resume()
            sources.append(source)
        }
        self.sources = Mutex(sources)
    }
}

/// A number that several threads count up.
private final class Counter: Sendable {
    private let value = Mutex(0)

    func increment() -> Int {
        value.withLock { value in
            value += 1
            return value
        }
    }
}
