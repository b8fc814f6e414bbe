import KHPProtocol

/// The command's exit statuses: one number for each kind of ending, so that scripts can tell them apart.
enum CommandStatus: Int32, Sendable {
    /// Closed cleanly, with 1000 or 1001.
    case success = 0
    /// Closed with another code, or the connection was lost.
    case closedOtherwise = 1
    /// An option, URL or field that cannot be used.
    case usage = 2
    /// No connection, or TLS failed.
    case connectFailed = 3
    /// The opening handshake was refused or broken.
    case openingFailed = 4
    /// The extended handshake was refused or broken.
    case extendedFailed = 5
    /// A redirect that may not, or cannot, be followed.
    case redirectRefused = 6
    /// Something did not come in time.
    case timeout = 7
    /// No usable credentials, or they were refused.
    case authenticationFailed = 8
    /// The peer broke the protocol after the socket was open.
    case protocolViolation = 9
    /// A fault of ours. `sysexits.h` calls it EX_SOFTWARE.
    case fault = 70
    /// An output that cannot be written; one whose reader has left is none. EX_IOERR of `sysexits.h`.
    case output = 74
    /// Interrupted before there was anything to close, or a second time: 128 + SIGINT, as shells have it.
    case interrupted = 130
    /// The same for SIGTERM.
    case terminated = 143
}

/// A failure that ends the command: one sentence for a person, a status for a script.
struct CommandFailure: Error {
    /// The status to exit with.
    var status: CommandStatus
    /// The library's error code, or one of the same style, for the JSON event.
    var code: String
    /// One sentence: what happened, and what to do about it.
    var sentence: String
    /// The URL of the hop that failed.
    var url: String?
    /// The HTTP status that came with it.
    var httpStatus: Int?
    /// The redirects on the way.
    var redirects: [RedirectStep] = []
    /// The server's words about it, where the sentence does not hold all of them.
    var entity: ShownText?

    init(_ status: CommandStatus, code: String, _ sentence: String, url: String? = nil, httpStatus: Int? = nil) {
        self.status = status
        self.code = code
        self.sentence = sentence
        self.url = url
        self.httpStatus = httpStatus
    }

    /// A mistake in what was typed.
    static func usage(_ sentence: String) -> CommandFailure {
        CommandFailure(.usage, code: "invalid-argument", sentence)
    }
}
