import Dispatch
import Foundation
import Synchronization

/// Interrupts and termination requests as a callback: the first asks for a proper end, a second one ends at once.
final class Signals: Sendable {
    private let sources: Mutex<[any DispatchSourceSignal]>

    /// Calls `first` with the number of the first SIGINT or SIGTERM. The second one leaves with 128 and its own.
    init(first: @escaping @Sendable (_ number: Int32) -> Void) {
        let count = Counter()
        let registered = DispatchGroup()
        var sources: [any DispatchSourceSignal] = []
        for number in [SIGINT, SIGTERM] {
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                PasswordPrompt.interrupted()
                if count.increment() == 1 {
                    first(number)
                } else {
                    Khp.leaveAtOnce(128 + number)
                }
            }
            registered.enter()
            source.setRegistrationHandler { registered.leave() }
            source.resume()
            sources.append(source)
        }
        // From here on somebody listens: an interrupt before that has ended the process as ever, and none is lost.
        _ = registered.wait(timeout: .now() + 1)
        #if canImport(Darwin)
            // Elsewhere the sources put handlers of their own in place, which this would take away.
            for number in [SIGINT, SIGTERM] { signal(number, SIG_IGN) }
        #endif
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
