// The failures of an exchange of ordinary HTTP.

/// The failure of an exchange of ordinary HTTP, on either side of it.
public struct HTTPExchangeError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of failure.
    public enum Code: String, Sendable, Hashable, CaseIterable {
        /// The client has gone, or takes nothing that is sent.
        case clientGone
        /// The task was cancelled.
        case cancelled
        /// The body of the request is longer than it may be. Answered with 413.
        case bodyTooLarge
        /// The body of the request did not come in time. Answered with 408.
        case bodyStalled
        /// The body of the request cannot be read. Answered with 400.
        case bodyMalformed
        /// There is a response already.
        case alreadyAnswered
        /// The body of the response is longer, or shorter, than its Content-Length.
        case wrongLength
        /// The response cannot be sent: a status outside 200 to 999, line breaks in a field.
        case invalidResponse
    }

    /// The kind of failure.
    public let code: Code
    /// One sentence.
    public let message: String

    /// Creates an error, as a test does.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The sentence.
    public var description: String { self.message }

    /// The status of the answer to the client, where the failure is the client's.
    var status: Int? {
        switch self.code {
        case .bodyTooLarge: 413
        case .bodyStalled: 408
        case .bodyMalformed: 400
        case .clientGone, .cancelled, .alreadyAnswered, .wrongLength, .invalidResponse: nil
        }
    }

    /// `true` where the application has done nothing wrong.
    var isOfClient: Bool { self.status != nil || self.code == .clientGone || self.code == .cancelled }

    static let clientGone = HTTPExchangeError(.clientGone, "The client has gone.")
    static let cancelled = HTTPExchangeError(.cancelled, "The task was cancelled.")
    static let alreadyAnswered = HTTPExchangeError(.alreadyAnswered, "There is a response already.")
    static let stalled = HTTPExchangeError(.bodyStalled, "The body did not come in time.")
}
