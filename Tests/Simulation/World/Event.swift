// The events of the connection's table; each is counted in the stage in which it came.

enum Event: String, CaseIterable, Sendable {
    /// The peer's bytes, as it wrote them, and bytes that are none of its.
    case bytes, garbage
    /// The peer ends its stream, in order or not; the transport goes.
    case end, reset, gone
    case deadline
    /// The application's, which may come too early or too late.
    case close, send, ping, revalidate
    /// The shell's answers to an opening request, an extended request, a 401 of the opening and one inside, which may come
    /// too late.
    case accept, refuse, answer, replay, credentials
}
