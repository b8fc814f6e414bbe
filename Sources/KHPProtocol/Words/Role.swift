// The two ends of a connection.

/// One end of a connection: the one that connected or the one that accepted.
public enum Role: String, Sendable, Hashable, CaseIterable {
    /// The end that connected and sent the opening request.
    case client
    /// The end that accepted the connection and answered the request.
    case server
}
