// SIGHUP and SIGUSR1 as sequences: for a server they ask for something, and no longer end it.

import Foundation

enum Hangups {
    /// One element for each signal from here on; those that come while one is worked on count as one.
    static func sequence(of number: Int32 = SIGHUP) -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let sources = SignalSources([number: { continuation.yield() }])
        continuation.onTermination = { _ in sources.cancel() }
        return stream
    }
}
