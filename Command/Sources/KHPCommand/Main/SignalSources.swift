// Signals that come as calls, in place of what they do to a process.

import Dispatch
import Foundation

/// Listens for signals for as long as it lives, on threads that no blocked task holds up. Once it is made, none is lost.
///
/// Unchecked: nothing but their end is asked of Dispatch's sources, which are safe to share without saying so.
final class SignalSources: @unchecked Sendable {
    private let sources: [any DispatchSourceSignal]

    /// - Parameter handlers: called with each signal of their numbers; those that come while one is worked on count as one.
    init(_ handlers: [Int32: @Sendable () -> Void]) {
        let registered = DispatchGroup()
        self.sources = handlers.map { number, handler in
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler(handler: handler)
            registered.enter()
            source.setRegistrationHandler { registered.leave() }
            source.resume()
            return source
        }
        _ = registered.wait(timeout: .now() + 1)
        #if canImport(Darwin)
            // Elsewhere the sources put handlers of their own in place, which this would take away.
            for number in handlers.keys { signal(number, SIG_IGN) }
        #endif
    }

    func cancel() {
        for source in self.sources { source.cancel() }
    }
}
