// SIGHUP and SIGUSR1 as sequences: for a server they ask for something, and no longer end it.

import Dispatch
import Foundation

enum Hangups {
    /// One element for each signal from here on; those that come while one is worked on count as one.
    static func sequence(of number: Int32 = SIGHUP) -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { continuation.yield() }
        let registered = DispatchGroup()
        registered.enter()
        source.setRegistrationHandler { registered.leave() }
        source.resume()
        _ = registered.wait(timeout: .now() + 1)
        #if canImport(Darwin)
            // Elsewhere the source puts a handler of its own in place, which this would take away.
            signal(number, SIG_IGN)
        #endif
        let kept = Kept(source: source)
        continuation.onTermination = { _ in kept.source.cancel() }
        return stream
    }

    /// Dispatch's sources are safe to share, without saying so.
    private struct Kept: @unchecked Sendable {
        let source: any DispatchSourceSignal
    }
}
