// The ways in which the command ends: one table, from which exit statuses, the help's EXIT STATUS and the table of the
// documentation come (the contract and D16).

import KHPProtocol

/// How the command ended: one number for each kind of ending, so that scripts can tell them apart.
enum Ending: Int32, Sendable, CaseIterable {
    case success = 0
    case closedOtherwise = 1
    case usage = 2
    case connectFailed = 3
    case openingFailed = 4
    case extendedFailed = 5
    case redirectRefused = 6
    case timeout = 7
    case authenticationFailed = 8
    case protocolViolation = 9
    /// `sysexits.h` calls it EX_SOFTWARE.
    case fault = 70
    /// EX_IOERR of `sysexits.h`.
    case output = 74
    /// 128 + SIGINT, as shells have it.
    case interrupted = 130
    /// 128 + SIGTERM.
    case terminated = 143

    /// The commands whose endings differ.
    enum Command: String, Sendable, CaseIterable {
        case connect
        case serve
        case tunnel
        case gateway
        /// `khp gateway ctl`.
        case control = "gateway ctl"
        case demo
        case hash
    }

    /// The meaning for a command, in a few words; `nil` where that command never ends so.
    func words(for command: Command) -> String? {
        switch (self, command) {
        case (.success, .connect): "closed with 1000, 1001 or without a code, in order"
        case (.success, .serve), (.success, .tunnel): "drained after SIGINT or SIGTERM"
        case (.success, .gateway): "drained after SIGINT or SIGTERM, or the configuration is good"
        case (.success, .control): "the gateway has done it, or told it"
        case (.success, .demo): "all steps passed"
        case (.success, .hash): "the line was made"
        case (.closedOtherwise, .connect): "closed with another code, or lost"
        case (.closedOtherwise, .gateway): "sessions were cut at the end of the drain"
        case (.closedOtherwise, .control): "the gateway refused it"
        case (.closedOtherwise, .demo): "a step failed"
        case (.closedOtherwise, _): nil
        case (.usage, .gateway): "an option or a configuration that cannot be used"
        case (.usage, .demo): "an option that cannot be used"
        case (.usage, _): "an option, a URL or a file that cannot be used"
        case (.connectFailed, .connect): "no connection, TLS or a proxy failed"
        case (.connectFailed, .serve), (.connectFailed, .tunnel), (.connectFailed, .gateway): "cannot listen"
        case (.connectFailed, .control): "no gateway can be reached"
        case (.openingFailed, .connect): "opening handshake refused or invalid"
        case (.extendedFailed, .connect): "extended handshake failed"
        case (.redirectRefused, .connect): "redirect not followed: policy, limit or loop"
        case (.timeout, .connect): "something did not come in time"
        case (.authenticationFailed, .connect): "no usable credentials, or they were refused"
        case (.protocolViolation, .connect): "the peer broke the protocol after it was open"
        case (.connectFailed, _), (.openingFailed, _), (.extendedFailed, _), (.redirectRefused, _), (.timeout, _),
            (.authenticationFailed, _), (.protocolViolation, _):
            nil
        case (.fault, _): "a fault of khp's own"
        case (.output, _): "an output that cannot be written; one whose reader left is none"
        case (.interrupted, .connect), (.terminated, .connect):
            "interrupted before there was anything to close, or by a second \(self.signal)"
        case (.interrupted, .serve), (.terminated, .serve), (.interrupted, .tunnel), (.terminated, .tunnel),
            (.interrupted, .gateway), (.terminated, .gateway):
            "a second \(self.signal)"
        case (.interrupted, _), (.terminated, _): self.signal
        }
    }

    private var signal: String { self == .terminated ? "SIGTERM" : "SIGINT" }

    /// The section of a command's help.
    static func help(for command: Command) -> String {
        "EXIT STATUS\n"
            + self.allCases.compactMap { ending in
                ending.words(for: command).map { words in
                    let number = String(ending.rawValue)
                    return "  " + number + String(repeating: " ", count: 5 - number.count) + words
                }
            }.joined(separator: "\n")
    }

    /// The ending of an open connection's error: once a socket was open, a lost connection is a close, and nothing counts
    /// as a failed connect any more.
    init(ofOpen error: WebSocketError) {
        let ending = Ending(error)
        self = ending == .protocolViolation || ending == .timeout ? ending : .closedOtherwise
    }

    /// The ending of an error of the library.
    init(_ error: WebSocketError) {
        self =
            switch error.code {
            case .invalidArgument, .invalidURL: .usage
            // 3 only before the first byte of a response: a stream that is reset later ends the handshake that it was in.
            case .connectFailed where error.phase == .extended, .tlsFailed where error.phase == .extended:
                .extendedFailed
            case .connectFailed, .tlsFailed, .proxyRefused, .proxyInvalid: .connectFailed
            case .timeout: .timeout
            case .openingRefused where error.response?.status == 401: .authenticationFailed
            case .openingRefused, .openingInvalid: .openingFailed
            case .extendedRefused where error.response?.status == 401: .authenticationFailed
            case .extensionRequired: error.phase == .opening ? .openingFailed : .extendedFailed
            case .extendedRequired, .extendedRefused, .extendedInvalid, .redirectMethod: .extendedFailed
            case .redirectRefused, .tooManyRedirects, .redirectLoop: .redirectRefused
            case .authenticationFailed: .authenticationFailed
            // D16: a 407 in a handshake is one of its failures; a proxy's own comes before the handshakes.
            case .proxyAuthenticationRequired where error.phase == .extended: .extendedFailed
            case .proxyAuthenticationRequired where error.phase == .opening: .openingFailed
            case .proxyAuthenticationRequired: .authenticationFailed
            case .cancelled: .interrupted
            case .closedDuringHandshake where error.phase == nil: .openingFailed
            case .closedDuringHandshake, .protocolViolation, .messageTooBig, .limitExceeded:
                Self.violation(in: error.phase)
            default: .closedOtherwise
            }
    }

    /// A violation, a limit or an end of stream counts for the stage in which it happened (D16).
    private static func violation(in phase: WebSocketError.Phase?) -> Ending {
        switch phase {
        case .connect, .tls: .connectFailed
        case .opening: .openingFailed
        case .extended: .extendedFailed
        case .open, .closing, nil: .protocolViolation
        }
    }
}
