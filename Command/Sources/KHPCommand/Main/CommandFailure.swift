import KHPProtocol

/// A failure that ends the command: one sentence for a person, a status for a script.
struct CommandFailure: Error {
    /// The kind of ending, and with it the exit status.
    var status: Ending
    /// The library's error code, or one of the same style, for the JSON event.
    var code: String
    /// One sentence: the cause, and what to do about it.
    var sentence: String
    /// The URL of the hop that failed.
    var url: String?
    /// The HTTP status that came with it.
    var httpStatus: Int?
    /// The redirects on the way.
    var redirects: [RedirectStep] = []
    /// The server's words about it, where the sentence does not hold all of them.
    var entity: ShownText?

    init(_ status: Ending, code: String, _ sentence: String, url: String? = nil, httpStatus: Int? = nil) {
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
