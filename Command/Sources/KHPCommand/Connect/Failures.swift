import Foundation
import HTTPTypes
import KHPProtocol
import KHPWebSocket
import NIOCore

/// From the library's errors to exit statuses (the contract and D16) and to one sentence for a person.
extension CommandFailure {
    /// - Parameter offered: whether x-kaazing-handshake was asked for, and could be left out.
    init(_ error: WebSocketError, offered: Bool = false) {
        self.init(
            Self.status(of: error),
            code: error.code.description,
            Self.sentence(error, offered),
            url: error.url?.redacted,
            httpStatus: error.response?.status
        )
        redirects = error.redirects
        entity = Self.entity(error.response)
    }

    /// A signal that came before there was anything to close.
    static func interrupted(by number: Int32) -> CommandFailure {
        CommandFailure(number == SIGTERM ? .terminated : .interrupted, code: "cancelled", "interrupted")
    }

    /// Makes a failure of any error.
    init(any error: any Error, offered: Bool = false) {
        switch error {
        case let error as CommandFailure: self = error
        case let error as WebSocketError: self.init(error, offered: offered)
        case is CancellationError: self = .interrupted(by: SIGINT)
        default: self.init(.fault, code: "internal", "\(error)".asSentence)
        }
    }

    /// How an open connection ended, where that is no success.
    init?(_ info: CloseInfo) {
        // After both close frames it does not matter how the stream ended. An empty close frame (1005) is as proper an
        // end as 1000.
        let isNormal = info.code == nil || info.code == .normalClosure || info.code == .goingAway
        if info.clean, isNormal { return nil }
        // The hixie dialects may just end.
        if info.code == nil, info.error == nil { return nil }
        if let error = info.error, !info.clean || Self.status(ofOpen: error) != .closedOtherwise {
            self.init(error)
            status = Self.status(ofOpen: error)
            if status == .closedOtherwise {
                sentence = "the connection was lost: " + Self.plain(error.message)
            }
            return
        }
        self.init(.closedOtherwise, code: "closed", "the connection was " + LadderStep.closing(info))
    }

    /// Once a socket was open, a lost connection is a close; nothing counts as a failed connect any more.
    private static func status(ofOpen error: WebSocketError) -> CommandStatus {
        let status = status(of: error)
        return status == .protocolViolation || status == .timeout ? status : .closedOtherwise
    }

    static func status(of error: WebSocketError) -> CommandStatus {
        switch error.code {
        case .invalidArgument, .invalidURL: .usage
        // 3 only before the first byte of a response: a stream that is reset later ends the handshake that it was in.
        case .connectFailed where error.phase == .extended, .tlsFailed where error.phase == .extended: .extendedFailed
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
        case .closedDuringHandshake, .protocolViolation, .messageTooBig, .limitExceeded: violation(error.phase)
        default: .closedOtherwise
        }
    }

    /// A violation, a limit or an end of stream counts for the stage in which it happened (D16).
    private static func violation(_ phase: WebSocketError.Phase?) -> CommandStatus {
        switch phase {
        case .connect, .tls: .connectFailed
        case .opening: .openingFailed
        case .extended: .extendedFailed
        case .open, .closing: .protocolViolation
        case nil: .protocolViolation
        }
    }

    /// The failure, the server's words about it, and the advice, in one sentence.
    private static func sentence(_ error: WebSocketError, _ offered: Bool) -> String {
        var text = plain(error.message)
        if let entity = explanation(error.response) { text += ": " + entity }
        if !error.redirects.isEmpty {
            text += " (after " + error.redirects.map(\.description).joined(separator: ", ") + ")"
        }
        if let hint = hint(error, offered) { text += "; " + hint }
        return text
    }

    /// A message of the library as a part of our sentence.
    private static func plain(_ message: String) -> String {
        var text = TerminalText.escaped(message)
        while text.hasSuffix(".") { text.removeLast() }
        return decapitalized(text)
    }

    /// The first line of a refusal's entity, where it is text (KHP-E20).
    private static func explanation(_ response: HandshakeResponse?) -> String? {
        guard let line = explainingLine(response) else { return nil }
        var shown = TerminalText.escaped(line.prefix(longestExplanation))
        while shown.hasSuffix(".") { shown.removeLast() }
        return "\"" + shown + "\""
    }

    /// Characters of a line that a sentence can hold.
    private static let longestExplanation = 200

    private static func explainingLine(_ response: HandshakeResponse?) -> String? {
        guard let response, let text = String(validating: response.body.readableBytesView, as: UTF8.self) else {
            return nil
        }
        let type = response.headers[.contentType] ?? "text/plain"
        guard type.lowercased().hasPrefix("text/plain") else { return nil }
        // A line that only repeats the status line explains nothing.
        let lines = text.split { $0.isNewline }.map { $0.trimmingSpaces() }
        guard let line = lines.first(where: { !$0.isEmpty && $0 != response.description }) else { return nil }
        return Redaction.shown(String(line))
    }

    /// A refusal's whole entity, unless the sentence says all of it (KHP-E20).
    private static func entity(_ response: HandshakeResponse?) -> ShownText? {
        guard let response, response.status >= 400, response.body.readableBytes > 0 else { return nil }
        let shown = ShownText(ShownEntity.of(response.body, status: response.status))
        // Lines that repeat the status line count for nothing here either.
        guard let said = shown.wordyLines?.filter({ $0 != response.description }) else { return shown }
        if said.isEmpty { return nil }
        if let line = explainingLine(response), said == [line], line.count <= longestExplanation { return nil }
        return shown
    }

    private static func hint(_ error: WebSocketError, _ offered: Bool) -> String? {
        switch error.code {
        case .openingRefused where error.response?.status == 400 && offered:
            "--extended off asks without x-kaazing-handshake, which some servers do not take"
        case .proxyAuthenticationRequired where error.phase != .connect: nil
        case .proxyAuthenticationRequired where error.message.contains("refused"): "are name and password right?"
        case .proxyAuthenticationRequired: "--proxy-user NAME:PASSWORD gives credentials"
        case .proxyInvalid: "does --proxy name the kind of proxy that listens there?"
        case .connectFailed where error.message.contains("resolved"): "is the name right?"
        case .connectFailed where error.message.contains("proxy"): "--no-proxy connects without it"
        case .connectFailed where error.message.contains("cannot be reached"): nil
        case .connectFailed where error.message.contains("does it speak TLS?"): nil
        case .connectFailed where error.phase == .tls || error.phase == .opening || error.phase == .extended: nil
        case .connectFailed: error.url.map { "is a server listening at \($0.host) port \($0.port)?" }
        case .tlsFailed where error.message.contains("proxy"):
            "--proxy-cacert FILE trusts another authority, --proxy-insecure trusts anyone"
        case .tlsFailed where error.message.contains("could not be verified"):
            "--cacert FILE trusts another authority, --insecure trusts anyone"
        case .timeout: "--timeout and --wait allow for more time"
        case .extendedRequired: "without --extended required a plain WebSocket would do"
        case .redirectRefused where error.message.contains("TLS"): "--allow-downgrade allows it"
        case .redirectRefused where error.message.contains("308"), .openingRefused where error.response?.status == 308,
            .extendedRefused where error.response?.status == 308:
            "--follow-308 allows it"
        case .redirectRefused where error.message.contains("policy"): "--redirect-policy allows more"
        case .tooManyRedirects: "--max-redirects allows more"
        case .authenticationFailed where error.message.contains("refused"): "are name and password, or token, right?"
        case .authenticationFailed where !error.message.contains("there are none"): nil
        case .authenticationFailed where hasLeftOrigin(error):
            "--user and --token are for the URL given alone; --netrc FILE answers Basic and Digest of other servers"
        case .authenticationFailed:
            "--user NAME:PASSWORD or --netrc FILE answers Basic and Digest, --token TOKEN answers Bearer and Token"
        case .messageTooBig: "--max-message-size allows larger ones"
        default: nil
        }
    }

    /// Returns `true` when redirects led to another origin than the given URL's, whose credentials stay behind (D20).
    private static func hasLeftOrigin(_ error: WebSocketError) -> Bool {
        guard let url = error.url, let first = error.redirects.first else { return false }
        return !url.isSameOrigin(as: first.from)
    }

    /// Begins in lower case, unless the first word is an abbreviation or a name in quotes.
    private static func decapitalized(_ text: String) -> String {
        guard let first = text.first, let second = text.dropFirst().first, first.isUppercase, !second.isUppercase else {
            return text
        }
        return first.lowercased() + text.dropFirst()
    }
}
