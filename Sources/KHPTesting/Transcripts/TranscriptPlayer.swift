// Plays a transcript against a client or a server of this package, with its bytes cut into reads.

public import KHPProtocol

extension Transcript {
    /// How the bytes of the scripted side arrive at the side under test.
    public enum Reads: Sendable, Hashable, CustomStringConvertible {
        /// Steps that do not wait for the other side arrive in one read.
        case whole
        /// The same, but with one cut behind this many of all the bytes that are sent.
        case cut(at: Int)
        /// In pieces of at most this many bytes; 1 is byte by byte.
        case pieces(of: Int)

        /// As a person reads it.
        public var description: String {
            switch self {
            case .whole: "whole"
            case .cut(let place): "in two, cut behind byte \(place)"
            case .pieces(let size): "in pieces of \(size)"
            }
        }
    }
}

extension Transcript {
    /// Plays the conversation against this package's client or server; the other side is scripted.
    ///
    /// Nothing is connected and no time passes: bytes go from function to function, `~` moves a clock that is only a
    /// number. What the side under test sends is compared byte for byte, its outcome with `client.expect` or
    /// `server.expect`. What the script lets it say after completion is said by its application.
    /// - Parameters:
    ///   - role: the side under test; one of ``roles``.
    ///   - reads: how the bytes of the other side arrive.
    ///   - extensions: the extensions behind the names in `client.extensions` and `server.extensions`; names that are
    ///     not among them are negotiated and do nothing.
    ///   - isObserved: `true` when the connection also tells its observer's events, as it does for logs and traces.
    /// - Throws: ``TranscriptError`` where the side under test leaves the script.
    public func play(
        against role: Role,
        reads: Transcript.Reads = .whole,
        extensions: [any WebSocketExtension] = [],
        isObserved: Bool = false
    ) throws(TranscriptError) {
        let script = TranscriptScript(self, role: role)
        var play = try TranscriptPlay(script, extensions: extensions, isObserved: isObserved)
        do throws(TranscriptError) {
            try play.run(reads)
        } catch {
            var error = error
            if reads != .whole { error.reads = reads }
            throw error
        }
    }

    /// Plays the conversation once for every place at which the scripted side's bytes can be cut in two.
    /// - Returns: how many times it was played.
    /// - Throws: ``TranscriptError`` with the cut at which the side under test leaves the script.
    @discardableResult
    public func playAtEverySplit(
        against role: Role,
        extensions: [any WebSocketExtension] = []
    ) throws(TranscriptError) -> Int {
        let script = TranscriptScript(self, role: role)
        var play = try TranscriptPlay(script, extensions: extensions, isObserved: false)
        return try play.runAtEverySplit()
    }

    /// How many bytes the scripted side sends when `role` is under test.
    public func scriptedBytes(against role: Role) -> Int {
        TranscriptScript(self, role: role).fedBytes
    }
}
