// For fuzzing: a performance that leaves its script on purpose.

package import KHPProtocol
package import NIOCore

/// A connection that a transcript has led to some stage, from where anything may be sent to it.
package struct ImprovisedPlay {
    private var play: TranscriptPlay

    /// The performance up to the read of this number, counted from 0; with it what the script would send there, and
    /// after that. `nil`: there is no such read.
    package init?(_ transcript: Transcript, role: Role, read: Int) throws(TranscriptError) {
        self.play = try TranscriptPlay(
            TranscriptScript(transcript, role: role),
            extensions: [],
            isObserved: read % 2 == 1
        )
        guard try self.play.run(untilFeed: read) else { return nil }
    }

    /// Goes on from the same place.
    package func copy() -> ImprovisedPlay {
        var copy = self
        copy.play = self.play.copy()
        return copy
    }

    /// The script's bytes from here on, one element for each read.
    package var scripted: [ByteBuffer] { self.play.remainingFeeds }

    /// Sends anything; what waits for a decision afterwards is decided.
    package mutating func feed(_ bytes: ByteBuffer) {
        self.play.with { $0.feed(bytes) }
        for _ in 0..<8 where self.play.proceed() {}
    }

    /// Lets the application, or the shell, do something; what that leads to is done.
    package mutating func act(_ deed: (inout Connection, NIODeadline) -> Void) {
        self.play.with { driven in
            guard !driven.hasEnded else { return }
            deed(&driven.connection, driven.now)
            driven.run()
        }
        for _ in 0..<8 where self.play.proceed() {}
    }

    /// Lets the peer end its stream.
    package mutating func endInput() { self.play.with { $0.endInput() } }

    /// Lets time pass.
    package mutating func advance(by amount: TimeAmount) {
        self.play.with { $0.advance(by: amount) }
        for _ in 0..<8 where self.play.proceed() {}
    }

    /// The bytes written since the last call.
    package mutating func takeOutput() -> ByteBuffer {
        self.play.with { driven in
            defer { driven.output = ByteBuffer() }
            return driven.output
        }
    }

    /// How many bytes of messages the application got since the last call.
    package mutating func takeReceivedBytes() -> Int {
        self.play.with { driven in
            defer { driven.received = [] }
            return driven.received.reduce(0) { $0 + $1.payload.readableBytes }
        }
    }

    package var hasEnded: Bool { mutating get { self.play.with { $0.hasEnded } } }
    package var isOpen: Bool { mutating get { self.play.with { $0.opened != nil } } }
    package var failure: WebSocketError? { mutating get { self.play.with { $0.failure ?? $0.closed?.error } } }
    package var heldBytes: Int { mutating get { self.play.with { $0.connection.heldBytes } } }
    /// True while a client waits for its caller's answer to a challenge; the caller's connect bounds that.
    package var waitsForCaller: Bool {
        mutating get { self.play.with { [.challenged, .challengedInside].contains($0.connection.stageName) } }
    }
    package var hasDeadline: Bool { mutating get { self.play.with { $0.connection.deadline != nil } } }
}
